"""The connection to the database: what it commits, what it refuses, and what its failures say."""

import asyncio
import re

import asyncpg
import pytest

from vault import db, migrations
from vault.db import Database, StatementFailed, normalise_url
from vault.errors import DatabaseUnavailable
from vault.roles import APP
from vault.store import attempts, cards, payments

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("url", ["mysql://user@host/name", "postgresql:/user", "host/name", ""])
def test_only_postgresql_urls_are_taken(url: str) -> None:
    with pytest.raises(ValueError, match="postgresql://"):
        normalise_url(url)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_every_spelling_of_the_scheme_becomes_the_drivers_own(scheme: str) -> None:
    assert normalise_url(f"{scheme}://u@h/d") == "postgresql://u@h/d"


async def test_a_refused_statement_says_its_state_and_constraint_only(database_url: str) -> None:
    database = Database(database_url, role=None, pool_size=1)
    try:
        with pytest.raises(StatementFailed) as refused:
            async with database.session() as session:
                await session.rows("insert into vault.key_usage (key_id) values ('\\x00')")
        assert (refused.value.sqlstate, refused.value.constraint) == ("23503", "key_usage_key_id_fkey")
        assert refused.value.__cause__ is None
    finally:
        await database.close()


async def test_a_failing_system_call_is_an_unavailable_database(database_url: str) -> None:
    database = Database(database_url, role=None, pool_size=1)
    try:
        with pytest.raises(DatabaseUnavailable):
            async with database.session():
                raise OSError
        async with database.session() as session:
            assert await session.value("select 1") == 1
    finally:
        await database.close()


async def test_a_connection_that_died_in_the_pool_is_replaced(database_url: str) -> None:
    database = Database(database_url, role=None, pool_size=1)
    try:
        async with database.session() as session:
            dead = await session.value("select pg_backend_pid()")
            driver = session._driver
        driver.terminate()
        async with database.session() as session:
            assert await session.value("select pg_backend_pid()") != dead
    finally:
        await database.close()


async def test_a_url_can_demand_encryption(database_url: str) -> None:
    database = Database(f"{database_url}?sslmode=require", role=None, pool_size=1)  # the tests' server has none
    with pytest.raises(DatabaseUnavailable):
        async with database.session():
            pass
    await database.close()
    with pytest.raises(ConnectionError):
        await migrations.check(f"{database_url}?sslmode=require")
    await migrations.check(f"{database_url}?sslmode=disable")


async def test_without_a_server_it_says_unavailable() -> None:
    database = Database("postgresql://nobody@127.0.0.1:9/none", role=None, pool_size=1)
    with pytest.raises(DatabaseUnavailable):
        async with database.session():
            pass
    await database.close()


async def test_a_pool_in_which_everything_is_in_use_is_an_unavailable_database(database_url: str) -> None:
    database = Database(database_url, role=None, pool_size=1, pool_timeout=0.05)
    try:
        async with database.session():
            with pytest.raises(DatabaseUnavailable) as refused:
                async with database.session():
                    pass
        assert refused.value.retryable
    finally:
        await database.close()


async def test_after_the_end_it_says_unavailable(database_url: str) -> None:
    database = Database(database_url, role=None, pool_size=1)
    await database.close()
    with pytest.raises(DatabaseUnavailable):
        async with database.session():
            pass


async def _insert_and_wait(database: Database) -> None:
    async with database.transaction() as transaction:
        await transaction.rows("insert into public.left_behind values (1)")
        await transaction.rows("select pg_sleep(600)")


async def test_a_transaction_that_is_cancelled_leaves_nothing_and_nothing_behind(database_url: str) -> None:
    database = Database(database_url, role=None, pool_size=1)
    try:
        async with database.session() as session:
            await session.rows("create table public.left_behind (n int)")
        task = asyncio.create_task(_insert_and_wait(database))
        await asyncio.wait([task], timeout=0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with database.session() as session:
            assert await session.value("select count(*) from public.left_behind") == 0
            await session.rows("insert into public.left_behind values (2)")
        async with database.session() as session:
            assert await session.value("select n from public.left_behind") == 2
    finally:
        await database.close()


async def test_an_object_is_written_as_text_and_read_as_what_it_is(database_url: str) -> None:
    database = Database(database_url, role=None, pool_size=1)
    try:
        async with database.session() as session:
            value = await session.value("""select '{"a": [1, 1.5, null, "ä"], "b": 9223372036854775807}'::jsonb""")
            assert value == {"a": [1, 1.5, None, "ä"], "b": 2**63 - 1}
            assert await session.value("select $1::jsonb", '{"c": 1}') == {"c": 1}
    finally:
        await database.close()


async def test_a_server_that_does_not_let_us_set_up_is_unavailable(database_url: str) -> None:
    database = Database(database_url, role="nobody_of_that_name", pool_size=1)
    with pytest.raises(DatabaseUnavailable):
        async with database.session():
            pass
    await database.close()


async def test_a_connection_that_cannot_be_set_up_is_not_kept_open(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []

    class Dying:
        """A connection that is lost before it is ready."""

        async def set_type_codec(self, *_: object, **__: object) -> None:
            raise ConnectionResetError

        def terminate(self) -> None:
            ended.append(self)

    async def connect(*_: object, **__: object) -> Dying:
        return Dying()

    monkeypatch.setattr("asyncpg.connect", connect)
    database = Database("postgresql://u@h/d", role=None, pool_size=1)
    with pytest.raises(DatabaseUnavailable):
        async with database.session():
            pass
    await database.close()
    assert len(ended) == 1


async def test_who_does_not_answer_is_left_with_all_connections_to_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that stands still ends no statement, and the next connection leads to the same one."""
    monkeypatch.setattr(db, "_ANSWER_SECONDS", 0.2)
    database = Database(database_url, role=None, pool_size=3)
    try:
        async with database.session() as one, database.session() as other:
            before = {await each.value("select pg_backend_pid()") for each in (one, other)}
        with pytest.raises(DatabaseUnavailable):
            async with database.transaction() as transaction:
                await transaction.rows("select pg_sleep(600)")
        async with database.session() as one, database.session() as other:
            assert not before & {await each.value("select pg_backend_pid()") for each in (one, other)}
    finally:
        await database.close()


async def test_rows_are_looked_up_by_an_index_however_small_their_table_was(database_url: str) -> None:
    """A plan is kept while its table grows."""
    root = await asyncpg.connect(database_url, ssl=False)
    database = Database(database_url, role=APP, pool_size=1)
    try:
        for table in ("payment", "payment_inquiry", "card", "card_attempt", "event"):
            await root.execute(f"analyze vault.{table}")
            async with database.session() as session:
                plan = await session.rows(f"explain select from vault.{table} where merchant_id = 'mer_a'")
            assert "Index" in str(plan)
            assert "Seq Scan" not in str(plan)
    finally:
        await database.close()
        await root.close()


@pytest.mark.parametrize("statement", [payments._SETTLE, attempts._RELEASE], ids=["settle", "release"])
async def test_what_follows_from_a_success_begins_with_no_table(database_url: str, statement: str) -> None:
    """Queues are empty whenever somebody counts them; a plan that begins with one reads it for each row in it."""
    root = await asyncpg.connect(database_url, ssl=False)
    database = Database(database_url, role=APP, pool_size=1)
    try:
        for table in ("payment_inquiry", "card_attempt"):
            await root.execute(f"analyze vault.{table}")
        async with database.session() as session:
            await session.rows("set plan_cache_mode = force_generic_plan")
            await session.rows(f"prepare asked as {statement}")
            values = "null, null" if "$2" in statement else "null"
            lines = [row[0] for row in await session.rows(f"explain execute asked ({values})")]
    finally:
        await database.close()
        await root.close()
    read = [place for place, line in enumerate(lines) if re.search("on (payment_inquiry|card_attempt)", line)]
    found = [place for place in read if re.search("Scan", lines[place])]
    assert len(found) >= 4
    for place in found:
        assert re.search(r"(Index|TID) Cond: .*(payment_id|print|ctid)", lines[place + 1]), lines[place : place + 2]


async def test_cards_that_are_looked_up_together_are_found_one_by_one_by_the_same_plan(database_url: str) -> None:
    """A plan for each length would cost more than the lookup, and one that joins reads the whole table."""
    database = Database(database_url, role=APP, pool_size=1)
    try:
        async with database.session() as session:
            await session.rows(f"prepare asked (text[], text[]) as {cards._EACH}")
            for number in range(1, 9):
                await session.rows(f"execute asked (array_fill('m'::text, '{{{number}}}'), '{{}}')")
            plan = "\n".join(row[0] for row in await session.rows("explain execute asked ('{}', '{}')"))
            planned = await session.row(
                "select generic_plans, custom_plans from pg_prepared_statements where name = 'asked'"
            )
    finally:
        await database.close()
    assert "Index Cond: ((merchant_id = named.merchant_id) AND (id = named.id))" in plan
    assert planned is not None
    assert tuple(planned) == (4, 5)  # PostgreSQL tries five before it keeps one


_SETTINGS = "select array[current_user, current_setting('statement_timeout')]"


async def test_behind_a_pooler_each_statement_brings_its_role_and_limits(database_url: str) -> None:
    database = Database(f"{database_url}?pgbouncer=true", role=APP, pool_size=1)
    try:
        async with database.session() as session:
            brought = await session.value(_SETTINGS)
            assert brought == [APP, "15s"]
            assert [row[0] for row in await session.rows(_SETTINGS)] == [brought]
            row = await session.row(_SETTINGS)
            assert row is not None
            assert row[0] == brought
            left = await session._driver.fetchval(_SETTINGS)
        async with database.transaction() as transaction:
            assert await transaction.value(_SETTINGS) == brought
        assert left == ["postgres", "0"]
    finally:
        await database.close()


async def test_behind_a_pooler_a_refused_statement_leaves_no_transaction(database_url: str) -> None:
    database = Database(f"{database_url}?pgbouncer=true", role=None, pool_size=1)
    try:
        async with database.session() as session:
            before = await session.value("select pg_backend_pid()")
            with pytest.raises(asyncpg.DivisionByZeroError):
                await session.rows("select 1 / 0")
            assert await session.value("select pg_backend_pid()") == before
    finally:
        await database.close()

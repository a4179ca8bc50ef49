"""The schema in time: there and back again, twice at once, and a check that notices what differs."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import asyncpg
import pytest
from alembic import command

from tests.faults.waiting import until
from vault import migrations

pytestmark = pytest.mark.anyio
_LOCK = 0x63617264
_OTHERS = (
    "select state from pg_stat_activity where datname = current_database() and backend_type = 'client backend' "
    "and pid <> pg_backend_pid()"
)
_WAITING = (
    "select count(*) > 0 from pg_locks where not granted "
    "and pid in (select pid from pg_stat_activity where datname = current_database())"
)
_UPGRADE = "import asyncio, os; from vault import migrations; asyncio.run(migrations.upgrade(os.environ['DATABASE']))"


async def test_a_fresh_database_is_brought_up_to_date_and_checks_clean(empty_database_url: str) -> None:
    with pytest.raises(migrations.SchemaDiffers):
        await migrations.check(empty_database_url)
    await migrations.upgrade(empty_database_url)
    await migrations.check(empty_database_url)
    await migrations.upgrade(empty_database_url)


async def test_a_login_without_the_right_to_is_refused_with_the_state_alone(empty_database_url: str) -> None:
    login = f"powerless_{empty_database_url.rpartition('/')[2]}"
    root = await asyncpg.connect(empty_database_url, ssl=False)
    await root.execute(f"create role {login} login password 'only-for-this-test'")
    try:
        url = f"postgresql://{login}:only-for-this-test@{empty_database_url.rpartition('@')[2]}"
        with pytest.raises(migrations.MigrationRefused) as refused:
            await migrations.upgrade(url)
        assert (refused.value.sqlstate, refused.value.__cause__) == ("42501", None)
    finally:
        await root.execute(f"drop role {login}")
        await root.close()


async def test_two_upgrades_at_once_are_one(empty_database_url: str) -> None:
    env = os.environ | {"DATABASE": empty_database_url}
    started = [await asyncio.create_subprocess_exec(sys.executable, "-c", _UPGRADE, env=env) for _ in range(3)]
    assert [await process.wait() for process in started] == [0, 0, 0]
    await migrations.check(empty_database_url)


async def test_an_upgrade_waits_its_turn_outside_of_any_statement(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits within one would be waited for by an index that is built concurrently, and so for ever."""
    other = await asyncpg.connect(empty_database_url, ssl=False)
    await other.execute("select pg_advisory_lock($1)", _LOCK)
    here = asyncio.get_running_loop()
    states: list[str] = []

    async def look() -> None:
        states.extend(row["state"] for row in await other.fetch(_OTHERS))
        await other.execute("select pg_advisory_unlock($1)", _LOCK)

    async def others() -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(look(), here))
        await waiting()

    waiting = migrations._others
    monkeypatch.setattr(migrations, "_OTHERS_SECONDS", 0.0)
    monkeypatch.setattr(migrations, "_others", others)
    await migrations.upgrade(empty_database_url)
    await other.close()
    assert states == ["idle"]
    await migrations.check(empty_database_url)


async def test_an_index_is_built_beside_writes_and_replaces_what_broke_off(empty_database_url: str) -> None:
    config = migrations._config(empty_database_url)
    await asyncio.to_thread(command.upgrade, config, "0021")
    connection = await asyncpg.connect(empty_database_url, ssl=False)
    await connection.execute("create index audit_leaf_pruned_ix on vault.audit_leaf (place)")
    writer = await asyncpg.connect(empty_database_url, ssl=False)
    writing = writer.transaction()
    await writing.start()
    await writer.execute("lock table vault.audit_leaf in row exclusive mode")
    upgrading = asyncio.create_task(asyncio.to_thread(command.upgrade, config, "0022"))
    await until(lambda: connection.fetchval(_WAITING))
    await connection.execute("begin; lock table vault.audit_leaf in row exclusive mode nowait; commit")
    await writing.rollback()
    await upgrading
    definition = await connection.fetchval("select pg_get_indexdef('vault.audit_leaf_pruned_ix'::regclass)")
    assert definition.endswith("(epoch, place) WHERE (entry IS NULL)")
    await connection.close()
    await writer.close()


async def test_the_schema_can_be_taken_back_and_made_again(empty_database_url: str) -> None:
    """T-53."""
    await migrations.upgrade(empty_database_url)
    await asyncio.to_thread(command.downgrade, migrations._config(empty_database_url), "base")
    connection = await asyncpg.connect(empty_database_url, ssl=False)
    left = await connection.fetch("select tablename from pg_tables where schemaname = 'vault'")
    await connection.close()
    assert [row["tablename"] for row in left] == ["alembic_version"]
    await migrations.upgrade(empty_database_url)
    await migrations.check(empty_database_url)


PAYMENT = (
    "insert into vault.payment (merchant_id, id, request_id, client_id, kind, status, currency, value, "
    "order_reference, credential, store_state, digest, digest_key_id, capture_mode, send_deadline, expires_at) "
    "values ('m', 'p', 'r', 'c', 'ONE_OFF', 'SUCCESS', 'EUR', 9, 'o', 'TOKEN', 'NONE', '', '', 'MANUAL', now(), now())"
)
CAPTURE = (
    "insert into vault.capture (merchant_id, id, payment_id, request_id, gateway_capture_id, status, currency, value) "
    "values ('m', 'cap', 'p', 'cr', 'g', 'SUCCESS', 'EUR', 9)"
)


async def test_captures_are_taken_over_and_given_back(empty_database_url: str) -> None:
    """T-53."""
    config = migrations._config(empty_database_url)
    await asyncio.to_thread(command.upgrade, config, "0004")
    connection = await asyncpg.connect(empty_database_url, ssl=False)
    async with connection.transaction():
        await connection.execute("set local session_replication_role = replica")
        for statement in (PAYMENT, CAPTURE):
            await connection.execute(statement)
    await asyncio.to_thread(command.upgrade, config, "0005")
    row = await connection.fetchrow("select kind, request_id, gateway_id, status, value from vault.movement")
    assert row is not None
    assert tuple(row) == ("CAPTURE", "cr", "g", "SUCCESS", 9)
    await asyncio.to_thread(command.downgrade, config, "0004")
    row = await connection.fetchrow("select request_id, gateway_capture_id, status, value from vault.capture")
    assert row is not None
    assert tuple(row) == ("cr", "g", "SUCCESS", 9)
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute("update vault.capture set status = 'FAIL'")
    await connection.close()


@pytest.mark.parametrize(
    "difference",
    [
        "alter table vault.card add column note text",
        "alter table vault.card drop column funding",
        "drop index vault.card_one_per_buyer_ix",
        "create table vault.extra (id int)",
        "update vault.alembic_version set version_num = '0000'",
    ],
)
async def test_a_schema_that_differs_is_noticed(database_url: str, difference: str) -> None:
    connection = await asyncpg.connect(database_url, ssl=False)
    await connection.execute(difference)
    await connection.close()
    with pytest.raises(migrations.SchemaDiffers):
        await migrations.check(database_url)


@pytest.fixture
async def held(empty_database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A transaction that reads a table which a migration is about to change."""
    await asyncio.to_thread(command.upgrade, migrations._config(empty_database_url), "0017")
    connection = await asyncpg.connect(empty_database_url, ssl=False)
    await connection.execute("begin")
    await connection.execute("select * from vault.card_attempt")
    yield connection
    await connection.close()


async def test_an_upgrade_gives_way_to_the_traffic_and_tries_again(
    empty_database_url: str, held: "asyncpg.Connection[asyncpg.Record]", monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    trying = migrations._upgrade

    async def noted(url: str) -> None:
        tried.append(url)
        if len(tried) > 2:
            await held.execute("commit")
        await trying(url)

    monkeypatch.setattr(migrations, "_LOCK_WAIT", "50ms")
    monkeypatch.setattr(migrations, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(migrations, "_upgrade", noted)
    await migrations.upgrade(empty_database_url)
    assert len(tried) == 3
    await migrations.check(empty_database_url)


async def test_an_upgrade_that_never_gets_its_lock_says_so_and_changes_nothing(
    empty_database_url: str, held: "asyncpg.Connection[asyncpg.Record]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "_LOCK_WAIT", "20ms")
    monkeypatch.setattr(migrations, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(migrations, "_TRIES", 2)
    with pytest.raises(migrations.MigrationRefused) as refused:
        await migrations.upgrade(empty_database_url)
    assert refused.value.sqlstate == "55P03"
    assert await held.fetchval("select version_num from vault.alembic_version") == "0017"

"""The connection pool: what it commits, what it refuses, and what its failures say."""

import pytest

from vault.db import Database, StatementFailed, normalise_url
from vault.errors import DatabaseUnavailable

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("url", ["mysql://user@host/name", "postgresql:/user", "host/name", ""])
def test_only_postgresql_urls_are_taken(url: str) -> None:
    with pytest.raises(ValueError, match="postgresql://"):
        normalise_url(url)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_the_driver_is_named_for_whoever_did_not(scheme: str) -> None:
    assert normalise_url(f"{scheme}://u@h/d") == "postgresql+asyncpg://u@h/d"


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


async def test_without_a_server_it_says_unavailable() -> None:
    database = Database("postgresql://nobody@127.0.0.1:9/none", role=None, pool_size=1)
    with pytest.raises(DatabaseUnavailable):
        async with database.session():
            pass
    await database.close()

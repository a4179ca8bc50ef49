import asyncpg
import pytest

from tests.database import TEMPLATE, Cluster, Databases

pytestmark = pytest.mark.anyio


async def test_a_test_starts_with_a_migrated_database(database_url: str) -> None:
    connection = await asyncpg.connect(database_url, ssl=False)
    assert await connection.fetchval("select count(*) from vault.alembic_version") == 1
    await connection.close()


async def test_what_one_database_holds_another_does_not(database_url: str, empty_database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url, ssl=False)
    assert await connection.fetchval("select to_regnamespace('vault')") is None
    await connection.close()


async def test_nobody_works_in_the_template(postgres: Cluster, migrated_template: str) -> None:
    assert migrated_template == TEMPLATE
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await asyncpg.connect(postgres.database(TEMPLATE), ssl=False)


def test_a_connection_left_open_does_not_keep_a_database(databases: Databases, postgres: Cluster) -> None:
    fresh = databases.fresh(None)
    url = next(fresh)
    connection = databases.run(asyncpg.connect(url, ssl=False))
    assert next(fresh, None) is None
    connection.terminate()
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        databases.run(asyncpg.connect(url, ssl=False))

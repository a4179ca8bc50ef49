"""The rules of root keys and seals that the database itself keeps, whoever asks (KEY-3, T-13)."""

from collections.abc import AsyncIterator
from typing import TypeAlias

import asyncpg
import pytest

from vault.roles import OPERATOR

pytestmark = pytest.mark.anyio
Root: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
EVENT = "insert into vault.audit_pending (event_id, merchant_id, body) values ('e', '', '')"
OLD, NEW, KEY = b"o" * 16, b"n" * 16, b"k" * 16
INSERT_KEY = "insert into vault.data_key (id, merchant_id, purpose, state, root_key_id, wrapped) values ($1, 'm', $2, $3, $4, '')"


@pytest.fixture
async def root(database_url: str) -> AsyncIterator[Root]:
    """The superuser, in a database with one root key, two seals and one data key."""
    connection = await asyncpg.connect(database_url, ssl=False)
    await _change(connection, "insert into vault.root_key values ($1, 1, 'active', '')", OLD)
    await _wrap(connection, OLD, "one", "two")
    await _change(connection, INSERT_KEY, KEY, "card", "active", OLD)
    yield connection
    await connection.close()


async def _change(root: Root, statement: str, *values: object) -> object:
    async with root.transaction():
        await root.execute(EVENT)
        return await root.fetchval(statement, *values)


async def _wrap(root: Root, root_key: bytes, *seals: str) -> None:
    for seal in seals:
        await _change(
            root, "insert into vault.root_wrap (root_key_id, seal, wrapped) values ($1, $2, '')", root_key, seal
        )


async def _retire(root: Root) -> object:
    return await _change(root, "select vault.retire_root_key($1)", OLD)


async def _remove(root: Root, removed: str, *proven: str) -> object:
    return await _change(root, "select vault.remove_seal($1, $2)", removed, list(proven))


async def _newer(root: Root) -> None:
    await _change(root, "insert into vault.root_key values ($1, 2, 'active', '')", NEW)


async def test_the_only_root_key_stays(root: Root) -> None:
    await _change(root, "delete from vault.data_key where id = $1", KEY)
    assert await _retire(root) is False


async def test_a_root_key_stays_while_a_data_key_needs_it(root: Root) -> None:
    await _newer(root)
    assert await _retire(root) is False
    await _change(root, "update vault.data_key set root_key_id = $2 where id = $1", KEY, NEW)
    assert await _retire(root) is True
    assert await root.fetchval("select count(*) from vault.root_wrap") == 0
    assert await _retire(root) is False


async def test_no_key_comes_under_a_root_key_that_has_retired(root: Root) -> None:
    await _newer(root)
    await _change(root, "update vault.data_key set root_key_id = $2 where id = $1", KEY, NEW)
    await _retire(root)
    for statement, values in (
        (INSERT_KEY, (b"l" * 16, "credential", "active", OLD)),
        ("update vault.data_key set root_key_id = $2 where id = $1", (KEY, OLD)),
        (INSERT_KEY, (b"l" * 16, "credential", "active", b"nobody's")),
    ):
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await _change(root, statement, *values)
    await _change(root, INSERT_KEY, b"l" * 16, "credential", "destroyed", OLD)


async def test_a_seal_goes_only_while_a_proven_one_opens_every_root_key(root: Root) -> None:
    for proven in ((), ("one",), ("three",)):
        assert await _remove(root, "one", *proven) is False
    await _newer(root)
    await _wrap(root, NEW, "one")
    assert await _remove(root, "one", "two") is False
    await _wrap(root, NEW, "two")
    assert await _remove(root, "three", "two") is False
    assert await _remove(root, "one", "one", "two") is True
    assert await _remove(root, "two", "one", "two") is False


@pytest.mark.parametrize(
    "statement",
    [
        "delete from vault.root_wrap",
        "update vault.root_wrap set wrapped = ''",
        "update vault.root_key set state = 'retired'",
        "delete from vault.root_key",
        "update vault.share_set set threshold = 2",
        "delete from vault.custodian_share",
        "update vault.custodian_share set digest = ''",
    ],
)
async def test_operators_go_through_the_rules(root: Root, statement: str) -> None:
    await root.execute(f"set role {OPERATOR}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await root.execute(statement)

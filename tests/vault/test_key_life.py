"""The rules of a data key's life that the database itself keeps, whoever asks."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeAlias

import asyncpg
import pytest

pytestmark = pytest.mark.anyio
Root: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
EVENT = "insert into vault.audit_pending (event_id, merchant_id, body) values ('e', '', '')"
KEY, SUCCESSOR, ROOT = bytes(16), b"1" * 16, b"r" * 16


@pytest.fixture
async def root(database_url: str) -> AsyncIterator[Root]:
    """The superuser, in a database with one active key."""
    connection = await asyncpg.connect(database_url, ssl=False)
    async with connection.transaction():
        await connection.execute(EVENT)
        await connection.execute("insert into vault.root_key values ($1, 1, 'active', '')", ROOT)
        await connection.execute(
            "insert into vault.data_key (id, merchant_id, purpose, state, root_key_id, wrapped) "
            "values ($1, 'm', 'credential', 'active', $2, 'wrapped')",
            KEY,
            ROOT,
        )
        await connection.execute("insert into vault.key_usage values ($1, 7)", KEY)
    yield connection
    await connection.close()


async def _change(root: Root, statement: str, *values: object) -> object:
    async with root.transaction():
        await root.execute(EVENT)
        return await root.fetchval(statement, *values)


async def _rotate(root: Root, successor: bytes = SUCCESSOR) -> object:
    return await _change(root, "select vault.rotate_data_key($1, $2, $3, 'wrap')", KEY, successor, ROOT)


async def _destroy(root: Root) -> object:
    return await _change(root, "select vault.destroy_data_key($1)", KEY)


async def _retire(root: Root, destroy_after: str) -> None:
    await _rotate(root)
    await _change(root, f"update vault.data_key set destroy_after = {destroy_after} where id = $1 returning id", KEY)


async def _use(root: Root) -> None:
    await _change(
        root,
        "insert into vault.merchant (id, name, gateway_client_id, gateway_credentials, gateway_credentials_key_id) "
        "values ('m', '', 'c', '', $1) returning id",
        KEY,
    )


async def _state(root: Root, key_id: bytes = KEY) -> str:
    return str(await root.fetchval("select state from vault.data_key where id = $1", key_id))


async def test_a_rotation_retires_one_key_and_makes_the_other_active(root: Root) -> None:
    assert await _rotate(root) is True
    assert (await _state(root), await _state(root, SUCCESSOR)) == ("decrypt_only", "active")
    assert await _rotate(root, b"2" * 16) is False


async def test_a_rotation_needs_its_event(root: Root) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await root.execute("select vault.rotate_data_key($1, $2, $3, 'wrap')", KEY, SUCCESSOR, ROOT)
    assert await _state(root) == "active"


@pytest.mark.parametrize(
    ("state", "then"),
    [("decrypt_only", "active"), ("compromised", "active"), ("compromised", "decrypt_only"), ("active", "destroyed")],
)
async def test_a_key_never_goes_back_and_is_not_destroyed_by_its_state(root: Root, state: str, then: str) -> None:
    update = "update vault.data_key set state = $2 where id = $1 returning id"
    if state != "active":
        await _change(root, update, KEY, state)
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await _change(root, update, KEY, then)
    assert refused.value.constraint_name == "data_key_transition"


async def test_a_key_is_destroyed_after_its_waiting_period_and_leaves_its_dates_and_uses(root: Root) -> None:
    await _retire(root, "now() - interval '1 second'")
    assert await _destroy(root) is True
    row = await root.fetchrow(
        "select k.*, u.reserved from vault.data_key k join vault.key_usage u on key_id = id where id = $1", KEY
    )
    assert row is not None
    assert (row["state"], row["wrapped"], row["reserved"]) == ("destroyed", b"", 7)
    assert row["created_at"] < row["deactivated_at"] < row["destroyed_at"]


@pytest.mark.parametrize("destroy_after", ["null", "now() + interval '1 hour'"])
async def test_a_key_is_not_destroyed_before_its_time(root: Root, destroy_after: str) -> None:
    await _retire(root, destroy_after)
    assert await _destroy(root) is False
    assert await _state(root) == "decrypt_only"


async def test_an_active_key_is_not_destroyed(root: Root) -> None:
    await _change(root, "update vault.data_key set destroy_after = now() where id = $1 returning id", KEY)
    assert await _destroy(root) is False
    assert await _change(root, "select vault.destroy_data_key('nobody')") is False


async def test_a_key_that_a_row_needs_cannot_be_destroyed(root: Root) -> None:
    """T-13."""
    await _use(root)
    await _retire(root, "now()")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await _destroy(root)
    assert await root.fetchval("select wrapped from vault.data_key where id = $1", KEY) == b"wrapped"


async def test_a_row_that_is_being_inserted_keeps_its_key(root: Root, database_url: str) -> None:
    """T-13: the destruction waits for the one that inserts, and then finds its row."""
    await _retire(root, "now()")
    other = await asyncpg.connect(database_url, ssl=False)
    inserting = other.transaction()
    await inserting.start()
    await other.execute(EVENT)
    await _use(other)
    destroying = asyncio.create_task(_destroy(root))
    await asyncio.sleep(0.1)
    assert not destroying.done()
    await inserting.commit()
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await destroying
    await other.close()


async def test_nothing_is_inserted_under_a_key_that_is_being_destroyed(root: Root, database_url: str) -> None:
    """T-13: the one that inserts waits for the destruction, and is refused although a row with the key's id stays."""
    await _retire(root, "now()")
    other = await asyncpg.connect(database_url, ssl=False)
    transaction = root.transaction()
    await transaction.start()
    await root.execute(EVENT)
    assert await root.fetchval("select vault.destroy_data_key($1)", KEY) is True
    inserting = asyncio.create_task(_use(other))
    await asyncio.sleep(0.1)
    assert not inserting.done()
    await transaction.commit()
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await inserting
    await other.close()

"""Which entries of the audit log mention an id is kept by the database, whatever an entry holds (ADR 0038)."""

import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from vault.db import Database
from vault.ids import Prefix, new_id
from vault.migrations import mentions
from vault.roles import AUDITOR
from vault.store import audit_view
from vault.store.audit_view import LogFilter

pytestmark = pytest.mark.anyio
CARD, CLIENT, MERCHANT = (new_id(each) for each in (Prefix.CARD, Prefix.CLIENT, Prefix.MERCHANT))
OTHERS = 3000
MENTIONS = "select object_id, place from vault.audit_mention order by place, object_id"


def entry(*objects: str) -> bytes:
    return json.dumps({"event": {"actor": {"id": CLIENT}, "merchant": MERCHANT, "objects": objects}}).encode()


async def add(root: "asyncpg.Connection[asyncpg.Record]", place: int, octets: bytes, age: str = "0 days") -> None:
    statement = "insert into vault.audit_leaf values (1, $1, $2, $3, now() - $4::text::interval, '', $5)"
    await root.execute(statement, place, new_id(Prefix.AUDIT_EVENT), MERCHANT, age, octets)


@pytest.fixture
async def root(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database_url, ssl=False)
    yield connection
    await connection.close()


async def found(root: "asyncpg.Connection[asyncpg.Record]") -> list[tuple[str, int]]:
    return [tuple(row) for row in await root.fetch(MENTIONS)]


async def test_each_id_is_kept_once_and_of_earlier_entries_too(root: "asyncpg.Connection[asyncpg.Record]") -> None:
    await add(root, 0, entry(CARD, CARD, "obj_a", CARD.upper(), f"{MERCHANT}:{CARD}"))
    kept = sorted([(CARD, 0), (CLIENT, 0)])
    assert await found(root) == kept
    await root.execute(mentions.of_earlier_entries())
    assert await found(root) == kept
    await root.execute("delete from vault.audit_mention")
    await root.execute(mentions.of_earlier_entries())
    assert await found(root) == kept


@pytest.mark.parametrize(
    "octets", [b"", b"\xff\x00\\", b'{"objects": ["\\u0000", "\\ud800"]}', b"[" * 30_000, b'"' * 9]
)
async def test_no_entry_keeps_the_log_from_growing(root: "asyncpg.Connection[asyncpg.Record]", octets: bytes) -> None:
    await add(root, 0, octets)
    assert await found(root) == []


async def test_of_a_pruned_entry_nothing_is_kept(root: "asyncpg.Connection[asyncpg.Record]") -> None:
    await add(root, 0, entry(CARD), "93 days")
    await add(root, 1, entry(CARD))
    await root.execute("update vault.audit_leaf set entry = null where place = 0")
    assert await found(root) == sorted([(CARD, 1), (CLIENT, 1)])


async def test_a_card_s_events_are_found_without_a_walk_over_the_log(
    root: "asyncpg.Connection[asyncpg.Record]", database_url: str
) -> None:
    """As many blocks are read with a hundred times the entries; analysed while it was empty (ADR 0032)."""
    await root.execute("analyze vault.audit_leaf, vault.audit_mention")
    await add(root, 0, entry(CARD))
    database = Database(database_url, role=AUDITOR, pool_size=1)
    try:
        few = await blocks(database)
        await root.execute(
            "insert into vault.audit_leaf select 1, place, 'aev_' || place, $1, now(), '', $2 "
            "from generate_series(1, $3) place",
            MERCHANT,
            entry(),
            OTHERS,
        )
        await add(root, OTHERS + 1, entry(CARD))
        async with database.session() as session:
            wanted = LogFilter(object_id=CARD)
            listed = await audit_view.listed(session, (1, MERCHANT), wanted, -1, (OTHERS + 2, 20))
            assert [leaf.place for leaf in listed] == [0, OTHERS + 1]
            assert await audit_view.listed(session, (1, "mer_b"), wanted, -1, (OTHERS + 2, 20)) == []
        assert await blocks(database) <= few + 20
    finally:
        await database.close()


async def blocks(database: Database) -> int:
    """Count the blocks that are read for the list of a card's events."""
    chosen = (1, MERCHANT, -1, OTHERS + 2, None, None, None, None, 20, CARD)
    async with database.session() as session:
        told = await session.value(f"explain (analyze, buffers, format json) {audit_view.MENTIONING}", *chosen)
    plan: dict[str, Any] = json.loads(told)[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])

from collections import Counter
from collections.abc import AsyncIterator
from random import Random

import asyncpg
import pytest

from ops.bench.filling import FEWEST, Population, fill, make_limit_tables
from ops.bench.shop import Shop

pytestmark = pytest.mark.anyio

KEY = "00" * 16
SHOP = Shop("", "mer_1", "", "", "", "", (), "ab" * 120, KEY, KEY, "", {})
CARDS = FEWEST * 8


@pytest.fixture
async def filled(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    await fill(database_url, SHOP, CARDS)
    connection = await asyncpg.connect(database_url, ssl=False)
    yield connection
    await connection.close()


async def test_every_buyer_that_the_load_asks_for_has_one_to_six_cards(
    filled: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    rows = await filled.fetch("select buyer from vault.card where merchant_id = $1", SHOP.merchant_id)
    cards = Counter(row["buyer"] for row in rows)
    choice = Random(1)
    assert {cards[Population(CARDS).buyer(choice)] for _ in range(500)} == {1, 2, 3, 6}


async def test_each_card_has_a_secret_of_the_real_size_and_some_are_other_merchants(
    filled: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    assert await filled.fetchval("select count(*) from vault.card") == CARDS
    sizes = await filled.fetch("select length(envelope) as size, count(*) from vault.card_secret group by 1")
    assert [(row["size"], row["count"]) for row in sizes] == [(120, CARDS)]
    merchants = await filled.fetch("select merchant_id, count(*) from vault.card group by 1 order by 2 desc")
    assert merchants[0]["merchant_id"] == SHOP.merchant_id
    assert len({row["count"] for row in merchants[1:]}) > 1


async def test_the_limit_has_the_same_rows_and_indexes_without_triggers_and_references(
    filled: "asyncpg.Connection[asyncpg.Record]", database_url: str
) -> None:
    await make_limit_tables(database_url)
    assert await filled.fetchval("select count(*) from bench.card_secret") == CARDS
    indexes = "select count(*) from pg_indexes where schemaname = $1 and tablename = any($2)"
    tables = ["card", "card_secret", "audit_pending"]
    assert await filled.fetchval(indexes, "bench", tables) == await filled.fetchval(indexes, "vault", tables)
    assert not await filled.fetchval("select count(*) from pg_trigger where tgrelid = 'bench.card'::regclass")

"""What a success does to the attempts that are remembered: its own go, what waited for the buyer waits no more."""

import asyncpg
import pytest

from vault.db import Database
from vault.roles import APP
from vault.store import attempts

pytestmark = pytest.mark.anyio

ROWS = (
    # merchant, print, place, payment, kept
    ("mer_a", b"one", 0, "pay_own", None),
    ("mer_a", b"two", 0, "pay_own", "BUYER"),  # declined once, and authorised after all
    ("mer_a", b"one", 1, "pay_earlier", "BUYER"),
    ("mer_a", b"two", 1, "pay_earlier", "BUYER"),
    ("mer_a", b"one", 2, "pay_for_good", "CARD"),
    ("mer_a", b"three", 0, "pay_of_another_number", "BUYER"),
    ("mer_b", b"one", 0, "pay_of_another_merchant", "BUYER"),
)
LIFTED = {("mer_a", b"one", 1): "WINDOW", ("mer_a", b"two", 1): "WINDOW"}


@pytest.mark.parametrize(("mandate", "lifted"), [(None, LIFTED), ("man_a", {})], ids=["buyer present", "mandate"])
async def test_a_success_takes_its_own_attempts_and_lifts_what_waited_for_the_buyer(
    database_url: str, mandate: str | None, lifted: dict[tuple[str, bytes, int], str]
) -> None:
    root = await asyncpg.connect(database_url, ssl=False)
    database = Database(database_url, role=APP, pool_size=1)
    try:
        await root.execute(
            "set session_replication_role = replica"
        )  # neither keys nor payments stand behind these rows
        await root.executemany(
            "insert into vault.card_attempt (merchant_id, print, print_key_id, place, payment_id, kept, declined_at, "
            "mandate_id, currency, value) values ($1, $2, 'key', $3, $4, $5, case when $5::text is null then null else now() end, "
            "$6, 'EUR', 1)",
            [(*row, mandate if row[3] == "pay_own" else None) for row in ROWS],
        )
        async with database.transaction() as transaction:
            await attempts.release(transaction, "mer_a", "pay_own")
        left = await root.fetch("select merchant_id, print, place, kept from vault.card_attempt")
    finally:
        await database.close()
        await root.close()
    expected = {row[:3]: row[4] for row in ROWS if row[3] != "pay_own"} | lifted
    assert {tuple(row)[:3]: row["kept"] for row in left} == expected

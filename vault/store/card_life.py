"""Rows of cards whose time passes: which have expired, and which one a buyer can use instead.

It refuses to know what becomes of an expired card. Invariants: the end of a card's last month is that of
`Expiry.passed`, by the database's clock; it is noted once for each expiry.
"""

from typing import Final

from vault.db import Session, Transaction

# A month has ended everywhere on Earth when it has at UTC-12.
_LAST_ZONE: Final = "((clock_timestamp() at time zone 'UTC') - interval '12 hours')"
_PASSED: Final = (
    f"(expiry_year, expiry_month) < (extract(year from {_LAST_ZONE})::int2, extract(month from {_LAST_ZONE})::int2)"
)
_UNNOTED: Final = f"status = 'ACTIVE' and expired_at is null and {_PASSED}"


async def expired(session: Session, limit: int) -> list[tuple[str, str, str]]:
    """Give cards whose expiry has passed unnoted, the oldest first: merchant, buyer and id."""
    rows = await session.rows(
        f"select merchant_id, buyer, id from vault.card where {_UNNOTED} order by expiry_year, expiry_month limit $1",
        limit,
    )
    return [(row["merchant_id"], row["buyer"], row["id"]) for row in rows]


async def note_expiry(transaction: Transaction, merchant_id: str, card_id: str) -> bool | None:
    """Note that a card has expired, and tell whether it is its buyer's default; None when there is nothing to note."""
    default: bool | None = await transaction.value(
        "update vault.card set expired_at = clock_timestamp(), updated_at = clock_timestamp() "
        f"where merchant_id = $1 and id = $2 and {_UNNOTED} returning is_default",
        merchant_id,
        card_id,
    )
    return default


async def newest_usable(session: Session, merchant_id: str, buyer: str) -> str | None:
    """Give the id of the buyer's card that was stored last, of those that can be used."""
    card_id: str | None = await session.value(
        f"select id from vault.card where merchant_id = $1 and buyer = $2 and status = 'ACTIVE' "
        f"and ({_PASSED}) is not true order by created_at desc, id desc limit 1",
        merchant_id,
        buyer,
    )
    return card_id

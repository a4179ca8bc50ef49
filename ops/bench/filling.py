"""Fills a database with cards that look like a real vault's, quickly, and makes the tables of the limit.

It refuses to know servers. What is filled in can be listed and counted, not paid with: its envelopes are the right size
and open nowhere. Invariant: which buyer has a card follows from the number of cards alone, so that the load knows the
buyers without being told.
"""

from dataclasses import dataclass
from random import Random
from typing import Final

from ops.bench.shop import Shop
from ops.connection import connect
from vault.roles import APP

# A block of 20 buyers has 34 cards: twelve buyers one, five two, two three, and one six. Three blocks of five are the
# measured merchant's, the rest spreads over others, unevenly.
_BUYERS_OF_A_BLOCK: Final = (*range(12), *(12, 13, 14, 15, 16) * 2, *(17, 18) * 3, *(19,) * 6)
_BUYERS: Final = 20
_CARDS: Final = len(_BUYERS_OF_A_BLOCK)
_OURS: Final = 3
_CYCLE: Final = 5
_OTHERS: Final = 18
_STRIDE: Final = 7_919  # a prime: the cards of one buyer are not neighbours in time
FEWEST: Final = _CYCLE * _CARDS

_MERCHANTS: Final = f"""
insert into vault.merchant (id, name, gateway_client_id, gateway_credentials, gateway_credentials_key_id, settings)
select 'mer_other' || chr(97 + n), 'Other ' || n, 'OTHER_' || n, gateway_credentials, gateway_credentials_key_id,
    settings
from vault.merchant, generate_series(0, {_OTHERS - 1}) as n where id = $1
"""
_CARDS_OF_BUYERS: Final = f"""
with numbered as (
    select g, p, p / {_CARDS} as block, ($3::int[])[p % {_CARDS} + 1] as buyer
    from generate_series(0, $2::bigint - 1) as g, lateral (select g * {_STRIDE} % $2::bigint as p) as scattered
)
insert into vault.card (merchant_id, id, buyer, brand, masked, bin, last_four, expiry_month, expiry_year, fingerprint,
    fingerprint_key_id, status, created_at, updated_at)
select case when block % {_CYCLE} < {_OURS} then $1
        else 'mer_other' || chr(97 + (block % {_OTHERS} * (block % {_OTHERS}) / {_OTHERS})::int) end,
    'card_aa' || translate(lpad(to_hex(g), 8, '0') || left(md5(g::text), 16), '0123456789abcdef', 'abcdefghijklmnop'),
    'buyer-' || block * {_BUYERS} + buyer,
    case when p % 10 < 6 then 'VISA' when p % 10 < 9 then 'MASTERCARD' else 'JCB' end,
    '************' || (1000 + p % 9000), '45' || lpad((p % 9973)::text, 4, '0'),
    (1000 + p % 9000)::text, p % 12 + 1, 2027 + p % 8, sha256(int8send(p)), $4,
    case when p % 50 = 0 then 'DISABLED' else 'ACTIVE' end,
    clock_timestamp() - interval '2 years' * (1 - g / $2::float8),
    clock_timestamp() - interval '1 year' * (1 - g / $2::float8)
from numbered
"""
_SECRETS: Final = """
insert into vault.card_secret (merchant_id, card_id, kind, envelope, key_id)
select merchant_id, id, 'PAN', substring($1::bytea for length($1::bytea) - 32) || fingerprint, $2
from vault.card where id like 'card!_aa%' escape '!'
"""
# The limit writes the same rows into the same indexes, with no trigger and no reference to follow.
_TABLES: Final = {
    "card": "insert",
    "card_secret": "insert",
    "audit_pending": "insert",
    "payment": "insert, update, select",
}


@dataclass(frozen=True, slots=True)
class Population:
    """The buyers of a database that was filled with so many cards."""

    cards: int

    def buyer(self, choice: Random) -> str:
        """Choose a buyer of the measured merchant."""
        cycles = self.cards // FEWEST
        block = choice.randrange(cycles) * _CYCLE + choice.randrange(_OURS)
        return f"buyer-{block * _BUYERS + choice.randrange(_BUYERS)}"


async def fill(superuser_url: str, shop: Shop, cards: int) -> None:
    """Add so many cards; triggers and references are off meanwhile, which only a superuser can do."""
    connection = await connect(superuser_url)
    try:
        await connection.execute("set session_replication_role = replica")
        await connection.execute(_MERCHANTS, shop.merchant_id)
        fingerprint_key = bytes.fromhex(shop.fingerprint_key_id)
        await connection.execute(_CARDS_OF_BUYERS, shop.merchant_id, cards, list(_BUYERS_OF_A_BLOCK), fingerprint_key)
        await connection.execute(_SECRETS, bytes.fromhex(shop.envelope), bytes.fromhex(shop.key_id))
        await connection.execute("vacuum (analyze) vault.card, vault.card_secret")
    finally:
        await connection.close()


async def analyze(superuser_url: str) -> None:
    """Look at all tables once more."""
    connection = await connect(superuser_url)
    try:
        await connection.execute("analyze")
    finally:
        await connection.close()


async def make_limit_tables(superuser_url: str) -> None:
    """Copy the tables that cards and payments go to, indexes and stored cards included, for the bare routes."""
    connection = await connect(superuser_url)
    try:
        await connection.execute("create schema bench")
        await connection.execute(f"grant usage on schema bench to {APP}")
        for table, granted in _TABLES.items():
            await connection.execute(f"create table bench.{table} (like vault.{table} including all)")
            await connection.execute(f"grant {granted} on bench.{table} to {APP}")
        for table in ("card", "card_secret"):
            await connection.execute(f"insert into bench.{table} select * from vault.{table}")
        await connection.execute("vacuum (analyze) bench.card, bench.card_secret")
    finally:
        await connection.close()

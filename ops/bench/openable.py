"""Cards that open: each with a number of its own, sealed as the vault seals, so that a rotation can be held to account.

It refuses to know servers and clocks. Invariant: a card's number follows from its place, so that whoever opens it later
knows what has to come out.
"""

from collections.abc import Iterator
from typing import Final

from keys.errors import KeysError
from keys.keyring import Keyring, Location, Purpose
from keys.sealed import Plaintext
from ops.bench.traffic import numbered_card
from ops.connection import connect

_PORTION: Final = 5_000
_FIRST: Final = "card_bench"
_CARDS: Final = """
insert into vault.card (merchant_id, id, buyer, brand, masked, last_four, expiry_month, expiry_year, status)
select $1, id, id, 'VISA', '************' || right(id, 4), right(id, 4), 11, 2039, 'ACTIVE' from unnest($2::text[]) id
"""
_SEALED: Final = """
insert into vault.card_secret (merchant_id, card_id, kind, envelope, key_id)
select $1, g.id, 'PAN', g.envelope, g.key_id from unnest($2::text[], $3::bytea[], $4::bytea[]) g (id, envelope, key_id)
"""
_STORED: Final = """
select card_id, envelope from vault.card_secret
where merchant_id = $1 and starts_with(card_id, $2) and card_id > $3 order by card_id limit $4
"""


def _home(merchant_id: str, card_id: str) -> Location:
    return Location(merchant_id, "card_secret", card_id, "PAN")


def _portions(cards: int) -> Iterator[range]:
    return (range(start, min(start + _PORTION, cards)) for start in range(0, cards, _PORTION))


async def fill(superuser_url: str, keyring: Keyring, merchant_id: str, cards: int) -> None:
    """Store so many cards; triggers and references are off meanwhile, which only a superuser can do."""
    connection = await connect(superuser_url)
    try:
        await connection.execute("set session_replication_role = replica")
        for portion in _portions(cards):
            ids = [f"{_FIRST}{place:08}" for place in portion]
            sealed = [
                await keyring.seal(Purpose.CARD, numbered_card(place).encode(), _home(merchant_id, card_id))
                for place, card_id in zip(portion, ids, strict=True)
            ]
            await connection.execute(_CARDS, merchant_id, ids)
            envelopes, key_ids = [each.data for each in sealed], [each.key_id for each in sealed]
            await connection.execute(_SEALED, merchant_id, ids, envelopes, key_ids)
        await connection.execute("vacuum (analyze) vault.card, vault.card_secret")
    finally:
        await connection.close()


async def count_right(superuser_url: str, keyring: Keyring, merchant_id: str) -> int:
    """Open every one of these cards and count those that give their number."""
    connection = await connect(superuser_url)
    right, after = 0, ""
    try:
        while rows := await connection.fetch(_STORED, merchant_id, _FIRST, after, _PORTION):
            for card_id, envelope in rows:
                number = numbered_card(int(card_id.removeprefix(_FIRST)))
                right += await _opens_to(keyring, envelope, _home(merchant_id, card_id), number)
            after = rows[-1][0]
    finally:
        await connection.close()
    return right


async def _opens_to(keyring: Keyring, envelope: bytes, home: Location, number: str) -> bool:
    try:
        return await keyring.open(envelope, home) == Plaintext(number.encode())
    except KeysError:
        return False

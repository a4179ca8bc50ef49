"""Cards that are stored at the same moment share a statement, and nothing else (ADR 0026)."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest

from keys.keyring import Envelope, Purpose
from tests.api.retiring import rotate
from tests.api.shop import Sql, paid_on_file, store, stored
from tests.canary import MASTERCARD_CANARY, SECOND_VISA_CANARY, VISA_CANARY
from tests.installation import Installation
from vault.audit.events import ActorKind, Event, EventType, Origin
from vault.card import Expiry
from vault.db import StatementFailed
from vault.groups import Groups
from vault.ids import Prefix, new_id
from vault.store import new_cards
from vault.store.new_cards import Inserted, Insertion, NewCard, insertion
from vault.stored_card import CardFace, SecretKind

pytestmark = pytest.mark.anyio
Group = Callable[..., Insertion]


@pytest.fixture
async def ready(vault: Installation, sql: Sql) -> Group:
    """Makes cards ready to be inserted, each with a number of its own unless it is told one."""
    merchant_id = vault.tenants[0].merchant_id
    keys = {}
    for purpose in (Purpose.CARD, Purpose.FINGERPRINT):
        keys[purpose] = (await vault.services.keyring.active(merchant_id, purpose)).key_id

    def make(number: int, *, month: int = 11, key_id: bytes = keys[Purpose.CARD], text: str = "sealed") -> Insertion:
        face = CardFace("VISA", "************1111", "453990", "1111", Expiry(11, 2039), number.to_bytes(32))
        face = replace(face, expiry=Expiry(month, 2039), fingerprint_key_id=keys[Purpose.FINGERPRINT])
        secrets = {SecretKind.PAN: Envelope(key_id, text.encode()), SecretKind.PROFILE: Envelope(key_id, b"profile")}
        card = NewCard(merchant_id, new_id(Prefix.CARD), "together", face, secrets, metadata={"n": number})
        event = Event(EventType.CARD_STORED, Origin(ActorKind.WORKER), merchant_id, (card.id,))
        return insertion(card, event, also_active=[keys[Purpose.FINGERPRINT]])

    return make


async def _insert(vault: Installation, *cards: Insertion) -> list[Inserted]:
    async with vault.services.database.session() as session:
        return await new_cards.insert(session, cards)


async def test_each_card_has_its_own_secrets_event_and_answer(vault: Installation, sql: Sql) -> None:
    numbers = (VISA_CANARY, SECOND_VISA_CANARY, MASTERCARD_CANARY)
    bodies = [store(number, buyer=f"buyer-{one}") for number in numbers for one in range(3)]
    views = await asyncio.gather(*(stored(vault, body) for body in bodies))
    assert [view["lastFour"] for view in views] == [body["card"]["cardNo"][-4:] for body in bodies]
    events = await sql.events("card.stored")
    assert sorted(event["objects"] for event in events) == sorted([view["cardId"]] for view in views)
    told = await sql.rows("select object_id, data from vault.event where type = 'card.stored'")
    assert {row["object_id"] for row in told} == {orjson.loads(row["data"])["cardId"] for row in told}
    assert len(told) == len(bodies)
    for view in views[::3]:
        assert (await paid_on_file(vault, view["cardId"]))["paymentStatus"] == "SUCCESS"


async def test_what_belongs_to_a_card_stays_with_it(vault: Installation, sql: Sql, ready: Group) -> None:
    group = [ready(number, text=f"sealed-{number}") for number in (3, 1, 2)]
    done = await _insert(vault, *group)
    assert [one.card and one.card.id for one in done] == [one.card.id for one in group]
    rows = await sql.rows(
        "select c.id, c.fingerprint, c.metadata, s.envelope from vault.card c join vault.card_secret s "
        "on s.card_id = c.id and s.kind = 'PAN'"
    )
    found = {row["id"]: (row["fingerprint"], orjson.loads(row["metadata"]), row["envelope"]) for row in rows}
    assert found == {
        one.card.id: (number.to_bytes(32), {"n": number}, f"sealed-{number}".encode())
        for number, one in zip((3, 1, 2), group, strict=True)
    }


async def test_of_two_that_are_the_same_one_is_inserted_and_one_is_told_so(
    vault: Installation, sql: Sql, ready: Group
) -> None:
    done = await _insert(vault, ready(1), ready(2), ready(1))
    assert sorted(one.card is not None for one in done) == [False, True, True]
    assert all(one.keys_active for one in done)
    assert (await sql.count("card"), len(await sql.events("card.stored"))) == (2, 2)


async def test_a_key_that_is_retired_keeps_only_its_own_cards_out(vault: Installation, sql: Sql, ready: Group) -> None:
    sealed_before = ready(1)
    fresh = await rotate(vault, sql, Purpose.CARD)
    done = await _insert(vault, sealed_before, ready(2, key_id=fresh))
    assert [(one.card is not None, one.keys_active) for one in done] == [(False, False), (True, True)]
    assert await sql.count("card_secret") == 2


async def test_a_card_that_the_database_refuses_keeps_no_other_out(vault: Installation, sql: Sql, ready: Group) -> None:
    writer = Groups(vault.services.database, new_cards.insert)
    group = [ready(1), ready(2, month=13), ready(3)]
    told = await asyncio.gather(*map(writer.ask, group), return_exceptions=True)
    refused = told[1]
    assert isinstance(refused, StatementFailed)
    assert refused.constraint == "card_expiry_month_check"
    assert (await sql.count("card"), len(await sql.events("card.stored"))) == (2, 2)

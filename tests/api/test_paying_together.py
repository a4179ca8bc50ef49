"""Payments that are written at the same moment share a statement, and nothing else (ADR 0026)."""

import asyncio
from collections.abc import Callable

import pytest

from keys.keyring import Envelope, Purpose
from tests.api.retiring import rotate
from tests.api.shop import Sql, card_on_file, paid_on_file, store, stored, until
from tests.canary import MASTERCARD_CANARY, SECOND_VISA_CANARY, VISA_CANARY
from tests.installation import Installation
from vault.audit.events import ActorKind, Event, EventType, Origin
from vault.ids import Prefix, new_id
from vault.money import Amount
from vault.payment import Credential, Kind, Payment, Status
from vault.store import cards, drafts, payments
from vault.store.drafts import Begun, Draft
from vault.store.payments import Settlement, settlement
from vault.stored_card import CardStatus, SecretKind

pytestmark = pytest.mark.anyio
Make = Callable[..., Draft]


def _event(kind: EventType, merchant_id: str, payment_id: str) -> Event:
    return Event(kind, Origin(ActorKind.WORKER), merchant_id, (payment_id,))


@pytest.fixture
async def draft(vault: Installation, sql: Sql) -> Make:
    """Makes drafts of payments, each under a request id of its own unless it is told one."""
    merchant_id = vault.tenants[0].merchant_id
    client_id = await sql.value("select id from vault.api_client where merchant_id = $1", merchant_id)
    digest_key = await vault.services.keyring.active(merchant_id, Purpose.FINGERPRINT)

    def make(request_id: str | None = None, *, card_id: str | None = None, key_id: bytes | None = None) -> Draft:
        payment_id = new_id(Prefix.PAYMENT)
        return Draft(
            merchant_id=merchant_id,
            id=payment_id,
            request_id=request_id or payment_id,
            client_id=client_id,
            kind=Kind.CARD_ON_FILE,
            amount=Amount("EUR", "1200"),
            order_reference="together",
            buyer=None,
            credential=Credential.PAN,
            store_card=None,
            card_id=card_id,
            face=None,
            digest=b"digest",
            digest_key_id=digest_key.key_id,
            capture_mode="AUTOMATIC",
            metadata={"of": payment_id},
            consent=None,
            sender_seconds=30,
            expires_at=None,
            secrets={SecretKind.PAN: Envelope(key_id, payment_id.encode())} if key_id else {},
            card_status=CardStatus.ACTIVE,
        )

    return make


async def _begin(vault: Installation, *wanted: Draft) -> list[Begun]:
    ready = [drafts.ready(one, _event(EventType.PAYMENT_CREATED, one.merchant_id, one.id)) for one in wanted]
    async with vault.services.database.session() as session:
        return await drafts.begin(session, ready)


async def _begun(vault: Installation, *wanted: Draft) -> list[Payment]:
    return [one.payment for one in await _begin(vault, *wanted) if one.payment is not None]


def _success(before: Payment, *, seconds: float | None = None) -> Settlement:
    after = before._replace(status=Status.SUCCESS, gateway_payment_id=f"at-{before.id}")
    return settlement(before, after, _event(EventType.PAYMENT_CHANGED, before.merchant_id, before.id), seconds)


async def _settle(vault: Installation, *wanted: Settlement) -> list[Payment | None]:
    async with vault.services.database.session() as session:
        return await payments.settle(session, wanted)


async def test_payments_at_the_same_moment_are_sent_once_each_with_their_own_card(
    vault: Installation, sql: Sql
) -> None:
    numbers = (VISA_CANARY, SECOND_VISA_CANARY, MASTERCARD_CANARY)
    stored_cards = [(await stored(vault, store(number)))["cardId"] for number in numbers]
    bodies = [card_on_file() for _ in range(9)]
    views = await asyncio.gather(
        *(paid_on_file(vault, stored_cards[number % 3], body) for number, body in enumerate(bodies))
    )
    for number, (view, body) in enumerate(zip(views, bodies, strict=True)):
        assert (view["paymentRequestId"], view["paymentStatus"]) == (body["paymentRequestId"], "SUCCESS")
        (sent,) = await vault.sent(body["paymentRequestId"])
        assert sent["paymentMethod"]["paymentMethodMetaData"]["cardNo"] == numbers[number % 3]
    for kind in ("payment.created", "payment.changed"):
        changed = [event["objects"][0] for event in await sql.events(kind)]
        assert set(changed) == {view["paymentId"] for view in views}
    told = await sql.rows("select object_id, type from vault.event where type like 'payment.%'")
    assert sorted(row["object_id"] for row in told) == sorted(view["paymentId"] for view in views)


async def test_each_card_is_looked_up_for_its_own_merchant(vault: Installation) -> None:
    mine, other = (tenant.merchant_id for tenant in vault.tenants[:2])
    first, gone = (await stored(vault))["cardId"], (await stored(vault, store(buyer="buyer-2")))["cardId"]
    await vault.api.delete(f"/v1/cards/{gone}")
    async with vault.services.database.session() as session:
        asked = [(mine, gone), (other, first), (mine, first), (mine, "card_?"), (mine, first)]
        found = await cards.find_each(session, asked)
        alone = await cards.find(session, mine, first)
    assert alone is not None
    assert [card and (card.id, card.stored_status.value) for card in found] == [
        (gone, "DELETED"), None, (first, "ACTIVE"), None, (first, "ACTIVE"),
    ]  # fmt: skip
    assert found[2] == alone._replace(read_at=found[2].read_at if found[2] else alone.read_at)


async def test_each_draft_has_its_own_answer(vault: Installation, sql: Sql, draft: Make) -> None:
    card_id, gone = (await stored(vault))["cardId"], (await stored(vault, store(buyer="buyer-2")))["cardId"]
    old = (await vault.services.keyring.active(vault.tenants[0].merchant_id, Purpose.CARD)).key_id
    new = await rotate(vault, sql, Purpose.CARD)
    await vault.api.delete(f"/v1/cards/{gone}")
    usable, unusable = draft(card_id=card_id), draft(card_id=gone)
    sealed, sealed_before = draft(key_id=new), draft(key_id=old)
    done = await _begin(vault, unusable, sealed_before, usable, sealed)
    assert [(one.payment and one.payment.id, one.keys_active, one.card_usable) for one in done] == [
        (None, True, False),
        (None, False, True),
        (usable.id, True, True),
        (sealed.id, True, True),
    ]
    rows = await sql.rows("select payment_id, envelope from vault.payment_secret")
    assert rows == [{"payment_id": sealed.id, "envelope": sealed.id.encode()}]
    for table, column in {"payment": "id", "payment_inquiry": "payment_id"}.items():
        found = await sql.rows(f"select {column} as id from vault.{table}")
        assert {row["id"] for row in found} == {usable.id, sealed.id}
    assert [event["objects"] for event in await sql.events("payment.created")] == [[usable.id], [sealed.id]]


async def test_of_two_with_one_request_id_one_is_written(vault: Installation, sql: Sql, draft: Make) -> None:
    done = await _begin(vault, draft("same"), draft(), draft("same"))
    assert sorted(one.payment is not None for one in done) == [False, True, True]
    assert all(one.keys_active and one.card_usable for one in done)
    assert (await sql.count("payment"), len(await sql.events("payment.created"))) == (2, 2)


async def test_a_payment_that_changed_meanwhile_keeps_no_other_back(vault: Installation, sql: Sql, draft: Make) -> None:
    changed, resolved, open_ = await _begun(vault, draft(), draft(), draft())
    await sql.change(
        "update vault.payment set updated_at = updated_at + interval '1 microsecond' where id = $1", changed.id
    )
    done = await _settle(vault, _success(changed), _success(resolved), _success(open_, seconds=600))
    assert [one and (one.id, one.status, one.gateway_payment_id) for one in done] == [
        None,
        (resolved.id, Status.SUCCESS, f"at-{resolved.id}"),
        (open_.id, Status.SUCCESS, f"at-{open_.id}"),
    ]
    assert await sql.value("select status from vault.payment where id = $1", changed.id) == "CREATED"
    inquiries = await sql.rows(
        "select payment_id, next_at > now() + interval '5 minutes' as late from vault.payment_inquiry"
    )
    assert {row["payment_id"]: row["late"] for row in inquiries} == {changed.id: False, open_.id: True}


async def test_a_payment_that_is_being_changed_is_not_waited_for(vault: Installation, draft: Make) -> None:
    locked, free = await _begun(vault, draft(), draft())
    async with vault.services.database.transaction() as transaction:
        await payments.lock(transaction, locked.merchant_id, locked.id)
        done = await _settle(vault, _success(locked), _success(free))
    assert [one and one.id for one in done] == [None, free.id]


async def test_a_success_that_finds_its_payment_locked_is_recorded_all_the_same(vault: Installation) -> None:
    card_id, body = (await stored(vault))["cardId"], card_on_file()
    await vault.arm(body["paymentRequestId"], "SLOW:500")
    paying = asyncio.create_task(paid_on_file(vault, card_id, body))
    await until(lambda: vault.sent(body["paymentRequestId"]))
    (view,) = (await vault.api.get("/v1/payments")).json()["payments"]
    async with vault.services.database.transaction() as transaction:
        await payments.lock(transaction, vault.tenants[0].merchant_id, view["paymentId"])
        await asyncio.wait([paying], timeout=1)
        assert not paying.done()
    assert (await paying)["paymentStatus"] == "SUCCESS"

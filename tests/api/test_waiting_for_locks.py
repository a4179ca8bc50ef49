"""Who waits for a lock sees what the other has written, in every table it reads, and not what was there before."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from tests.api.shop import Sql, paid_in_silence, stored, waiting
from tests.installation import Installation
from vault.audit.events import ActorKind, Event, EventType, Origin
from vault.db import Transaction
from vault.money import Amount
from vault.movement import MovementKind, MovementSeen, MovementStatus
from vault.payment import Payment
from vault.store import audit, cards, movements, payments
from vault.store.cards import CardChange
from vault.stored_card import SecretKind, StoredCard

pytestmark = pytest.mark.anyio
Read = TypeVar("Read")
EVENT = Event(EventType.CARD_UPDATED, Origin(ActorKind.WORKER), "")


async def after_a_wait(
    vault: Installation,
    sql: Sql,
    read: Callable[[Transaction], Awaitable[Read]],
    write: Callable[[Transaction], Awaitable[None]],
) -> Read:
    """Read in one transaction while another that came first writes."""

    async def second() -> Read:
        async with vault.services.database.transaction() as transaction:
            return await read(transaction)

    async with vault.services.database.transaction() as first:
        await read(first)
        late = asyncio.create_task(second())
        await waiting(sql)
        await write(first)
        await audit.append(first, EVENT)
    return await late


@pytest.mark.parametrize("by_fingerprint", [False, True])
async def test_a_card_is_read_with_the_secrets_that_were_written_meanwhile(
    vault: Installation,
    sql: Sql,
    by_fingerprint: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    merchant_id, card_id = vault.tenants[0].merchant_id, (await stored(vault))["cardId"]
    async with vault.services.database.session() as session:
        before = await cards.find(session, merchant_id, card_id)
    assert before is not None

    async def read(transaction: Transaction) -> StoredCard | None:
        if by_fingerprint:
            prints = [before.face.fingerprint or b""]
            return await cards.find_by_fingerprint(transaction, merchant_id, before.buyer or "", prints, lock=True)
        return await cards.find(transaction, merchant_id, card_id, lock=True)

    async def write(transaction: Transaction) -> None:
        await transaction.rows(
            "update vault.card_secret set envelope = envelope || $2 where card_id = $1", card_id, b"x"
        )
        await cards.update(transaction, before, CardChange(funding="CREDIT"))

    after = await after_a_wait(vault, sql, read, write)
    assert after is not None
    assert after.funding == "CREDIT"
    assert after.secrets[SecretKind.PAN] == before.secrets[SecretKind.PAN] + b"x"


async def test_a_payment_is_read_with_the_captures_that_were_written_meanwhile(vault: Installation, sql: Sql) -> None:
    shown = await paid_in_silence(vault, captureMode="MANUAL")
    merchant_id, payment_id = vault.tenants[0].merchant_id, shown["paymentId"]

    async def read(transaction: Transaction) -> Payment:
        return await payments.lock(transaction, merchant_id, payment_id)

    async def write(transaction: Transaction) -> None:
        locked = await read(transaction)
        seen = MovementSeen(MovementKind.CAPTURE, "cr-1", MovementStatus.SUCCESS, Amount("EUR", "100"))
        await movements.record_foreign(transaction, locked, "cap_1", seen)
        await transaction.rows("update vault.payment set capture_status = 'PARTIAL' where id = $1", payment_id)

    after = await after_a_wait(vault, sql, read, write)
    assert (after.capture_status, len(after.movements)) == ("PARTIAL", 1)

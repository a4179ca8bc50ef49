"""What evidence makes of captures and refunds, written in the recorder's transaction while their payment is locked.

It refuses to know the wire. Invariants: nothing is written without an event; a verified contradiction changes nothing
and is alarmed; the payment's capture status is what its captures add up to (design section 3).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from vault.audit.events import Event, EventType, Origin
from vault.db import Transaction
from vault.ids import Prefix, new_id
from vault.logs import alarm, get_logger
from vault.movement import Movement, MovementKind, MovementSeen, MovementStatus, MovementVerdict, judge_movement
from vault.payment import Evidence, Payment, Status
from vault.payments.transitions import capture_status
from vault.store import alarms, audit, movements

_log = get_logger(__name__)
_PREFIXES: Final = {MovementKind.CAPTURE: Prefix.CAPTURE, MovementKind.REFUND: Prefix.REFUND}
_RECORDED: Final = {
    MovementKind.CAPTURE: EventType.CAPTURE_RECORDED,
    MovementKind.REFUND: EventType.REFUND_RECORDED,
}
_ALARMING: Final = {
    MovementVerdict.CONTRADICTION: "movement_contradiction",
    MovementVerdict.LATE: "late_movement",
    MovementVerdict.UNBOUND: "answer_mismatch",
}


@dataclass(frozen=True, slots=True)
class Settled:
    """A payment with its captures and refunds as they stand now, and whether something about them is wrong."""

    payment: Payment
    wrong: bool


def fresh_id(kind: MovementKind) -> str:
    """Make an id for a capture or a refund."""
    return new_id(_PREFIXES[kind])


async def settle(transaction: Transaction, payment: Payment, evidence: Evidence, origin: Origin) -> Settled:
    """Judge and write what evidence says about the captures and refunds of a locked payment."""
    wrong = False
    for seen in _each_once(evidence.movements):
        known = payment.movement(seen.kind, seen.request_id)
        verdict = judge_movement(known, seen, payment.amount)
        if known is None:
            verdict = await _record_foreign(transaction, payment, seen, verdict, (evidence, origin))
        else:
            await _record(transaction, payment, (known, _after(known, seen, verdict)), (evidence, origin))
        if verdict in _ALARMING:
            wrong = True
            about = known.id if known else payment.id
            await _raise_alarm(transaction, payment, about, _ALARMING[verdict], (seen, evidence, origin))
    payment = payment._replace(movements=await movements.of(transaction, payment))
    if payment.status is Status.SUCCESS:
        payment = payment._replace(capture_status=capture_status(payment))
    return Settled(payment, wrong)


def _each_once(told: Iterable[MovementSeen]) -> Iterable[MovementSeen]:
    """Give the last word about each movement: a message may name one twice."""
    return {(seen.kind, seen.request_id): seen for seen in told}.values()


def _after(known: Movement, seen: MovementSeen, verdict: MovementVerdict) -> Movement:
    if verdict in {MovementVerdict.ADVANCE, MovementVerdict.LATE}:
        return replace(
            known,
            status=seen.status,
            gateway_id=known.gateway_id or seen.gateway_id,
            result=seen.result or known.result,
            not_sent=seen.not_sent,
        )
    if verdict is MovementVerdict.UNBOUND and known.status is MovementStatus.CREATED:
        return replace(known, status=MovementStatus.PENDING)
    return known


async def _record_foreign(
    transaction: Transaction,
    payment: Payment,
    seen: MovementSeen,
    verdict: MovementVerdict,
    said: tuple[Evidence, Origin],
) -> MovementVerdict:
    if verdict is not MovementVerdict.NEW:
        return verdict
    if payment.status in {Status.FAIL, Status.CANCELLED}:
        return MovementVerdict.CONTRADICTION  # there is nothing on which money could have moved
    movement_id = fresh_id(seen.kind)
    if not await movements.record_foreign(transaction, payment, movement_id, seen):
        return MovementVerdict.CONTRADICTION  # it is a movement of another payment
    await audit.append(transaction, _event(payment, movement_id, seen, said, before=None))
    return verdict


async def _record(
    transaction: Transaction, payment: Payment, change: tuple[Movement, Movement], said: tuple[Evidence, Origin]
) -> None:
    before, after = change
    if before == after:
        return
    await movements.save(transaction, payment, after)
    now = MovementSeen(after.kind, after.request_id, after.status, after.amount, None, after.result, after.not_sent)
    await audit.append(transaction, _event(payment, after.id, now, said, before=before.status))
    if after.by_vault and after.status is MovementStatus.FAIL and not after.not_sent:
        await _raise_alarm(transaction, payment, after.id, "late_refund_refused", (now, *said))


def _event(
    payment: Payment,
    movement_id: str,
    seen: MovementSeen,
    said: tuple[Evidence, Origin],
    *,
    before: MovementStatus | None,
) -> Event:
    evidence, origin = said
    details = {
        "from": before.value if before else None,
        "to": seen.status.value,
        "source": evidence.source.value,
        "gateway_result": seen.result.code if seen.result else None,
        "not_sent": seen.not_sent,
        "currency": seen.amount.currency if seen.amount else None,
        "value": seen.amount.value if seen.amount else None,
    }
    return Event(_RECORDED[seen.kind], origin, payment.merchant_id, (movement_id, payment.id), details=details)


async def _raise_alarm(
    transaction: Transaction, payment: Payment, about: str, code: str, said: tuple[MovementSeen, Evidence, Origin]
) -> None:
    seen, evidence, origin = said
    details = {
        "kind": seen.kind.value,
        "claimed": seen.status.value,
        "source": evidence.source.value,
        "result": seen.result.code if seen.result else None,
    }
    if await alarms.raise_alarm(transaction, origin, payment.merchant_id, code, about, details):
        alarm(_log, code, object_id=about, payment_id=payment.id, merchant_id=payment.merchant_id)

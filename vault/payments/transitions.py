"""What evidence makes of a payment: the next value of the row, without touching it.

It refuses to know rows, keys and the wire. Invariants: nothing that is known is overwritten by something older; a
payment that is not resolved always has a reason to be asked about again (design section 3).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from vault.movement import MovementKind
from vault.payment import Evidence, Payment, Status, StoreState, Verdict
from vault.payments.bounds import AUTHORISATION_HOLDS, lapsed


def advanced(payment: Payment, evidence: Evidence, verdict: Verdict) -> Payment:
    """Give the payment as it stands after the evidence was judged; storing and captures are dealt with elsewhere."""
    match verdict:
        case Verdict.ADVANCE:
            return _alone(payment._replace(**_settled(payment, evidence.status or payment.status, evidence)))
        case Verdict.ENRICH:
            return _alone(payment._replace(**_informed(payment, evidence)))
        case Verdict.LATE_AUTHORISATION:
            status = Status.SUCCESS if evidence.status is Status.SUCCESS else payment.status
            news = _informed(payment._replace(result=None), evidence)
            cancelling = payment.cancel_requested_at or payment.read_at
            return payment._replace(**news, status=status, cancel_requested_at=cancelling)
        case Verdict.UNBOUND if payment.status is Status.CREATED:
            return payment._replace(status=Status.UNKNOWN)
        case _:
            return payment


def _settled(payment: Payment, status: Status, evidence: Evidence) -> dict[str, Any]:
    """Give what changes with a new state; a payment is copied once, for it has many fields."""
    news = _informed(payment, evidence)
    news |= {
        "status": status,
        "result": evidence.result or payment.result,
        "not_sent": evidence.not_sent,
        "next_action": news["next_action"] if status is Status.PROCESSING else None,
    }
    if status is Status.SUCCESS:
        # The automatic capture is expected, and an authorisation whose end was not told has the usual one.
        news["capture_status"] = capture_status(payment)
        news["authorisation_expires_at"] = news["authorisation_expires_at"] or payment.read_at + AUTHORISATION_HOLDS
    if status is Status.CANCELLED:
        news["capture_status"] = "NONE"
    if status in {Status.FAIL, Status.CANCELLED}:
        news["cancel_requested_at"] = None
        if payment.store_state is StoreState.PENDING:
            news["store_state"] = StoreState.DROPPED
    return news


def _alone(payment: Payment) -> Payment:
    """Cancel what only the buyer could complete where there is no buyer (design section 4: never handed out)."""
    if not payment.nobody_there or payment.status.final:
        return payment
    return payment._replace(next_action=None, cancel_requested_at=payment.cancel_requested_at or payment.read_at)


def _informed(payment: Payment, evidence: Evidence) -> dict[str, Any]:
    """Fill in what was not known; a gateway's word is not replaced by a later one about the same state."""
    action = payment.next_action if payment.status.final else _way_on(payment.next_action, evidence.next_action)
    return {
        "gateway_payment_id": payment.gateway_payment_id or evidence.gateway_payment_id,
        "result": payment.result or evidence.result,
        "result_info": {**(evidence.info or {}), **payment.result_info},
        # What was assumed is replaced by what is told; the gateway does not move it (antom-api.md 2.10, updateAmount).
        "authorisation_expires_at": evidence.authorisation_expires_at or payment.authorisation_expires_at,
        "next_action": action,
        "redirected": payment.redirected or action is not None,
    }


def _way_on(known: Mapping[str, Any] | None, news: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Give the newest way to the page that waits for the buyer; links that a message leaves out are still good."""
    if known is None or news is None:
        return news or known
    links = {name: way[name] for way in (known, news) for name in ("schemeUrl", "applinkUrl") if name in way}
    return {**(known if news["url"] is None else news), **links}


def changed(before: Payment, after: Payment) -> bool:
    """Tell whether a row has to be written."""
    return after._replace(read_at=before.read_at, movements=before.movements) != before


def unresolved(payment: Payment) -> bool:
    """Tell whether the gateway has to be asked again about a payment."""
    if not payment.status.final or payment.cancel_requested_at is not None or payment.not_sent:
        return True
    if payment.open_movements or any(each.not_sent for each in payment.movements):
        return True
    return incomplete(payment) or lapsed(payment)


def incomplete(payment: Payment) -> bool:
    """Tell whether an authorised payment lacks something that the gateway is expected to tell."""
    if payment.status is not Status.SUCCESS:
        return False
    return payment.store_state is StoreState.PENDING or payment.capture_status == "PENDING"


def open_since(payment: Payment) -> datetime | None:
    """Give since when an outcome is not known, of the payment or of a capture or refund; None: all are."""
    if not payment.status.final:
        return payment.created_at
    return min((each.created_at for each in payment.open_movements), default=None)


def capture_status(payment: Payment) -> str:
    """Give the capture status that the captures of an authorised payment add up to."""
    taken = payment.moved(MovementKind.CAPTURE)
    if taken >= payment.amount.minor:
        return "FULL"
    if taken:
        return "PARTIAL"
    if payment.capture_mode == "AUTOMATIC" or payment.reserved(MovementKind.CAPTURE):
        return "PENDING"
    return "EXPIRED" if payment.capture_status == "EXPIRED" else "NONE"

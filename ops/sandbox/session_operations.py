"""createPaymentSession: what a request for a session has to say, and what it is answered (antom-api.md 2.7).

Refuses to know what the buyer does then. Invariant: a request id is given to one session.
"""

from __future__ import annotations

from datetime import datetime

from ops.sandbox.desk import Desk, Outcome
from ops.sandbox.fields import Fields
from ops.sandbox.messages import moment
from ops.sandbox.pay_request import read_pay_request
from ops.sandbox.payment_operations import card_of, fingerprint_of
from ops.sandbox.results import Code, Json, Refused, illegal, result
from ops.sandbox.scenarios import HONEST, NOT_CHARGED, magic_scenario
from ops.sandbox.sessions import LONGEST_SESSION, Session


def create_payment_session(desk: Desk, client_id: str, body: Json) -> Outcome:
    """Open a session; the same request again gets the same session."""
    request = read_pay_request(_with_saved_method(body), strict=False, luhn=desk.config.luhn)
    if request.redirect_url is None:
        raise illegal("paymentRedirectUrl")
    fingerprint = fingerprint_of(desk.book, request)
    known = desk.sessions.find(client_id, request.payment_request_id)
    if known is not None and known.fingerprint == fingerprint:
        return Outcome(_answer(known))
    if known is not None or desk.book.find(client_id, request.payment_request_id) is not None:
        raise Refused(Code.REPEAT_REQ_INCONSISTENT)
    expires_at = _expiry(Fields(body), desk.config.clock())
    scenario = desk.book.disarm(request.payment_request_id)
    if scenario == HONEST:
        scenario = magic_scenario(request.amount.value)
    if scenario.fault in NOT_CHARGED:
        return Outcome({"result": result(Code.REQUEST_TRAFFIC_EXCEED_LIMIT)}, scenario)
    session = Session(client_id, request, card_of(desk.book, client_id, request), scenario, fingerprint, expires_at)
    desk.sessions.open(session)
    return Outcome(_answer(session), scenario)


def _with_saved_method(body: Json) -> Json:
    """Read `savedPaymentMethods`, the newer way to name a stored card, as the older one."""
    saved, method = body.get("savedPaymentMethods"), body.get("paymentMethod")
    if not saved:
        return body
    if not isinstance(saved, list) or not isinstance(saved[0], dict) or not isinstance(method, dict):
        raise illegal("savedPaymentMethods")
    return body | {"paymentMethod": method | {"paymentMethodId": saved[0].get("paymentMethodId")}}


def _expiry(fields: Fields, now: datetime) -> datetime:
    wanted = fields.moment("paymentSessionExpiryTime")
    if wanted is None:
        return now + LONGEST_SESSION
    if not now < wanted <= now + LONGEST_SESSION:
        raise illegal("paymentSessionExpiryTime")
    return wanted


def _answer(session: Session) -> Json:
    return {
        "result": result(Code.SUCCESS),
        "paymentSessionData": session.data,
        "paymentSessionId": session.session_id,
        "paymentSessionExpiryTime": moment(session.expires_at),
        "normalUrl": session.url,
    }

"""Vaulting without payment, and the end of tokens (antom-api.md 2.8, 2.9).

Handlers finish without waiting. Refuses to know HTTP and signatures. Invariants: a vaulting request id is decided once;
a deleted token pays no more.
"""

from __future__ import annotations

from datetime import timedelta

from ops.sandbox.admission import Admitted, admit
from ops.sandbox.card_fields import read_card_fields, read_card_to_keep
from ops.sandbox.cards import NO_CARD
from ops.sandbox.desk import Desk, Outcome
from ops.sandbox.engine import DEFAULT_EXPIRY
from ops.sandbox.fields import Fields
from ops.sandbox.pay_request import check_environment
from ops.sandbox.results import Code, Json, Refused, illegal, result
from ops.sandbox.scenarios import NOT_CHARGED
from ops.sandbox.sessions import LONGEST_SESSION
from ops.sandbox.vaulting import Vaulting, VaultRequest
from ops.sandbox.vaulting_messages import inquire_vaulting_answer, session_answer, vaulting_answer

LONGEST_METADATA = 65_536


def vault_payment_method(desk: Desk, client_id: str, body: Json) -> Outcome:
    """Verify a card and keep it as a token."""
    top = Fields(body)
    detail = top.inside("paymentMethodDetail")
    _check_type(detail)
    check_environment(top.find("env"), strict=desk.config.strict)
    fields = read_card_to_keep(detail.inside("card"), strict=desk.config.strict, luhn=desk.config.luhn)
    top.needed("vaultingNotificationUrl", 2048)
    request = VaultRequest(
        request_id=top.needed("vaultingRequestId", 64),
        fields=fields,
        redirect_url=_redirect_url(top),
        notify_url=top.url("vaultingNotificationUrl"),
        metadata=top.text("metadata", LONGEST_METADATA),
    )
    return _taken(desk, client_id, request, DEFAULT_EXPIRY)


def create_vaulting_session(desk: Desk, client_id: str, body: Json) -> Outcome:
    """Open a session in which a buyer types a card to be stored."""
    top = Fields(body)
    _check_type(top)
    flags = {"is3DSAuthentication": top.raw("is3DSAuthentication")}
    method = Fields({"paymentMethodType": "CARD", "paymentMethodMetaData": flags})
    request = VaultRequest(
        request_id=top.needed("vaultingRequestId", 64),
        fields=read_card_fields(method, strict=False, luhn=desk.config.luhn),
        redirect_url=_redirect_url(top),
        notify_url=top.url("vaultingNotificationUrl"),
        metadata=None,
    )
    return _taken(desk, client_id, request, LONGEST_SESSION)


def inquire_vaulting(desk: Desk, client_id: str, body: Json) -> Outcome:
    """Tell where a vaulting stands."""
    vaulting = desk.vaults.find(client_id, Fields(body).needed("vaultingRequestId", 64))
    if vaulting is None:
        raise Refused(Code.ORDER_NOT_EXIST)
    return Outcome(inquire_vaulting_answer(vaulting))


def delete_token(desk: Desk, client_id: str, body: Json) -> Outcome:
    """Forget a token."""
    if not desk.book.forget_token(client_id, Fields(body).needed("token", 2048)):
        raise illegal("token")
    return Outcome({"result": result(Code.SUCCESS)})


def _taken(desk: Desk, client_id: str, request: VaultRequest, valid: timedelta) -> Outcome:
    card = request.fields.card or NO_CARD
    answer = session_answer if card is NO_CARD else vaulting_answer
    fingerprint = desk.book.identity("vaulting", card.number)
    known = desk.vaults.find(client_id, request.request_id)
    if known is not None:
        if known.fingerprint != fingerprint:
            raise Refused(Code.REPEAT_REQ_INCONSISTENT)
        return Outcome(answer(known))
    admitted = Admitted("", "GLOBAL") if card is NO_CARD else admit(desk.config, desk.book, card, request.fields)
    scenario = desk.book.disarm(request.request_id)
    if scenario.fault in NOT_CHARGED:
        return Outcome({"result": result(Code.REQUEST_TRAFFIC_EXCEED_LIMIT)}, scenario)
    now = desk.config.clock()
    vaulting = Vaulting(client_id, request, card, admitted.brand, scenario, fingerprint, now, now + valid)
    desk.vaults.open(vaulting)
    return Outcome(answer(vaulting), scenario, lambda: desk.vaults.release(vaulting))


def _check_type(fields: Fields) -> None:
    if fields.needed("paymentMethodType", 64) != "CARD":
        raise illegal(fields.path("paymentMethodType"))


def _redirect_url(fields: Fields) -> str:
    url = fields.url("redirectUrl")
    if url is None:
        raise illegal(fields.path("redirectUrl"))
    return url

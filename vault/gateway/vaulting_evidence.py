"""What the gateway's messages say about cards that are stored without a payment (antom-api.md 2.8, 2.11).

It refuses to know signatures (a message gets here verified), rows and decisions. Invariants: without a token, and
without the digits that a card is shown by, nothing has succeeded; a message about another request or another card is
not bound to ours.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from keys.sealed import Plaintext
from vault.gateway.evidence import LONGEST_SESSION_DATA, ORDER_NOT_EXIST, card_token, next_action
from vault.gateway.values import moment, result_of, text
from vault.payment import Source
from vault.result import Result
from vault.rules.result_info import visible_result_info
from vault.shown_card import face_at_gateway
from vault.vaulting import Vaulting, VaultingSeen, VaultingStatus

_OF_ANSWERS: Final = {"S": VaultingStatus.SUCCESS, "F": VaultingStatus.FAIL}
_OF_INQUIRIES: Final = {
    "SUCCESS": VaultingStatus.SUCCESS,
    "FAIL": VaultingStatus.FAIL,
    "PROCESSING": VaultingStatus.PROCESSING,
}
_IN_PROCESS: Final = "VERIFICATION_IN_PROCESS"
# The card of a vaulting names some things otherwise than the result of a payment does.
_NAMES: Final = {"maskedCardNo": "cardNo", "brand": "cardBrand", "bin": "cardBin", "last4": "lastFour"}


def read_vaulting(body: Mapping[str, Any], vaulting: Vaulting) -> VaultingSeen:
    """Say what the answer to `vaultPaymentMethod` shows; a status that is not known shows nothing final."""
    result = result_of(body)
    if result is None:
        return VaultingSeen(Source.ANSWER, VaultingStatus.UNKNOWN)
    status = _OF_ANSWERS.get(result.status, VaultingStatus.UNKNOWN)
    if result.code == _IN_PROCESS:
        status = VaultingStatus.PROCESSING
    return _seen(body, vaulting, Source.ANSWER, status, result)


def read_vaulting_session(body: Mapping[str, Any], _vaulting: Vaulting) -> VaultingSeen:
    """Say what the answer to `createVaultingSession` shows: no card, but a way to one."""
    result, data = result_of(body), text(body.get("vaultingSessionData"), LONGEST_SESSION_DATA)
    if result is not None and result.status == "F":
        return VaultingSeen(Source.ANSWER, VaultingStatus.FAIL, result)
    if result is None or result.status != "S" or data is None:
        return VaultingSeen(Source.ANSWER, VaultingStatus.UNKNOWN)
    session = {
        "vaultingSessionData": data,
        "vaultingSessionId": text(body.get("vaultingSessionId"), 64),
        "vaultingSessionExpiryTime": moment(body.get("vaultingSessionExpiryTime")),
        "normalUrl": text(body.get("normalUrl"), 2048),
    }
    return VaultingSeen(Source.ANSWER, VaultingStatus.PROCESSING, session=Plaintext(orjson.dumps(session)))


def read_vaulting_inquiry(body: Mapping[str, Any], vaulting: Vaulting) -> VaultingSeen | None:
    """Say what the answer to `inquireVaulting` shows; None when the inquiry itself failed.

    `ORDER_NOT_EXIST` comes without a status: whether it means "not sent" depends on the clock.
    """
    result = result_of(body)
    if result is None or result.status != "S":
        unknown = result is not None and result.code == ORDER_NOT_EXIST
        return VaultingSeen(Source.INQUIRY, None, result) if unknown else None
    stated = str(body.get("vaultingStatus"))[:64]
    status = _OF_INQUIRIES.get(stated)
    code, message = text(body.get("vaultingResultCode"), 64), text(body.get("vaultingResultMessage"), 256)
    letter = {VaultingStatus.SUCCESS: "S", VaultingStatus.FAIL: "F"}.get(status or VaultingStatus.UNKNOWN, "U")
    return _seen(body, vaulting, Source.INQUIRY, status, Result(code or stated, letter, message or ""))


def unknown_to_gateway(seen: VaultingSeen) -> bool:
    """Tell whether an inquiry said that the gateway knows no such vaulting."""
    return seen.status is None and seen.result is not None and seen.result.code == ORDER_NOT_EXIST


def read_vaulting_notification(body: Mapping[str, Any], vaulting: Vaulting) -> VaultingSeen:
    """Say what `notifyVaulting` shows."""
    result = result_of(body)
    status = _OF_ANSWERS.get(result.status) if result else None
    return _seen(body, vaulting, Source.NOTIFICATION, status, result)


def _seen(
    body: Mapping[str, Any], vaulting: Vaulting, source: Source, status: VaultingStatus | None, result: Result | None
) -> VaultingSeen:
    detail = body.get("paymentMethodDetail")
    card = detail.get("card") if isinstance(detail, Mapping) else None
    told: Mapping[str, Any] = card if isinstance(card, Mapping) else {}
    named = {_NAMES.get(name, name): value for name, value in told.items()}
    info, token = visible_result_info(named), card_token(named.get("cardToken"))
    if status is VaultingStatus.SUCCESS and (token is None or (vaulting.face or face_at_gateway(info)) is None):
        status = VaultingStatus.UNKNOWN
    return VaultingSeen(
        source,
        status,
        result,
        next_action=next_action(body) if status is VaultingStatus.PROCESSING else None,
        info=info or None,
        token=token,
        bound=_bound(body, vaulting, info),
    )


def _bound(body: Mapping[str, Any], vaulting: Vaulting, info: Mapping[str, Any]) -> bool:
    shown = face_at_gateway(info)
    same_card = shown is None or vaulting.face is None or shown.last_four == vaulting.face.last_four
    return body.get("vaultingRequestId") in (None, vaulting.request_id) and same_card

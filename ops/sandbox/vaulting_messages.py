"""Writes the gateway's answers and notifications about cards stored without a payment (antom-api.md 2.8, 2.11).

Pure functions. Refuses to know what happens next. Invariant: a card leaves only masked, and a token only after it was
verified.
"""

from __future__ import annotations

from ops.sandbox.messages import moment
from ops.sandbox.results import Code, Json, result
from ops.sandbox.vaulting import Vaulting


def vaulting_answer(vaulting: Vaulting) -> Json:
    """Return the answer to `vaultPaymentMethod` for the present state."""
    return {
        "result": result(vaulting.code),
        "vaultingRequestId": vaulting.request.request_id,
        **_page(vaulting),
        **_detail(vaulting),
    }


def session_answer(vaulting: Vaulting) -> Json:
    """Return the answer to `createVaultingSession`."""
    return {
        "result": result(Code.SUCCESS),
        "vaultingSessionData": vaulting.data,
        "vaultingSessionId": vaulting.session_id,
        "vaultingSessionExpiryTime": moment(vaulting.expires_at),
        **_page(vaulting),
    }


def inquire_vaulting_answer(vaulting: Vaulting) -> Json:
    """Return the answer to `inquireVaulting`; its `result` speaks of the inquiry alone."""
    answer = {
        "result": result(Code.SUCCESS),
        "vaultingRequestId": vaulting.request.request_id,
        "vaultingStatus": str(vaulting.status),
        "vaultingResultCode": str(vaulting.code),
        "vaultingResultMessage": result(vaulting.code)["resultMessage"],
        **_page(vaulting),
        **_detail(vaulting),
    }
    return answer if vaulting.request.metadata is None else answer | {"metadata": vaulting.request.metadata}


def vaulting_notification(vaulting: Vaulting) -> Json:
    """Return notifyVaulting, which has no `notifyType` in the sources."""
    notification = {
        "result": result(vaulting.code),
        "vaultingRequestId": vaulting.request.request_id,
        "vaultingStatus": str(vaulting.status),
        "vaultingCreateTime": moment(vaulting.created_at),
        "paymentMethodDetail": {"paymentMethodType": "CARD"},
        **_detail(vaulting),
    }
    return notification if vaulting.request.metadata is None else notification | {"metadata": vaulting.request.metadata}


def _page(vaulting: Vaulting) -> Json:
    return {} if vaulting.page_url is None else {"normalUrl": vaulting.page_url}


def _detail(vaulting: Vaulting) -> Json:
    """Return what is known of a stored card; the sources list no expiry here."""
    if vaulting.token is None:
        return {}
    card = vaulting.card
    known: Json = {
        "cardToken": vaulting.token,
        "maskedCardNo": card.masked,
        "brand": vaulting.brand,
        "bin": card.number[:6],
        "lastFour": card.number[-4:],
        "funding": card.funding,
        "issuingCountry": card.country,
        "networkTransactionId": vaulting.network_transaction_id,
    }
    if vaulting.request.fields.cvv_letter is not None:
        known["cvvResultRaw"] = vaulting.request.fields.cvv_letter
    return {"paymentMethodDetail": {"paymentMethodType": "CARD", "card": known}}

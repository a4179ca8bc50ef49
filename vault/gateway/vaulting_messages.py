"""The bodies of calls about cards that are stored without a payment, and about tokens (antom-api.md 2.8, 2.9).

It refuses to know sockets, signatures and rows. Invariant: a card number and a token are revealed here and nowhere else
on the way out.
"""

from dataclasses import dataclass
from typing import Any, Final

from vault.card import CardToken
from vault.gateway.card_messages import authentication, code, extra_verification, present, typed_card
from vault.merchant import MerchantSettings
from vault.vaulting import Vaulting
from vault.wire.vaultings import CardRequest, VaultingSessionRequest

_USUAL_DEVICE: Final = {"terminalType": "WEB"}  # the gateway demands a device here


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the gateway tells results to, and where the buyer returns to."""

    notify_url: str
    redirect_url: str


def vault_body(request: CardRequest, request_id: str, defaults: MerchantSettings, to: Addresses) -> dict[str, Any]:
    """Give the body of `vaultPaymentMethod`."""
    card = request.card
    details: dict[str, Any] = {
        "cardNo": card.card_no.reveal(),
        **typed_card(card),
        **code(card.cvv),
        **authentication(request, defaults),
        **present(
            selectedCardBrand=request.selected_card_brand,
            billingAddress=request.billing_address and request.billing_address.wire(),
        ),
        **extra_verification(request.extra_verification),
    }
    return {
        **_asked(request_id, to),
        "paymentMethodDetail": {"paymentMethodType": "CARD", "card": details},
        "env": _USUAL_DEVICE,
        **defaults.wire("env", "merchant_region"),
        **request.wire("env", "merchant_region"),
    }


def vaulting_session_body(
    request: VaultingSessionRequest, request_id: str, defaults: MerchantSettings, to: Addresses
) -> dict[str, Any]:
    """Give the body of `createVaultingSession`."""
    return {
        **_asked(request_id, to),
        "paymentMethodType": "CARD",
        **defaults.wire("merchant_region"),
        **request.wire("merchant_region", "is_3ds_authentication"),
    }


def _asked(request_id: str, to: Addresses) -> dict[str, str]:
    return {
        "vaultingRequestId": request_id,
        "vaultingNotificationUrl": to.notify_url,
        "redirectUrl": to.redirect_url,
    }


def vaulting_inquiry_body(vaulting: Vaulting) -> dict[str, Any]:
    """Give the body of `inquireVaulting`."""
    return {"vaultingRequestId": vaulting.request_id}


def token_body(token: CardToken) -> dict[str, Any]:
    """Give the body of `deleteToken`."""
    return {"token": token.reveal()}

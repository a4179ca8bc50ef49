"""What messages say about a card that is typed, and about its holder's authentication (antom-api.md 2.1, 2.8).

It refuses to know which message it is. Invariants: flags that the merchant left absent stay absent; of a CVV and of PIN
digits nothing is kept.
"""

from typing import Any

from vault.card import Cvv
from vault.merchant import MerchantSettings
from vault.wire.authentication import AuthenticationFields, ExtraVerificationField
from vault.wire.cards import CardField


def present(**values: Any) -> dict[str, Any]:
    """Give what there is a value for."""
    return {name: value for name, value in values.items() if value is not None}


def code(cvv: Cvv | None) -> dict[str, Any]:
    """Give the card's code, if there is one."""
    return {} if cvv is None else {"cvv": cvv.reveal()}


def authentication(request: AuthenticationFields, defaults: MerchantSettings) -> dict[str, Any]:
    """Give the flags as they came, or the merchant's own 3-D Secure, beside which the gateway must do none (5.6)."""
    if request.mpi_data is None:
        return present(
            is3DSAuthentication=request.is_3ds_authentication,
            enableAuthenticationUpgrade=request.enable_authentication_upgrade,
        )
    own = request.mpi_data.wire()
    own[defaults.cavv_spelling] = own.pop("cavv")
    return {"is3DSAuthentication": False, "enableAuthenticationUpgrade": False, "mpiData": own}


def typed_card(card: CardField) -> dict[str, Any]:
    """Give expiry and holder of a card as they were typed."""
    return {
        "expiryMonth": card.expiry_month,
        "expiryYear": card.expiry_year,
        **present(cardholderName=card.cardholder_name and card.cardholder_name.wire()),
    }


def extra_verification(extra: ExtraVerificationField | None) -> dict[str, Any]:
    """Give what some regions ask for beside the card; a tax id without its punctuation."""
    if extra is None:
        return {}
    return present(
        cpf=extra.cpf and "".join(character for character in extra.cpf if character.isalnum()),
        payerEmail=extra.payer_email,
        dateOfBirth=extra.date_of_birth,
        businessNo=extra.business_no,
        cardPasswordDigest=extra.card_password_digest and extra.card_password_digest.reveal(),
    )

"""What the gateway says about a payment, as it is shown: the fields that may be, and what the letters among them mean.

It refuses to know which fields may be shown (`vault.rules.result_info` does) and what a letter means. Invariant: every
field that can be shown is described in the API's document.
"""

from typing import Annotated, Any, Final, TypeAlias

from pydantic import WithJsonSchema

from vault.payment import Payment
from vault.rules.verification import AddressCheck, CvvCheck, checks_of

_TEXT: Final = {"type": "string"}
_FLAG: Final = {"type": "boolean"}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _texts(*names: str) -> dict[str, dict[str, Any]]:
    return dict.fromkeys(names, _TEXT)


_OF_3DS: Final = (
    "threeDSVersion", "eci", "dsTransactionId", "challengeCancel", "threeDStransactionStatusReason", "exemptionType",
)  # fmt: skip
_OF_ACQUIRER: Final = (
    "acquirerName", "referenceRequestId", "acquirerTransactionId", "acquirerMerchantId", "acquirerMerchantName",
    "acquirerResultCode", "acquirerResultMessage", "acquirerReasonDescription",
)  # fmt: skip
_OF_PAYMENT: Final = (
    "cardNo", "cardBrand", "cardBin", "lastFour", "expiryMonth", "expiryYear", "issuingCountry", "issuerName",
    "paymentMethodRegion", "funding", "cardCategory", "networkTransactionId", "avsResultRaw", "cvvResultRaw",
    "exemptionRequested", "credentialTypeUsed", "authorizationCode", "rrn", "refusalCodeRaw", "refusalReasonRaw",
    "merchantAdviceCode",
)  # fmt: skip
_AVAILABLE: Final = (
    "incrementalAuthorizationAvailable", "extendedAuthorizationAvailable", "refundOnAuthorizationAvailable",
)  # fmt: skip
SCHEMA: Final = _object(
    **_texts(*_OF_PAYMENT),
    **dict.fromkeys(_AVAILABLE, _FLAG),
    threeDSResult=_object(**_texts(*_OF_3DS), threeDSOffered=_FLAG, challenged=_FLAG),
    creditPayPlan=_object(**_texts("installmentNum", "interestRate")),
    acquirerInfo=_object(**_texts(*_OF_ACQUIRER)),
    avsResult=_TEXT | {"enum": list(AddressCheck), "description": "What `avsResultRaw` means."},
    cvvResult=_TEXT | {"enum": list(CvvCheck), "description": "What `cvvResultRaw` means."},
)
ResultInfo: TypeAlias = Annotated[
    dict[str, Any],
    WithJsonSchema(SCHEMA | {"description": "What the gateway said, and nothing where it said nothing."}),
]


def result_info(payment: Payment) -> dict[str, Any]:
    """Give the gateway's fields with the meaning of the letters beside them."""
    return {**payment.result_info, **checks_of(payment.result_info)}

"""The gateway's operations and where each one lives.

Refuses to know messages, hosts and signatures. Invariant: the path that a call takes is decided here alone, so
that what is signed and what is on the wire cannot differ.
"""

from enum import StrEnum
from typing import Final, Self

_LIVE_ROOT: Final = "/ams/api"
_SANDBOX_ROOT: Final = "/ams/sandbox/api"
_SANDBOX_CLIENT_PREFIX: Final = "SANDBOX_"


class Operation(StrEnum):
    """A call that the vault makes, named as the gateway names it (`antom-api.md` 2)."""

    path: str

    def __new__(cls, name: str, path: str = "") -> Self:
        """Make a member that is its name and carries its path; `Operation("pay")` looks one up."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.path = path
        return member

    PAY = "pay", "/ams/api/v1/payments/pay"
    INQUIRY_PAYMENT = "inquiryPayment", "/ams/api/v1/payments/inquiryPayment"
    CONSULT = "consult", "/ams/api/v1/payments/consult"
    CANCEL = "cancel", "/ams/api/v1/payments/cancel"
    CAPTURE = "capture", "/ams/api/v1/payments/capture"
    REFUND = "refund", "/ams/api/v1/payments/refund"
    INQUIRY_REFUND = "inquiryRefund", "/ams/api/v1/payments/inquiryRefund"
    CREATE_PAYMENT_SESSION = "createPaymentSession", "/ams/api/v1/payments/createPaymentSession"
    VAULT_PAYMENT_METHOD = "vaultPaymentMethod", "/ams/api/v1/vaults/vaultPaymentMethod"
    CREATE_VAULTING_SESSION = "createVaultingSession", "/ams/api/v1/vaults/createVaultingSession"
    INQUIRE_VAULTING = "inquireVaulting", "/ams/api/v1/vaults/inquireVaulting"
    DELETE_TOKEN = "deleteToken", "/ams/api/v1/vaults/deleteToken"


def wire_path(operation: Operation, *, client_id: str) -> str:
    """Name the path that `client_id` calls and signs; sandbox clients have their own root (`antom-api.md` 1.1)."""
    if client_id.startswith(_SANDBOX_CLIENT_PREFIX):
        return operation.path.replace(_LIVE_ROOT, _SANDBOX_ROOT, 1)
    return operation.path

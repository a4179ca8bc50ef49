"""The gateway's operations: a table from path to handler, so that another operation is one entry.

Refuses to know HTTP and signatures. Invariant: a path that is not here does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping

from ops.sandbox.consultation import consult
from ops.sandbox.desk import Operation
from ops.sandbox.ledger import MovementKind
from ops.sandbox.movements import inquire_refund, move
from ops.sandbox.payment_operations import cancel, inquire_payment, pay
from ops.sandbox.session_operations import create_payment_session
from ops.sandbox.vault_operations import (
    create_vaulting_session,
    delete_token,
    inquire_vaulting,
    vault_payment_method,
)

OPERATIONS: Mapping[str, Operation] = {
    "/v1/payments/pay": Operation("pay", pay),
    "/v1/payments/inquiryPayment": Operation("inquiryPayment", inquire_payment),
    "/v1/payments/cancel": Operation("cancel", cancel),
    "/v1/payments/capture": Operation("capture", move(MovementKind.CAPTURE)),
    "/v1/payments/refund": Operation("refund", move(MovementKind.REFUND)),
    "/v1/payments/inquiryRefund": Operation("inquiryRefund", inquire_refund),
    "/v1/payments/consult": Operation("consult", consult),
    "/v1/payments/createPaymentSession": Operation("createPaymentSession", create_payment_session),
    "/v1/vaults/vaultPaymentMethod": Operation("vaultPaymentMethod", vault_payment_method),
    "/v1/vaults/createVaultingSession": Operation("createVaultingSession", create_vaulting_session),
    "/v1/vaults/inquireVaulting": Operation("inquireVaulting", inquire_vaulting),
    "/v1/vaults/deleteToken": Operation("deleteToken", delete_token),
}

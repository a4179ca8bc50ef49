import pytest

from vault.gateway.operations import Operation, wire_path


def test_operations_are_called_what_the_gateway_calls_them() -> None:
    assert {operation.value: operation.path for operation in Operation} == {
        "pay": "/ams/api/v1/payments/pay",
        "inquiryPayment": "/ams/api/v1/payments/inquiryPayment",
        "consult": "/ams/api/v1/payments/consult",
        "cancel": "/ams/api/v1/payments/cancel",
        "capture": "/ams/api/v1/payments/capture",
        "refund": "/ams/api/v1/payments/refund",
        "inquiryRefund": "/ams/api/v1/payments/inquiryRefund",
        "createPaymentSession": "/ams/api/v1/payments/createPaymentSession",
        "vaultPaymentMethod": "/ams/api/v1/vaults/vaultPaymentMethod",
        "createVaultingSession": "/ams/api/v1/vaults/createVaultingSession",
        "inquireVaulting": "/ams/api/v1/vaults/inquireVaulting",
        "deleteToken": "/ams/api/v1/vaults/deleteToken",
    }


def test_an_operation_is_found_by_its_name() -> None:
    assert Operation("cancel") is Operation.CANCEL
    assert str(Operation.PAY) == "pay"


def test_a_live_client_calls_the_live_path() -> None:
    assert wire_path(Operation.PAY, client_id="5Y0001") == "/ams/api/v1/payments/pay"


def test_a_sandbox_client_calls_the_sandbox_path() -> None:
    assert wire_path(Operation.CANCEL, client_id="SANDBOX_5Y0001") == "/ams/sandbox/api/v1/payments/cancel"


@pytest.mark.parametrize("client_id", ["sandbox_5Y0001", "5YSANDBOX_", "SANDBOX5Y"])
def test_only_the_exact_prefix_makes_a_sandbox_client(client_id: str) -> None:
    assert wire_path(Operation.PAY, client_id=client_id) == "/ams/api/v1/payments/pay"

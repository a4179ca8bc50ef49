"""One call to the gateway about a payment, with whatever happens turned into evidence.

It refuses to know rows. Invariants: what begins a payment, captures or refunds it is sent at most once and never by
itself again; a call that was certainly not sent says so, every other failure leaves the outcome unknown (design section
3).
"""

from collections.abc import Mapping
from typing import Any, Final

from vault.directory import Account
from vault.gateway.client import GatewayClient
from vault.gateway.errors import GatewayError, NotSent, OutcomeUnknown
from vault.gateway.evidence import read_cancel, read_inquiry, read_pay, read_session
from vault.gateway.limits import Deadline
from vault.gateway.messages import cancel_body, inquiry_body, refund_inquiry_body
from vault.gateway.movement_evidence import read_movement, read_refund_inquiry
from vault.gateway.operations import Operation
from vault.gateway.session_messages import Outgoing
from vault.gateway.values import result_of
from vault.logs import get_logger
from vault.movement import Movement, MovementSeen, MovementStatus
from vault.payment import Evidence, Payment, Source, Status
from vault.result import Result

_log = get_logger(__name__)
_PATIENCE: Final = 15.0


class Sender:
    """Calls the gateway for payments."""

    def __init__(self, client: GatewayClient) -> None:
        self._client = client

    async def send(self, account: Account, payment: Payment, what: Outgoing, deadline: Deadline) -> Evidence:
        """Send what begins a payment before its deadline, once, and give what came of it."""
        try:
            answer = await self._client.call(account.credentials, what.operation, what.body, deadline)
        except NotSent as error:
            _warn(payment, what.operation, error)
            return Evidence(Source.SENDER, Status.FAIL, not_sent=True)
        except OutcomeUnknown as error:
            _warn(payment, what.operation, error)
            return Evidence(Source.SENDER, Status.UNKNOWN)
        read = read_session if what.operation is Operation.CREATE_PAYMENT_SESSION else read_pay
        return read(answer.body, payment)

    async def move(
        self, account: Account, payment: Payment, movement: Movement, body: Mapping[str, Any], deadline: Deadline
    ) -> Evidence:
        """Send `capture` or `refund` before its deadline, once, and give what came of it."""
        operation = Operation(movement.kind.word)
        try:
            seen = read_movement(
                (await self._client.call(account.credentials, operation, body, deadline)).body, payment, movement
            )
        except GatewayError as error:
            _warn(payment, operation, error)
            stopped = isinstance(error, NotSent)
            seen = movement.seen(MovementStatus.FAIL if stopped else MovementStatus.PENDING, not_sent=stopped)
            return Evidence(Source.SENDER, None, movements=(seen,))
        return Evidence(Source.ANSWER, None, movements=(seen,))

    async def inquire_refund(self, account: Account, payment: Payment, refund: Movement) -> MovementSeen | None:
        """Ask about a refund; None when the gateway could not be asked or did not answer the question."""
        body = await self._ask(account, payment, Operation.INQUIRY_REFUND, refund_inquiry_body(refund))
        return None if body is None else read_refund_inquiry(body, refund)

    async def inquire(self, account: Account, payment: Payment) -> Evidence | None:
        """Ask about a payment; None when the gateway could not be asked or did not answer the question."""
        body = await self._ask(account, payment, Operation.INQUIRY_PAYMENT, inquiry_body(payment))
        return None if body is None else read_inquiry(body, payment)

    async def cancel(self, account: Account, payment: Payment) -> Evidence | Result | None:
        """Ask for a cancellation: evidence when it was done, the gateway's words when refused, None when unknown."""
        body = await self._ask(account, payment, Operation.CANCEL, cancel_body(payment)) or {}
        done = read_cancel(body, payment)
        if done is not None:
            return done
        result = result_of(body)
        return result if result is not None and result.status == "F" else None

    async def _ask(
        self, account: Account, payment: Payment, operation: Operation, body: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        try:
            answer = await self._client.call(account.credentials, operation, body, Deadline.after(_PATIENCE))
        except GatewayError as error:
            _warn(payment, operation, error)
            return None
        return answer.body


def _warn(payment: Payment, operation: Operation, error: GatewayError) -> None:
    _log.warning(
        "gateway.call_failed",
        merchant_id=payment.merchant_id,
        payment_id=payment.id,
        operation=operation.value,
        reason=error.reason.value,
    )

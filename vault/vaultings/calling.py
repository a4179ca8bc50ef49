"""One call to the gateway about a vaulting, with whatever happens turned into evidence.

It refuses to know rows. Invariants: what begins a vaulting is sent at most once; a call that was certainly not sent
says so, every other failure leaves the outcome unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from vault.directory import Account
from vault.gateway.client import GatewayClient
from vault.gateway.errors import GatewayError, NotSent, OutcomeUnknown
from vault.gateway.limits import Deadline
from vault.gateway.operations import Operation
from vault.gateway.vaulting_evidence import read_vaulting, read_vaulting_inquiry, read_vaulting_session
from vault.gateway.vaulting_messages import vaulting_inquiry_body
from vault.logs import get_logger
from vault.payment import Source
from vault.vaulting import Ending, Vaulting, VaultingSeen, VaultingStatus

_log = get_logger(__name__)
_PATIENCE: Final = 15.0


@dataclass(frozen=True, slots=True)
class VaultingCall:
    """What begins a vaulting, and until when it may be sent."""

    operation: Operation
    body: Mapping[str, Any]
    deadline: Deadline


class VaultCaller:
    """Calls the gateway about vaultings."""

    def __init__(self, client: GatewayClient) -> None:
        self._client = client

    async def begin(self, account: Account, vaulting: Vaulting, call: VaultingCall) -> VaultingSeen:
        """Send what begins a vaulting before its deadline, once, and give what came of it."""
        try:
            answer = await self._client.call(account.credentials, call.operation, call.body, call.deadline)
        except NotSent as error:
            _warn(vaulting, call.operation, error)
            return VaultingSeen(Source.SENDER, VaultingStatus.FAIL, ending=Ending.NOT_SENT)
        except OutcomeUnknown as error:
            _warn(vaulting, call.operation, error)
            return VaultingSeen(Source.SENDER, VaultingStatus.UNKNOWN)
        read = read_vaulting if call.operation is Operation.VAULT_PAYMENT_METHOD else read_vaulting_session
        return read(answer.body, vaulting)

    async def inquire(self, account: Account, vaulting: Vaulting) -> VaultingSeen | None:
        """Ask about a vaulting; None when the gateway could not be asked or did not answer the question."""
        operation, body = Operation.INQUIRE_VAULTING, vaulting_inquiry_body(vaulting)
        try:
            answer = await self._client.call(account.credentials, operation, body, Deadline.after(_PATIENCE))
        except GatewayError as error:
            _warn(vaulting, operation, error)
            return None
        return read_vaulting_inquiry(answer.body, vaulting)


def _warn(vaulting: Vaulting, operation: Operation, error: GatewayError) -> None:
    _log.warning(
        "gateway.call_failed",
        merchant_id=vaulting.merchant_id,
        vaulting_id=vaulting.id,
        operation=operation.value,
        reason=error.reason.value,
    )

"""Ways to pay an amount: asked of the gateway, and its installment plans remembered for a while.

It refuses to know HTTP and SQL. Invariants: asking changes no payment; an answer that cannot be trusted is no answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vault.asking_errors import GatewayUnavailable
from vault.auth import Caller
from vault.db import Database
from vault.directory import Directory
from vault.gateway.client import GatewayClient
from vault.gateway.consulting import CARD, Option, consult_body, read_options
from vault.gateway.errors import GatewayError
from vault.gateway.limits import Deadline
from vault.gateway.operations import Operation
from vault.gateway.values import result_of
from vault.installments import Plan
from vault.logs import get_logger
from vault.money import Amount
from vault.result import Result
from vault.store import offers
from vault.wire.options import PaymentOptionsRequest

_log = get_logger(__name__)
_PATIENCE: Final = 15.0


@dataclass(frozen=True, slots=True)
class Ways:
    """What the gateway answered about an amount: its own words, and the ways to pay."""

    amount: Amount
    result: Result
    options: list[Option]


class PaymentOptions:
    """The service behind `/v1/payment-options`."""

    def __init__(self, database: Database, directory: Directory, client: GatewayClient) -> None:
        self._database = database
        self._directory = directory
        self._client = client

    async def ask(self, caller: Caller, request: PaymentOptionsRequest) -> Ways:
        """Ask the gateway; raises `GatewayUnavailable` without an answer."""
        amount = request.payment_amount.amount
        account = await self._directory.account(caller.merchant_id, caller.origin)
        body = consult_body(request, account.merchant.settings)
        try:
            answer = await self._client.call(account.credentials, Operation.CONSULT, body, Deadline.after(_PATIENCE))
        except GatewayError as error:
            _log.warning(
                "gateway.call_failed",
                merchant_id=caller.merchant_id,
                operation=Operation.CONSULT.value,
                reason=error.reason.value,
            )
            raise GatewayUnavailable from None
        result = result_of(answer.body)
        if result is None or result.status not in {"S", "F"}:
            raise GatewayUnavailable
        options = read_options(answer.body) if result.status == "S" else []
        plans = _by_region(options)
        if plans:
            async with self._database.session() as session:
                await offers.keep(session, caller.merchant_id, amount.currency, plans)
        return Ways(amount, result, options)


def _by_region(options: Sequence[Option]) -> dict[str, list[Plan]]:
    """Give the plans for cards, by the region that they are for; none where cards were answered without plans."""
    found: dict[str, list[Plan]] = {}
    for option in options:
        if option.method == CARD and option.enabled:
            for region in option.regions or ("",):
                found.setdefault(region, []).extend(option.plans or ())
    return found

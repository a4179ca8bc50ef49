"""What the views of different things have in common.

It refuses to know what is shown. Invariant: an answer is written in camelCase, and a result in the gateway's own words.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from vault.money import Amount
from vault.result import Result
from vault.rules.declines import DeclineCategory, Retry
from vault.wire.orders import AmountField


class View(BaseModel):
    """An object in an answer, in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class GatewayWords(View):
    """The gateway's own words about something that was asked for."""

    result_code: str | None
    result_status: str | None
    result_message: str | None


class DeclinedView(View):
    """Why a payment, capture or refund failed, and what may be tried."""

    category: DeclineCategory
    retry: Retry
    not_before: datetime | None = None


def amount_shown(amount: Amount) -> AmountField:
    """Show an amount."""
    return AmountField(currency=amount.currency, value=amount.value)


def words_shown(result: Result | None) -> dict[str, str | None]:
    """Give what `GatewayWords` is made of."""
    return {
        "result_code": result.code if result else None,
        "result_status": result.status if result else None,
        "result_message": result.message if result else None,
    }

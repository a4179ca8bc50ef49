"""What is paid in a fault test: every scenario of the gateway crossed with every way to pay.

It refuses to know servers. Invariant: each case has an id, a buyer and a card of its own, so that cases of one run do
not touch each other.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from tests.canary import CVV_CANARY, VISA_CANARY

SCENARIOS = (
    "",
    "DECLINE:DO_NOT_HONOR",
    "DECLINE:STOLEN_CARD",
    "REQUIRE_3DS",
    "REQUIRE_3DS+LOST_ANSWER+NO_NOTIFICATION",
    "SLOW:300",
    "SLOW:300+DUPLICATE_NOTIFICATIONS",
    "LOST_ANSWER",
    "LOST_ANSWER+NO_NOTIFICATION",
    "RESET",
    "BAD_SIGNATURE",
    "UNSIGNED",
    "HTTP_500",
    "HTTP_500+NO_NOTIFICATION",
    "RATE_LIMIT",
    "NO_NOTIFICATION",
    "DUPLICATE_NOTIFICATIONS",
    "NOTIFY_FIRST",
    "LATE_SUCCESS",
    "LATE_SUCCESS+LOST_ANSWER+NO_NOTIFICATION",
)
CHALLENGE_LASTS = timedelta(seconds=6)


class Flow(StrEnum):
    """How a case pays."""

    STORE_AT_GATEWAY = "GATEWAY"
    STORE_IN_VAULT = "VAULT"
    STORE_IN_BOTH = "BOTH"
    BY_TOKEN = "TOKEN"
    BY_SEALED_PAN = "PAN"

    @property
    def stores(self) -> bool:
        """Tell whether the payment's card is to be kept."""
        return self in {Flow.STORE_AT_GATEWAY, Flow.STORE_IN_VAULT, Flow.STORE_IN_BOTH}


_FLOWS = tuple(Flow)
STORING = tuple(flow for flow in Flow if flow.stores)
NOT_STORING = tuple(flow for flow in Flow if not flow.stores)


def every(scenarios: Sequence[str], flows: Sequence[Flow] = _FLOWS) -> list[tuple[str, Flow]]:
    """Give every combination."""
    return list(itertools.product(scenarios, flows))


def in_turn(turn: int) -> list[tuple[str, Flow]]:
    """Give every scenario with one of the flows; five turns in a row meet all of them."""
    return [(scenario, _FLOWS[(place + turn) % len(_FLOWS)]) for place, scenario in enumerate(SCENARIOS)]


_KEPT = {
    Flow.STORE_AT_GATEWAY: {"TOKEN"},
    Flow.STORE_IN_VAULT: {"PAN"},
    Flow.STORE_IN_BOTH: {"PAN", "TOKEN"},
}


@dataclass(frozen=True, slots=True)
class Case:
    """One payment: the request that is sent, and what the gateway is told to do with it."""

    request_id: str
    scenario: str
    flow: Flow
    path: str
    body: dict[str, Any] = field(repr=False)
    authenticates: bool

    @property
    def buyer(self) -> str:
        """The buyer, who has no other card and no other payment."""
        return f"buyer-of-{self.request_id}"

    @property
    def kept(self) -> set[str]:
        """What is kept of the card when the payment succeeds."""
        return _KEPT[self.flow]

    def outcomes(self, *, sent: bool) -> set[str]:
        """Say how it may end, given whether the gateway had the request."""
        names = self.scenario.partition(":")[0].split("+")
        if not sent or {"DECLINE", "RESET", "RATE_LIMIT"} & set(names):
            return {"FAIL"}
        if "REQUIRE_3DS" in names and not self.authenticates:
            return {"FAIL", "CANCELLED"}
        return {"SUCCESS"}


def card() -> dict[str, Any]:
    """Give a card without its code, as it is stored."""
    return {"cardNo": VISA_CANARY, "expiryMonth": "12", "expiryYear": "39"}


def typed_card() -> dict[str, Any]:
    """Give a card as a buyer types it to pay."""
    return card() | {"cvv": CVV_CANARY}


def payment_body(request_id: str, buyer: str) -> dict[str, Any]:
    """Give what every payment says."""
    return {
        "paymentRequestId": request_id,
        "paymentAmount": {"currency": "EUR", "value": "1250"},
        "order": {
            "referenceOrderId": f"order-of-{request_id}",
            "orderDescription": "A chair",
            "buyer": {"referenceBuyerId": buyer},
        },
    }


def case(number: int, scenario: str, flow: Flow, card_id: str | None) -> Case:
    """Make a case; every second one that is challenged authenticates, the others let it expire."""
    request_id = f"req-{number}"
    authenticates = number % 2 == 0
    body = payment_body(request_id, f"buyer-of-{request_id}")
    if "REQUIRE_3DS" in scenario and not authenticates:
        body["paymentExpiryTime"] = (datetime.now(UTC) + CHALLENGE_LASTS).isoformat()
    path = "/v1/payments"
    if card_id is None:
        body |= {"card": typed_card(), "storeCard": flow.value}
    else:
        body |= {"cvv": CVV_CANARY}
        path = f"/v1/cards/{card_id}/payments"
    return Case(request_id, scenario, flow, path, body, authenticates)

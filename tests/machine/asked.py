"""What a merchant remembers of what it has asked for, and what a vault may answer to it.

It refuses to know how to ask. Invariant: what a vault has once said about an outcome is held against every later word.
"""

from dataclasses import dataclass, field
from typing import Any

from tests.machine.world import Answer, Json

FAULTS = [
    "DECLINE:DO_NOT_HONOR",
    "REQUIRE_3DS",
    "LATE_SUCCESS",
    "LOST_ANSWER",
    "BAD_SIGNATURE",
    "HTTP_500+NO_NOTIFICATION",
    "RATE_LIMIT",
    "RESET",
    "SLOW:20",
    "NOTIFY_FIRST",
    "DUPLICATE_NOTIFICATIONS",
]
MOVING_FAULTS = [fault for fault in FAULTS if fault not in {"DECLINE:DO_NOT_HONOR", "REQUIRE_3DS"}]
MOVING_FAULTS.append("DECLINE:PROCESS_FAIL")
# Where a vault may refuse, and why.
MOVING = {
    "already_captured",
    "authorisation_expired",
    "cancellation_pending",
    "capture_amount_exceeded",
    "capture_automatic",
    "capture_pending",
    "in_progress",
    "not_captured",
    "payment_not_cancellable",
    "payment_not_capturable",
    "payment_not_refundable",
    "refund_amount_exceeded",
}
STORED = {"card_deleted", "card_not_at_gateway", "card_pending", "not_found"}
VAULTING = {"card_deleted", "vaulting_failed"}
CHARGING = {
    "mandate_amount_exceeded",
    "mandate_busy",
    "mandate_currency_mismatch",
    "mandate_ended",
    "mandate_interval",
}
_ARROWS = {
    "CREATED": {"UNKNOWN", "PROCESSING", "SUCCESS", "FAIL", "CANCELLED"},
    "UNKNOWN": {"PROCESSING", "SUCCESS", "FAIL", "CANCELLED"},
    "PROCESSING": {"SUCCESS", "FAIL", "CANCELLED"},
    "SUCCESS": {"CANCELLED"},
    "FAIL": set(),
    "CANCELLED": set(),
}


def moves_on(before: str | None, after: str) -> bool:
    """Tell whether a payment may go from one state to another, or stay."""
    return before is None or before == after or after in _ARROWS[before]


@dataclass(slots=True)
class Card:
    """A card that the buyer has stored."""

    card_id: str
    active: bool = False
    gone: bool = False


@dataclass(slots=True)
class Mandate:
    """A mandate, its card, and how many intervals have passed."""

    mandate_id: str
    card: Card
    ended: bool = False
    interval: int = 0

    @property
    def over(self) -> bool:
        """Tell whether it must not be charged any more."""
        return self.ended or self.card.gone


@dataclass(slots=True)
class Payment:
    """A payment that was asked for, and what is known of it."""

    path: str
    body: Json = field(repr=False)
    interval: tuple[str, int] | None = None
    refused: bool = False
    shut: bool = False
    status: str | None = None
    payment_id: str | None = None
    page: str | None = None
    moves: set[str] = field(default_factory=set)

    @property
    def request_id(self) -> str:
        """The merchant's id of it."""
        return str(self.body["paymentRequestId"])

    def hear(self, answer: Answer | None, refusals: set[str]) -> None:
        """Take in what a vault answered to the request, or to a repeat of it."""
        if answer is None:
            return
        if not answer.done:
            assert answer.code in refusals | {"in_progress"}, answer
            self.refused = self.payment_id is None and answer.code != "in_progress"
            return
        self.refused = False
        assert self.payment_id in {None, answer.body["paymentId"]}
        assert self.payment_id is None or answer.replayed, "made twice"
        self.see(answer.body)

    def see(self, view: Json) -> None:
        """Take in how a vault shows it."""
        self.payment_id = view["paymentId"]
        assert moves_on(self.status, view["paymentStatus"]), (self.status, view["paymentStatus"])
        self.status = view["paymentStatus"]
        action: dict[str, Any] = view.get("nextAction") or {}
        self.page = view.get("normalUrl") or action.get("url") or (self.page if self.status == "PROCESSING" else None)


@dataclass(slots=True)
class Vaulting:
    """A card that is to be stored without a payment, and what is known of it."""

    path: str
    body: Json = field(repr=False)
    shut: bool = False
    page: str | None = None

    @property
    def request_id(self) -> str:
        """The merchant's id of it."""
        return str(self.body["vaultingRequestId"])

    def hear(self, answer: Answer | None) -> None:
        """Take in what a vault answered to the request, or to a repeat of it."""
        if answer is None:
            return
        assert answer.done or answer.code in VAULTING | {"in_progress"}, answer
        action: dict[str, Any] = answer.body.get("nextAction") or {}
        self.page = answer.body.get("normalUrl") or action.get("url")

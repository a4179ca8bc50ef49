"""What happened to money: authorisation decisions in order, and the captures and refunds that followed each of them.

Values alone. Refuses to know who asked and what is allowed. Invariant: a row shows only money that has moved.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ops.sandbox.fields import Amount
from ops.sandbox.results import Code, Json
from ops.sandbox.scenarios import Scenario


class RowStatus(StrEnum):
    """What became of an authorisation decision."""

    AUTHORISED = "AUTHORISED"
    DECLINED = "DECLINED"
    CANCELLED = "CANCELLED"


class MovementKind(StrEnum):
    """The ways money moves on an authorisation."""

    CAPTURE = "CAPTURE"
    REFUND = "REFUND"

    @property
    def prefix(self) -> str:
        """What field names of this kind begin with."""
        return self.lower()


class MovementStatus(StrEnum):
    """Where a capture or a refund stands."""

    PROCESSING = "PROCESSING"
    SUCCESS = "SUCCESS"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Order:
    """A capture or refund that is asked for; `request_id` is the gateway's own for automatic captures."""

    kind: MovementKind
    request_id: str
    amount: Amount
    notify_url: str | None
    last: bool = False


@dataclass(slots=True)
class Movement:
    """Money taken or given back, or an attempt at it."""

    order: Order
    movement_id: str
    client_id: str
    payment_id: str
    payment_request_id: str
    scenario: Scenario
    time: datetime
    status: MovementStatus = MovementStatus.PROCESSING
    code: str = Code.PAYMENT_IN_PROCESS
    # While the answer is on its way, the notification waits for it.
    held: bool = True

    def names(self) -> Json:
        """Return both ids and the amount under the names that messages give them."""
        word = self.order.kind.prefix
        return {
            f"{word}RequestId": self.order.request_id,
            f"{word}Id": self.movement_id,
            f"{word}Amount": self.order.amount.as_json(),
        }


@dataclass(slots=True)
class Row:
    """One authorisation decision, as `GET /_sandbox/ledger` shows it."""

    payment_request_id: str
    payment_id: str
    amount: Amount
    status: RowStatus
    movements: list[Movement] = field(default_factory=list)

    def of(self, kind: MovementKind) -> list[Movement]:
        """Return the captures or the refunds that were not refused, in order."""
        return [each for each in self.movements if each.order.kind is kind and each.status is not MovementStatus.FAIL]

    def done(self, kind: MovementKind) -> list[Movement]:
        """Return the captures or the refunds that moved money, in order."""
        return [each for each in self.of(kind) if each.status is MovementStatus.SUCCESS]

    def as_json(self) -> Json:
        """Return the row as documented."""
        return {
            "paymentRequestId": self.payment_request_id,
            "paymentId": self.payment_id,
            "amount": self.amount.as_json(),
            "status": str(self.status),
            "captures": [_entry(capture) for capture in self.done(MovementKind.CAPTURE)],
            "refunds": [_entry(refund) for refund in self.done(MovementKind.REFUND)],
        }


def _entry(movement: Movement) -> Json:
    word = movement.order.kind.prefix
    return {
        f"{word}RequestId": movement.order.request_id,
        f"{word}Id": movement.movement_id,
        "amount": movement.order.amount.as_json(),
    }

"""For how long a merchant's cards are kept, and why: the retention class that every stored card has.

It refuses to know cards and rows. Invariant: a class without a written reason cannot be made (controls.md RET-1).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from vault.pan_detector import contains_pan

_LONGEST_DAYS: Final = 3653
_SHORTEST_REASON: Final = 10
_LONGEST_REASON: Final = 500


class RetentionInvalid(ValueError):
    """A retention class that cannot be; the text says what is wrong with it and repeats nothing."""


class Starts(StrEnum):
    """When a card's period begins.

    `EXPIRED`: when its last month has ended everywhere on Earth; where the gateway told no expiry, as `UNUSED`.
    `UNUSED`: when it was last charged, or stored.
    """

    EXPIRED = "EXPIRED"
    UNUSED = "UNUSED"


@dataclass(frozen=True, slots=True)
class RetentionClass:
    """So many days from a start, for a business or legal reason; raises `RetentionInvalid` (controls.md RET-1)."""

    days: int
    starts: Starts
    reason: str

    def __post_init__(self) -> None:
        if not 0 <= self.days <= _LONGEST_DAYS:
            raise RetentionInvalid(f"a retention period is 0 to {_LONGEST_DAYS} days")
        if not _SHORTEST_REASON <= len(self.reason.strip()) <= _LONGEST_REASON or not self.reason.isprintable():
            raise RetentionInvalid(
                "a retention period needs its business or legal reason, written in one line of "
                f"{_SHORTEST_REASON} to {_LONGEST_REASON} characters"
            )
        if contains_pan(self.reason):
            raise RetentionInvalid("the reason for a retention period must not hold a card number")


# What a merchant has whose operator says nothing else: thirteen months, as long as refunds and disputes come in.
STANDARD: Final = RetentionClass(
    396, Starts.EXPIRED, "Refunds, disputes and recurring charges come in for thirteen months after a card's expiry."
)

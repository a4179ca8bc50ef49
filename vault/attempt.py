"""What a retry rule sees of charges with one card number: the one that is wanted, and those that were tried.

Refuses to know the number, the rules and where attempts are kept. Invariant: an attempt without a time of its decline
is one whose outcome is not known yet.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from vault.money import Amount


class Kept(StrEnum):
    """How long a decline is needed: for the longest window, until the buyer pays, or while its card is stored.

    In the order of strictness: what is kept longer serves the rules before as well.
    """

    WINDOW = "WINDOW"
    BUYER = "BUYER"
    CARD = "CARD"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A charge of a number: what is wanted now, or was tried; `mandate_id` None means that the buyer is there.

    `expiry` is the card's as `YYYY-MM`, None where only the gateway knows it.
    """

    amount: Amount
    network: str | None
    mandate_id: str | None = None
    expiry: str | None = None


@dataclass(frozen=True, slots=True)
class Tried(Attempt):
    """An attempt of which the outcome is open, or a decline with the codes that came with it."""

    refusal_code: str | None = None
    advice_code: str | None = None
    declined_at: datetime | None = None

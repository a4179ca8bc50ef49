"""The pages that buyers are sent to, as values: what each shows, and who takes what the buyer does there.

Refuses to know HTTP and HTML. Invariants: a page belongs to one payment or vaulting, and its address cannot be guessed;
what is done on a page that is over changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ops.sandbox.cards import Card
from ops.sandbox.identifiers import page_id

CHALLENGE_PATH = "/checkout/3ds/"
CHECKOUT_PATH = "/checkout/card/"


@dataclass(frozen=True, slots=True)
class Challenge:
    """A 3DS page; `answer` takes whether the buyer authenticated."""

    subject: str
    brand: str
    card: str
    redirect_url: str | None
    is_open: Callable[[], bool]
    answer: Callable[[bool], None]


@dataclass(frozen=True, slots=True)
class Typed:
    """What a buyer typed and ticked: a card where one was asked for; `outcome` None leads through the 3DS page."""

    card: Card | None
    cvv_letter: str | None
    save: bool
    installments: int | None
    outcome: bool | None


@dataclass(frozen=True, slots=True)
class Checkout:
    """A page for typing a card, or for confirming a known one.

    `submit` gives the address of a page that is still to be visited; raises `Refused` for a card that does not do.
    """

    subject: str
    redirect_url: str | None
    asks_card: bool
    luhn: bool
    is_open: Callable[[], bool]
    submit: Callable[[Typed], str | None]


class Pages:
    """Every page of one sandbox, by the last part of its address."""

    def __init__(self) -> None:
        self.public_url = ""
        self.challenges: dict[str, Challenge] = {}
        self.checkouts: dict[str, Checkout] = {}

    def challenge(self, make: Callable[[str], Challenge]) -> str:
        """Add a 3DS page, made with its own address; return the address."""
        page = page_id()
        url = f"{self.public_url}{CHALLENGE_PATH}{page}"
        self.challenges[page] = make(url)
        return url

    def checkout(self, make: Callable[[str], Checkout]) -> str:
        """Add a page for typing a card, made with its own address; return the address."""
        page = page_id()
        url = f"{self.public_url}{CHECKOUT_PATH}{page}"
        self.checkouts[page] = make(url)
        return url

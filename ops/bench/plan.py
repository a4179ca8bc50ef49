"""What a run measures: the requests, how often and for how long, with how many processes and cards.

It refuses to know how anything is measured. Invariant: a plan is complete before anything is started.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Case(StrEnum):
    """A kind of request that is measured."""

    STORE = "store"
    PAY = "pay"
    LIST = "list"
    DIRECT = "direct"
    KEPT = "kept"

    @property
    def route(self) -> str:
        """Name it as the API does."""
        return _ROUTES[self]

    @property
    def aim(self) -> float | None:
        """The part of the limit's rate that is aimed at."""
        return _AIMS.get(self)


_ROUTES: Final = {
    Case.STORE: "POST /v1/cards",
    Case.PAY: "POST /v1/cards/{id}/payments",
    Case.LIST: "GET /v1/buyers/{id}/cards",
    Case.DIRECT: "the gateway called directly",
    Case.KEPT: "the gateway called between two writes",
}
_AIMS: Final = {Case.STORE: 0.75, Case.PAY: 0.6, Case.LIST: 0.75}
# Reading comes first where cards are counted: what is stored afterwards does not change what was read.
BESIDE_A_LIMIT: Final = (Case.LIST, Case.PAY, Case.STORE)


@dataclass(frozen=True, slots=True)
class Plan:
    """One run; `seconds` is the length of each single measurement, `sizes` are numbers of stored cards.

    `connections` are as many as a gateway keeps busy that takes a quarter of a second. `limited`: whether the vault is
    compared with itself with limits on.
    """

    cases: tuple[Case, ...] = BESIDE_A_LIMIT
    processes: tuple[int, ...] = (1, 2)
    rounds: int = 5
    seconds: float = 4.0
    connections: int = 64
    cards: int = 100_000
    sizes: tuple[int, ...] = (1_000, 100_000, 1_000_000)
    size_rounds: int = 5
    limited: bool = True


QUICK: Final = Plan(
    rounds=2, seconds=1.0, connections=16, processes=(2,), cards=10_000, sizes=(1_000, 20_000), size_rounds=2
)

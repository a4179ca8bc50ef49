"""What captures and refunds are: movements of money on an authorisation, and the one function that judges evidence.

It refuses to know payments, rows and messages. Invariant (design section 3): an outcome is written once; only what was
believed not to have been sent may still turn up, and then somebody is told.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from vault.money import Amount
from vault.result import Result


class MovementKind(StrEnum):
    """Which way money moves."""

    CAPTURE = "CAPTURE"
    REFUND = "REFUND"

    @property
    def word(self) -> str:
        """Give what field names of this kind begin with, here and at the gateway."""
        return self.lower()


class MovementStatus(StrEnum):
    """Where a movement stands; `CREATED` is written before the call."""

    CREATED = "CREATED"
    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    FAIL = "FAIL"

    @property
    def open(self) -> bool:
        """Tell whether the outcome is not known, so that the amount stays reserved."""
        return self in {MovementStatus.CREATED, MovementStatus.PENDING}


@dataclass(frozen=True, slots=True)
class MovementSeen:
    """What one verified message (or our own certainty) says about a movement; `amount` None: nothing about it.

    `bound` is False for an answer that speaks of another movement than the one that was asked for.
    """

    kind: MovementKind
    request_id: str
    status: MovementStatus
    amount: Amount | None = None
    gateway_id: str | None = None
    result: Result | None = None
    not_sent: bool = False
    bound: bool = True


@dataclass(frozen=True, slots=True)
class Movement:
    """A capture or refund as it stands in the database; without a `send_deadline` it was made elsewhere.

    `under_way`: when it was read, its call had no answer yet and could still be sent.
    """

    id: str
    payment_id: str
    kind: MovementKind
    request_id: str
    status: MovementStatus
    amount: Amount
    is_last: bool
    gateway_id: str | None
    result: Result | None
    not_sent: bool
    digest: bytes | None
    digest_key_id: bytes | None
    send_deadline: datetime | None
    under_way: bool
    created_at: datetime
    updated_at: datetime

    @property
    def by_vault(self) -> bool:
        """Tell whether the vault made it of its own accord: nobody's request stands behind it."""
        return self.send_deadline is not None and self.digest is None

    def seen(self, status: MovementStatus, *, not_sent: bool = False) -> MovementSeen:
        """Give what the vault itself knows about this movement."""
        return MovementSeen(self.kind, self.request_id, status, not_sent=not_sent)


class MovementVerdict(StrEnum):
    """What evidence does to a movement."""

    NEW = "new"
    ADVANCE = "advance"
    IGNORE = "ignore"
    LATE = "late"
    CONTRADICTION = "contradiction"
    UNBOUND = "unbound"


def judge_movement(known: Movement | None, seen: MovementSeen, authorised: Amount) -> MovementVerdict:
    """Decide what evidence does to a movement that stands as given, None for one that was made elsewhere."""
    if known is None:
        fits = seen.amount is not None and seen.amount.currency == authorised.currency
        fits = fits and seen.amount is not None and seen.amount.minor <= authorised.minor
        return MovementVerdict.NEW if fits and seen.bound else MovementVerdict.UNBOUND
    if not seen.bound or seen.amount not in {None, known.amount}:
        return MovementVerdict.UNBOUND
    if seen.not_sent:  # concluded from what was known a moment ago: anything that was told since outweighs it
        return MovementVerdict.ADVANCE if known.status.open and known.gateway_id is None else MovementVerdict.IGNORE
    if known.status.open:
        adds = known.gateway_id is None and seen.gateway_id is not None
        forward = not seen.status.open or known.status is MovementStatus.CREATED
        return MovementVerdict.ADVANCE if forward or adds else MovementVerdict.IGNORE
    if known.not_sent and (seen.status is MovementStatus.SUCCESS or (seen.status.open and seen.gateway_id is not None)):
        return MovementVerdict.LATE
    same = seen.status is known.status or seen.status.open
    return MovementVerdict.IGNORE if same else MovementVerdict.CONTRADICTION

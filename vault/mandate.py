"""What a mandate is: a buyer's consent to be charged while absent, the evidence for it, and the limits of each charge.

It refuses to know rows, cards and messages. Invariant: a charge passes `check_charge` or it is refused with the one
code that says why; the same function judges every charge (design section 3; controls.md COF-5, COF-8, SCA-2).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

from vault.errors import FieldCode, FieldProblem
from vault.mandate_errors import (
    MandateAmountExceeded,
    MandateBusy,
    MandateCurrencyMismatch,
    MandateEnded,
    MandateExpired,
    MandateInterval,
    MandateNotStarted,
    MandateTypeMismatch,
)
from vault.money import Amount

# Full authentication, as the schemes write it: 02 for Mastercard, 05 for the others.
AUTHENTICATED: Final = frozenset({"02", "05"})


class RecurringType(StrEnum):
    """How charges come about: at set times, one after the other, or as needed, such as a top-up."""

    SCHEDULED = "SCHEDULED"
    UNSCHEDULED = "UNSCHEDULED"


class MandateStatus(StrEnum):
    """Whether a mandate can be charged; `EXPIRED` follows from the window and is also kept once it was noticed."""

    ACTIVE = "ACTIVE"
    ENDED = "ENDED"
    EXPIRED = "EXPIRED"


class EvidenceKind(StrEnum):
    """From where it is known that the buyer authenticated."""

    THREE_DS = "THREE_DS"
    MPI = "MPI"
    ASSUMED = "ASSUMED"
    IMPORTED = "IMPORTED"


@dataclass(frozen=True, slots=True)
class Evidence:
    """That the buyer authenticated, when, and the 3-D Secure facts that are known of it."""

    kind: EvidenceKind
    authenticated_at: datetime
    three_ds_version: str | None = None
    eci: str | None = None
    ds_transaction_id: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What the buyer agreed to; None: no limit. `until` is exclusive, the interval is in days of 24 hours."""

    cap: Amount | None
    start: datetime | None
    until: datetime | None
    interval_days: int | None


@dataclass(frozen=True, slots=True)
class Mandate:
    """A mandate as it stands in the database; an erased one has lost what could name the buyer."""

    merchant_id: str
    id: str
    card_id: str
    initial_payment_id: str | None
    recurring_type: RecurringType
    stored_status: MandateStatus
    limits: Limits
    network_transaction_id: str | None
    region: str | None
    evidence: Evidence
    consent: Mapping[str, Any] | None
    reference: str | None
    last_charged_at: datetime | None
    ended_at: datetime | None
    created_at: datetime
    updated_at: datetime
    read_at: datetime

    @property
    def status(self) -> MandateStatus:
        """Give the status at the time of reading, by the database's clock."""
        if self.stored_status is MandateStatus.ACTIVE and _passed(self.limits, self.read_at):
            return MandateStatus.EXPIRED
        return self.stored_status

    @property
    def not_before(self) -> datetime | None:
        """Give the earliest time of the next charge, where the interval decides it."""
        if self.last_charged_at is None or self.limits.interval_days is None:
            return None
        return self.last_charged_at + timedelta(days=self.limits.interval_days)


@dataclass(frozen=True, slots=True)
class Charges:
    """What was charged under a mandate so far, read while its row is locked.

    `latest` is the time of the newest charge that was not declined or voided, an open one included; `begun_at` is the
    time that a charge written now will carry, `now` the database's clock.
    """

    open: int
    latest: datetime | None
    begun_at: datetime
    now: datetime


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge that is asked for; `recurring_type` None: whatever the mandate says."""

    amount: Amount
    recurring_type: RecurringType | None


def check_charge(mandate: Mandate, charge: Charge, so_far: Charges) -> None:
    """Raise the first reason why a mandate does not cover a charge; return where it does."""
    check_state(mandate, so_far.now)
    _check_terms(mandate, charge)
    if mandate.recurring_type is RecurringType.SCHEDULED and so_far.open:
        raise MandateBusy
    interval = mandate.limits.interval_days
    if interval is None or so_far.latest is None:
        return
    if so_far.begun_at - so_far.latest < timedelta(days=interval):
        raise MandateInterval


def check_state(mandate: Mandate, now: datetime) -> None:
    """Raise `MandateEnded`, `MandateExpired` or `MandateNotStarted` for a mandate that cannot be charged at a time."""
    if mandate.stored_status is MandateStatus.ENDED:
        raise MandateEnded
    if mandate.stored_status is MandateStatus.EXPIRED or _passed(mandate.limits, now):
        raise MandateExpired
    if mandate.limits.start is not None and now < mandate.limits.start:
        raise MandateNotStarted


def _check_terms(mandate: Mandate, charge: Charge) -> None:
    cap = mandate.limits.cap
    if charge.recurring_type not in {None, mandate.recurring_type}:
        raise MandateTypeMismatch(errors=[FieldProblem("/recurringType", FieldCode.INVALID_VALUE)])
    if cap is None:
        return
    if charge.amount.currency != cap.currency:
        raise MandateCurrencyMismatch(errors=[FieldProblem("/paymentAmount/currency", FieldCode.INVALID_VALUE)])
    if charge.amount.minor > cap.minor:
        raise MandateAmountExceeded(errors=[FieldProblem("/paymentAmount/value", FieldCode.INVALID_VALUE)])


def _passed(limits: Limits, now: datetime) -> bool:
    return limits.until is not None and now >= limits.until


class Initial(Protocol):
    """What a mandate can rest on: a payment, or the storing of a card without one, that succeeded."""

    @property
    def authentication(self) -> Mapping[str, Any] | None:
        """What was asked for or brought along."""

    @property
    def result_info(self) -> Mapping[str, Any]:
        """What the gateway told."""

    @property
    def redirected(self) -> bool:
        """Whether the gateway sent the buyer somewhere."""

    @property
    def created_at(self) -> datetime:
        """When it was asked for."""


def evidence_of(initial: Initial, *, assume: bool) -> Evidence | None:
    """Find the evidence that the buyer authenticated for what a mandate is to rest on, or None.

    `assume` is the merchant's setting: what was redirected, asked for authentication and succeeded counts where the
    gateway returned no ECI (design section 3, mandate).
    """
    asked = initial.authentication or {}
    result, mpi = initial.result_info.get("threeDSResult") or {}, asked.get("mpi") or {}
    if result.get("eci") in AUTHENTICATED:
        return _evidence(EvidenceKind.THREE_DS, initial, result)
    if mpi.get("eci") in AUTHENTICATED:
        return _evidence(EvidenceKind.MPI, initial, mpi)
    if assume and "eci" not in result and asked.get("requested") and initial.redirected:
        return _evidence(EvidenceKind.ASSUMED, initial, result)
    return None


def _evidence(kind: EvidenceKind, initial: Initial, facts: Mapping[str, Any]) -> Evidence:
    return Evidence(
        kind, initial.created_at, facts.get("threeDSVersion"), facts.get("eci"), facts.get("dsTransactionId")
    )

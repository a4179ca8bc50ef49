"""What a mandate covers, judged without a database."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vault import mandate_errors
from vault.errors import VaultError
from vault.mandate import (
    Charge,
    Charges,
    Evidence,
    EvidenceKind,
    Limits,
    Mandate,
    MandateStatus,
    RecurringType,
    check_charge,
)
from vault.money import Amount
from vault.wire.mandates import MandatePaymentRequest

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
EUR = Amount("EUR", "1000")
DAY = timedelta(days=1)


def mandate(
    limits: Limits | None = None,
    kind: RecurringType = RecurringType.SCHEDULED,
    status: MandateStatus = MandateStatus.ACTIVE,
) -> Mandate:
    return Mandate(
        merchant_id="mer",
        id="man",
        card_id="card",
        initial_payment_id=None,
        recurring_type=kind,
        stored_status=status,
        limits=limits or Limits(None, None, None, None),
        network_transaction_id="N",
        region=None,
        evidence=Evidence(EvidenceKind.IMPORTED, NOW),
        consent=None,
        reference=None,
        last_charged_at=None,
        ended_at=None,
        created_at=NOW,
        updated_at=NOW,
        read_at=NOW,
    )


def so_far(open_charges: int = 0, latest: datetime | None = None) -> Charges:
    return Charges(open_charges, latest, begun_at=NOW, now=NOW)


@pytest.mark.parametrize(
    ("limits", "state", "refusal"),
    [
        (Limits(None, NOW + DAY, None, None), so_far(), mandate_errors.MandateNotStarted),
        (Limits(None, None, NOW, None), so_far(), mandate_errors.MandateExpired),
        (Limits(Amount("EUR", "999"), None, None, None), so_far(), mandate_errors.MandateAmountExceeded),
        (Limits(Amount("USD", "1000"), None, None, None), so_far(), mandate_errors.MandateCurrencyMismatch),
        (Limits(None, None, None, None), so_far(1, NOW), mandate_errors.MandateBusy),
        (Limits(None, None, None, 2), so_far(0, NOW - 2 * DAY + timedelta(seconds=1)), mandate_errors.MandateInterval),
        (Limits(None, None, None, 1), so_far(0, NOW + timedelta(seconds=1)), mandate_errors.MandateInterval),
    ],
)
def test_the_first_limit_that_does_not_hold_is_the_reason(
    limits: Limits, state: Charges, refusal: type[VaultError]
) -> None:
    with pytest.raises(refusal):
        check_charge(mandate(limits), Charge(EUR, None), state)


@pytest.mark.parametrize(
    ("status", "refusal"),
    [(MandateStatus.ENDED, mandate_errors.MandateEnded), (MandateStatus.EXPIRED, mandate_errors.MandateExpired)],
)
def test_what_is_over_stays_over(status: MandateStatus, refusal: type[VaultError]) -> None:
    with pytest.raises(refusal):
        check_charge(mandate(status=status), Charge(EUR, None), so_far())


def test_the_edges_of_every_limit_are_inside() -> None:
    limits = Limits(EUR, NOW, NOW + timedelta(microseconds=1), 2)
    check_charge(mandate(limits), Charge(EUR, RecurringType.SCHEDULED), so_far(0, NOW - 2 * DAY))


def test_an_unscheduled_mandate_is_never_busy() -> None:
    check_charge(mandate(kind=RecurringType.UNSCHEDULED), Charge(EUR, None), so_far(3, NOW))


def test_a_charge_that_is_no_object_is_refused() -> None:
    with pytest.raises(ValidationError):
        MandatePaymentRequest.model_validate([])


@given(
    cap=st.integers(1, 10**6),
    value=st.integers(1, 10**6),
    days=st.integers(1, 90),
    passed=st.integers(0, 100 * 24 * 3600),
    open_charges=st.integers(0, 1),
)
def test_nothing_outside_the_limits_is_covered(cap: int, value: int, days: int, passed: int, open_charges: int) -> None:
    limits = Limits(Amount.of_minor("EUR", cap), None, None, days)
    state = so_far(open_charges, NOW - timedelta(seconds=passed))
    inside = value <= cap and not open_charges and passed >= days * 24 * 3600
    charge = Charge(Amount.of_minor("EUR", value), None)
    if inside:
        check_charge(mandate(limits), charge, state)
        return
    with pytest.raises(VaultError):
        check_charge(mandate(limits), charge, state)

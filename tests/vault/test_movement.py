"""How evidence about captures and refunds is judged: every standing against every claim."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from vault.money import Amount
from vault.movement import Movement, MovementKind, MovementSeen, MovementStatus, MovementVerdict, judge_movement

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)
AMOUNT, AUTHORISED = Amount("EUR", "400"), Amount("EUR", "2590")
CAPTURE = Movement(
    id="cap_a",
    payment_id="pay_a",
    kind=MovementKind.CAPTURE,
    request_id="cr.1",
    status=MovementStatus.CREATED,
    amount=AMOUNT,
    is_last=False,
    gateway_id=None,
    result=None,
    not_sent=False,
    digest=b"x",
    digest_key_id=b"k",
    send_deadline=NOW,
    under_way=True,
    created_at=NOW,
    updated_at=NOW,
)
OPEN = (MovementStatus.CREATED, MovementStatus.PENDING)
FINAL = (MovementStatus.SUCCESS, MovementStatus.FAIL)


def seen(status: MovementStatus, amount: Amount | None = AMOUNT, gateway_id: str | None = None) -> MovementSeen:
    return MovementSeen(MovementKind.CAPTURE, "cr.1", status, amount, gateway_id)


def judged(standing: MovementStatus, claim: MovementSeen, *, not_sent: bool = False) -> MovementVerdict:
    return judge_movement(replace(CAPTURE, status=standing, not_sent=not_sent), claim, AUTHORISED)


@pytest.mark.parametrize("standing", MovementStatus)
@pytest.mark.parametrize("claim", MovementStatus)
def test_another_amount_or_movement_is_never_believed(standing: MovementStatus, claim: MovementStatus) -> None:
    for amount in (Amount("EUR", "401"), Amount("USD", "400")):
        assert judged(standing, seen(claim, amount)) is MovementVerdict.UNBOUND
    assert judged(standing, replace(seen(claim), bound=False)) is MovementVerdict.UNBOUND


@pytest.mark.parametrize("claim", FINAL)
def test_an_open_movement_takes_any_outcome(claim: MovementStatus) -> None:
    assert all(judged(standing, seen(claim)) is MovementVerdict.ADVANCE for standing in OPEN)
    assert judged(MovementStatus.PENDING, seen(claim, None)) is MovementVerdict.ADVANCE


def test_an_open_movement_goes_forward_and_learns_its_name() -> None:
    assert judged(MovementStatus.CREATED, seen(MovementStatus.PENDING)) is MovementVerdict.ADVANCE
    assert judged(MovementStatus.PENDING, seen(MovementStatus.PENDING)) is MovementVerdict.IGNORE
    named = seen(MovementStatus.PENDING, gateway_id="c.1")
    assert judged(MovementStatus.PENDING, named) is MovementVerdict.ADVANCE
    known = replace(CAPTURE, status=MovementStatus.PENDING, gateway_id="c.1")
    assert judge_movement(known, named, AUTHORISED) is MovementVerdict.IGNORE


@pytest.mark.parametrize("standing", FINAL)
def test_an_outcome_is_written_once(standing: MovementStatus) -> None:
    assert judged(standing, seen(standing)) is MovementVerdict.IGNORE
    assert judged(standing, seen(MovementStatus.PENDING, gateway_id="c.1")) is MovementVerdict.IGNORE
    other = MovementStatus.FAIL if standing is MovementStatus.SUCCESS else MovementStatus.SUCCESS
    assert judged(standing, seen(other)) is MovementVerdict.CONTRADICTION


def test_what_was_believed_not_to_be_sent_may_still_turn_up() -> None:
    late = [seen(MovementStatus.SUCCESS), seen(MovementStatus.PENDING, gateway_id="c.1")]
    assert all(judged(MovementStatus.FAIL, each, not_sent=True) is MovementVerdict.LATE for each in late)
    for nothing in (seen(MovementStatus.PENDING), seen(MovementStatus.FAIL)):
        assert judged(MovementStatus.FAIL, nothing, not_sent=True) is MovementVerdict.IGNORE


def test_the_conclusion_that_nothing_was_sent_gives_way_to_whatever_was_told() -> None:
    concluded = CAPTURE.seen(MovementStatus.FAIL, not_sent=True)
    assert all(judged(standing, concluded) is MovementVerdict.ADVANCE for standing in OPEN)
    assert all(judged(standing, concluded) is MovementVerdict.IGNORE for standing in FINAL)
    named = replace(CAPTURE, status=MovementStatus.PENDING, gateway_id="c.1")
    assert judge_movement(named, concluded, AUTHORISED) is MovementVerdict.IGNORE


def test_what_was_made_elsewhere_has_to_fit_the_payment() -> None:
    assert judge_movement(None, seen(MovementStatus.SUCCESS), AUTHORISED) is MovementVerdict.NEW
    assert judge_movement(None, seen(MovementStatus.SUCCESS, AUTHORISED), AUTHORISED) is MovementVerdict.NEW
    for odd in (
        seen(MovementStatus.SUCCESS, None),
        seen(MovementStatus.SUCCESS, Amount("EUR", "2591")),
        seen(MovementStatus.SUCCESS, Amount("USD", "1")),
        replace(seen(MovementStatus.SUCCESS), bound=False),
    ):
        assert judge_movement(None, odd, AUTHORISED) is MovementVerdict.UNBOUND

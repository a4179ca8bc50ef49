"""How evidence is judged: every standing against every claim, so that no state ever moves backwards."""

import pytest

from vault.payment import Evidence, Source, Standing, Status, Verdict, judge

OPEN = (Status.CREATED, Status.UNKNOWN, Status.PROCESSING)
FINAL = (Status.SUCCESS, Status.FAIL, Status.CANCELLED)
TOLD = (Source.ANSWER, Source.NOTIFICATION, Source.CANCEL, Source.SENDER, Source.WORKER)


def _judged(standing: Status, claim: Status | None, source: Source = Source.NOTIFICATION, **more: bool) -> Verdict:
    not_sent = more.get("not_sent", False)
    return judge(Standing(standing, not_sent), Evidence(source, claim, bound=more.get("bound", True)))


@pytest.mark.parametrize("standing", Status)
@pytest.mark.parametrize("claim", [None, *Status])
def test_what_is_about_something_else_is_never_believed(standing: Status, claim: Status | None) -> None:
    assert _judged(standing, claim, bound=False) is Verdict.UNBOUND


@pytest.mark.parametrize("standing", Status)
def test_the_same_again_or_nothing_about_the_state_adds_what_was_missing(standing: Status) -> None:
    assert _judged(standing, standing) is Verdict.ENRICH
    assert _judged(standing, None) is Verdict.ENRICH


@pytest.mark.parametrize("standing", OPEN)
@pytest.mark.parametrize("claim", FINAL)
def test_an_open_payment_takes_any_outcome(standing: Status, claim: Status) -> None:
    assert all(_judged(standing, claim, source) is Verdict.ADVANCE for source in Source)


def test_an_open_payment_goes_forward_and_never_back() -> None:
    for behind, ahead in ((0, 1), (0, 2), (1, 2)):
        assert _judged(OPEN[behind], OPEN[ahead]) is Verdict.ADVANCE
        assert _judged(OPEN[ahead], OPEN[behind]) is Verdict.IGNORE


@pytest.mark.parametrize("standing", FINAL)
@pytest.mark.parametrize("claim", OPEN)
def test_a_final_payment_is_not_opened_again(standing: Status, claim: Status) -> None:
    assert _judged(standing, claim) is Verdict.IGNORE


def test_an_authorisation_can_be_voided() -> None:
    assert all(_judged(Status.SUCCESS, Status.CANCELLED, source) is Verdict.ADVANCE for source in Source)


@pytest.mark.parametrize(
    ("standing", "claim"),
    [(Status.SUCCESS, Status.FAIL), (Status.FAIL, Status.SUCCESS), (Status.FAIL, Status.CANCELLED)],
)
def test_another_outcome_is_a_contradiction(standing: Status, claim: Status) -> None:
    assert all(_judged(standing, claim, source) is Verdict.CONTRADICTION for source in Source)


@pytest.mark.parametrize("claim", [Status.SUCCESS, Status.FAIL])
def test_what_is_cancelled_stays_so_and_only_an_inquiry_made_since_can_contradict(claim: Status) -> None:
    assert all(_judged(Status.CANCELLED, claim, source) is Verdict.IGNORE for source in TOLD)
    asked = {before: Evidence(Source.INQUIRY, claim, status_when_asked=before) for before in Status}
    verdicts = {before: judge(Standing(Status.CANCELLED), evidence) for before, evidence in asked.items()}
    assert verdicts == {**dict.fromkeys(Status, Verdict.IGNORE), Status.CANCELLED: Verdict.CONTRADICTION}


def test_what_was_believed_not_to_be_sent_may_still_turn_up() -> None:
    assert _judged(Status.FAIL, Status.SUCCESS, not_sent=True) is Verdict.LATE_AUTHORISATION
    assert _judged(Status.FAIL, Status.PROCESSING, not_sent=True) is Verdict.LATE_AUTHORISATION
    assert _judged(Status.FAIL, Status.CANCELLED, not_sent=True) is Verdict.IGNORE
    assert _judged(Status.FAIL, Status.UNKNOWN, not_sent=True) is Verdict.IGNORE

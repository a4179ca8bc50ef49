"""How evidence about a vaulting is judged: every standing against every claim, so that no state ever moves backwards."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from vault.payment import Channel, Source
from vault.result import Result
from vault.rules.declines import Retry
from vault.stored_card import NO_CHOICE
from vault.vaulting import Ending, Vaulting, VaultingSeen, VaultingStatus, Verdict, judge
from vault.vaultings.declining import not_before, reading_of

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)
OPEN = (VaultingStatus.CREATED, VaultingStatus.UNKNOWN, VaultingStatus.PROCESSING)
FINAL = (VaultingStatus.SUCCESS, VaultingStatus.FAIL)
VAULTING = Vaulting(
    merchant_id="mer_a",
    id="vlt_a",
    request_id="card.1",
    channel=Channel.DIRECT,
    status=VaultingStatus.CREATED,
    ending=None,
    buyer="buyer-1",
    pending_card_id="card_a",
    card_id=None,
    face=None,
    choice=NO_CHOICE,
    is_default=False,
    digest=b"",
    digest_key_id=b"",
    next_action=None,
    redirected=False,
    result=None,
    result_info={},
    authentication=None,
    metadata=None,
    consent=None,
    send_deadline=NOW,
    expires_at=NOW,
    created_at=NOW,
    updated_at=NOW,
    read_at=NOW,
)


def _judged(
    standing: VaultingStatus, claim: VaultingStatus | None, ending: Ending | None = None, *, bound: bool = True
) -> Verdict:
    seen = VaultingSeen(Source.NOTIFICATION, claim, bound=bound)
    return judge(replace(VAULTING, status=standing, ending=ending), seen)


@pytest.mark.parametrize("standing", VaultingStatus)
@pytest.mark.parametrize("claim", [None, *VaultingStatus])
def test_what_is_about_something_else_is_never_believed(standing: VaultingStatus, claim: VaultingStatus | None) -> None:
    assert _judged(standing, claim, bound=False) is Verdict.UNBOUND


@pytest.mark.parametrize("standing", VaultingStatus)
def test_the_same_again_or_nothing_about_the_state_adds_what_was_missing(standing: VaultingStatus) -> None:
    assert _judged(standing, standing) is _judged(standing, None) is Verdict.ENRICH


@pytest.mark.parametrize("standing", OPEN)
@pytest.mark.parametrize("claim", FINAL)
def test_an_open_vaulting_takes_any_outcome(standing: VaultingStatus, claim: VaultingStatus) -> None:
    assert _judged(standing, claim) is Verdict.ADVANCE


def test_an_open_vaulting_goes_forward_and_never_back() -> None:
    for behind, ahead in ((0, 1), (0, 2), (1, 2)):
        assert _judged(OPEN[behind], OPEN[ahead]) is Verdict.ADVANCE
        assert _judged(OPEN[ahead], OPEN[behind]) is Verdict.IGNORE


@pytest.mark.parametrize("standing", FINAL)
@pytest.mark.parametrize("claim", OPEN)
def test_an_outcome_is_not_opened_again(standing: VaultingStatus, claim: VaultingStatus) -> None:
    assert _judged(standing, claim) is Verdict.IGNORE


def test_another_outcome_is_a_contradiction() -> None:
    assert _judged(VaultingStatus.SUCCESS, VaultingStatus.FAIL) is Verdict.CONTRADICTION
    assert _judged(VaultingStatus.FAIL, VaultingStatus.SUCCESS) is Verdict.CONTRADICTION


@pytest.mark.parametrize("ending", Ending)
def test_what_the_vault_ended_itself_cannot_be_contradicted(ending: Ending) -> None:
    assert _judged(VaultingStatus.FAIL, VaultingStatus.SUCCESS, ending) is Verdict.IGNORE


@pytest.mark.parametrize("ending", Ending)
def test_every_ending_has_a_reading(ending: Ending) -> None:
    reading = reading_of(replace(VAULTING, status=VaultingStatus.FAIL, ending=ending))
    assert reading is not None
    assert (reading.retry is Retry.NEW_ID) == (ending is Ending.NOT_SENT)


def test_a_refusal_that_only_time_mends_says_how_much() -> None:
    info = {"cardBrand": "MASTERCARD", "refusalCodeRaw": "51", "merchantAdviceCode": "24"}
    failed = replace(VAULTING, status=VaultingStatus.FAIL, result=Result("DO_NOT_HONOR", "F", ""), result_info=info)
    reading = reading_of(failed)
    assert reading is not None
    assert (reading.retry, not_before(failed, reading)) == (Retry.LATER, NOW + timedelta(hours=1))


@pytest.mark.parametrize("status", [*OPEN, VaultingStatus.SUCCESS])
def test_what_did_not_fail_has_no_reading(status: VaultingStatus) -> None:
    assert reading_of(replace(VAULTING, status=status)) is None

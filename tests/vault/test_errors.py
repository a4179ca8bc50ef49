import re
import traceback

import pytest

from vault import errors
from vault.errors import DatabaseUnavailable, FieldCode, FieldProblem, InProgress, RequestInvalid, VaultError
from vault.problems import error_classes

CLASSES = list(error_classes(VaultError))


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_says_status_code_title_and_whether_to_retry(kind: type[VaultError]) -> None:
    assert 400 <= kind.status <= 599
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)
    assert kind.title
    assert kind.__doc__
    assert isinstance(kind.retryable, bool)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_is_drawn_in_the_tree_above_the_module(kind: type[VaultError]) -> None:
    assert re.search(rf"\b{kind.__name__}\b", errors.__doc__ or "")


def test_no_code_has_two_classes() -> None:
    codes = [kind.code for kind in CLASSES]

    assert len(codes) == len(set(codes))


def test_what_passes_by_itself_says_how_long_to_wait() -> None:
    assert all(kind().retry_after for kind in CLASSES if kind.retryable)


def test_every_unauthenticated_answer_names_a_scheme() -> None:
    """RFC 9110: a 401 carries WWW-Authenticate (API-2)."""
    assert all("WWW-Authenticate" in kind.headers for kind in CLASSES if kind.status == 401)


def test_the_wait_of_one_case_replaces_that_of_the_class() -> None:
    assert InProgress(retry_after=7).retry_after == 7
    assert DatabaseUnavailable().retry_after == 5


def test_an_error_prints_its_code_alone() -> None:
    error = RequestInvalid("A literal text.", errors=[FieldProblem("/card/cardNo", FieldCode.CARD_NUMBER_INVALID)])

    assert str(error) == "request_invalid"
    assert traceback.format_exception_only(error) == ["vault.errors.RequestInvalid: request_invalid\n"]

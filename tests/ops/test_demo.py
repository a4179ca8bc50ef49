"""What becomes of a demo that does not hold; the whole story is played by the README's own test."""

from typing import Any, Self

import pytest
from click.testing import CliRunner

import ops.demo
from ops.cli import main
from ops.demo_steps import Shown, Step
from ops.demo_story import DemoCard, StepFailed, Story, expect, new_cards
from vault.brands import luhn_ok


class Nothing:
    """Stands where a playground would be, for steps that need none."""

    def __init__(self, *_: object) -> None:
        self.state: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def held(_story: Story) -> Shown:
    return Shown("it held", ("a",), (("[b]",),))


def broken(_story: Story) -> Shown:
    raise StepFailed("one and one are three")


def played(monkeypatch: pytest.MonkeyPatch, *steps: Step) -> Any:
    monkeypatch.setattr(ops.demo, "Playground", Nothing)
    monkeypatch.setattr(ops.demo.run_demo, "__kwdefaults__", {"steps": steps})
    return CliRunner().invoke(main, ["demo"])


def test_a_step_that_does_not_hold_fails_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    result = played(monkeypatch, Step("First", held), Step("Second", broken), Step("Third", held))
    assert result.exit_code == 1
    assert "✓ 1. First" in result.stdout
    assert "✗ 2. Second" in result.stdout
    assert "Third" not in result.stdout
    assert "step 2: expected that one and one are three" in result.stderr


def test_a_connection_that_breaks_fails_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(_story: Story) -> Shown:
        raise ConnectionRefusedError

    assert "step 1: ConnectionRefusedError" in played(monkeypatch, Step("First", unreachable)).stderr


def test_what_is_shown_is_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "[b]" in played(monkeypatch, Step("First", held)).stdout


def test_an_expectation_that_holds_says_nothing() -> None:
    expect("something", "nothing")
    with pytest.raises(StepFailed, match="something else"):
        expect([], "something else")


def test_cards_are_new_valid_and_hidden() -> None:
    for first, second in (new_cards() for _ in range(20)):
        assert luhn_ok(first.number)
        assert luhn_ok(second.number)
        assert first.number[4:12] == second.number[4:12]
        assert first.number not in repr(first)
    assert len({card.number for card in (*new_cards(), *new_cards())}) == 4


def test_a_card_is_typed_with_its_code_only_where_it_is_wanted() -> None:
    card = DemoCard("4" * 16, "012")
    assert card.as_typed(with_cvv=True).keys() - card.as_typed(with_cvv=False).keys() == {"cvv"}

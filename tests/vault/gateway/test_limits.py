import pytest

from vault.gateway.limits import Deadline, Timeouts


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_deadline_has_passed_from_its_very_instant_on() -> None:
    clock = Clock()
    deadline = Deadline.after(10, clock=clock)
    clock.now = 109.5
    assert not deadline.passed()
    assert deadline.remaining() == 0.5
    clock.now = 110.0
    assert deadline.passed()
    clock.now = 111.0
    assert deadline.remaining() == -1.0


def test_by_default_it_runs_on_a_clock_of_this_machine() -> None:
    assert not Deadline.after(3600).passed()
    assert Deadline.after(-1).passed()


@pytest.mark.parametrize("phase", ["connect", "tls", "send", "answer", "total"])
@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_a_limit_that_would_mean_no_limit_is_refused(phase: str, seconds: float) -> None:
    with pytest.raises(ValueError, match="above zero"):
        Timeouts(**{phase: seconds})

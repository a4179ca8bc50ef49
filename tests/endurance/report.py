"""What a run says: a line for each fault, what was found at the end, and the exit code.

It refuses to know how faults are made. Invariant: nothing that is printed holds a card number or a login.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tests.endurance.load import Acknowledged
from tests.endurance.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Effect:
    """What a fault did: the longest time without an answer of 2xx, and when all was as before, in seconds."""

    fault: str
    gap: float
    whole_again: float
    answers: int


def say(text: str) -> None:
    """Print a line at once: a run takes minutes."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def tell(effect: Effect) -> None:
    """Print a line about a fault."""
    say(
        f"  {effect.fault:<34} no answer for {effect.gap:5.1f} s; whole again after {effect.whole_again:5.1f} s; "
        f"{effect.answers} answers meanwhile"
    )


def conclude(verdict: Verdict, told: Acknowledged, complaints: Sequence[str] = ()) -> int:
    """Print what was found, and give the exit code."""
    say(f"asked again: {dict(told.asked_again)}; refused: {dict(told.refused)}")
    for name, number in asdict(verdict).items():
        say(f"  {name.replace('_', ' '):<22} {number}")
    for complaint in complaints:
        say(f"  {complaint}")
    holds = verdict.holds and not told.refused and not complaints
    say("All invariants hold." if holds else "AN INVARIANT DOES NOT HOLD.")
    return 0 if holds else 1

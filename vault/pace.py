"""How patient the workers are: pauses between inquiries, and when something that nobody knows of was not sent.

It refuses to know what is asked about. Invariant: pauses grow up to a limit, however often was asked.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient workers are, in seconds."""

    first: float
    longest: float
    grace: float
    lease: float = 60.0

    def wait(self, attempts: int) -> float:
        """Give the backoff after that many inquiries."""
        return float(min(self.longest, self.first * 2 ** min(attempts, 20)))


def well_after(moment: datetime, deadline: datetime, grace: float) -> bool:
    """Tell whether a deadline and a grace of that many seconds have passed."""
    return moment > deadline + timedelta(seconds=grace)

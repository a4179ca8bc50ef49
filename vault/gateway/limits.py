"""How long a call may take, and until when it may still be sent.

Refuses to know wall clocks, sockets and what is sent. Invariant: a deadline is measured on a clock that only moves
forward, also while the process is stopped, so that a sender that wakes up late knows it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

# Where the system has it, the monotonic clock that also counts the time in which the machine was suspended.
_CLOCK_ID: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _monotonic() -> float:
    return time.clock_gettime(_CLOCK_ID)


@dataclass(frozen=True, slots=True)
class Deadline:
    """The last moment at which a sender may still write; seconds on a monotonic clock of this machine."""

    instant: float
    clock: Callable[[], float] = field(default=_monotonic, repr=False)

    @classmethod
    def after(cls, seconds: float, *, clock: Callable[[], float] = _monotonic) -> Self:
        """Set a deadline `seconds` from now."""
        return cls(clock() + seconds, clock)

    def remaining(self) -> float:
        """Tell how many seconds are left; negative once it has passed."""
        return self.instant - self.clock()

    def passed(self) -> bool:
        """Tell whether nothing may be written any more."""
        return self.remaining() <= 0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds allowed to each phase of a call, all above zero.

    `connect` and `tls` are one budget (a free slot, name, TCP, handshake), cut short by the deadline; `send` ends when
    the network has taken the body; `answer` is the longest silence after that; `total` is the whole call.
    """

    connect: float = 5.0
    tls: float = 5.0
    send: float = 10.0
    answer: float = 30.0
    total: float = 45.0

    def __post_init__(self) -> None:
        if min(self.connect, self.tls, self.send, self.answer, self.total) <= 0:
            raise ValueError("every time-out must be above zero")

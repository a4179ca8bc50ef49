"""Turns SIGTERM and SIGINT into an exception, for programs that start things and have to stop them again.

It refuses to know what is stopped. Invariant: after the first signal no other one disturbs the stopping.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopAsked(BaseException):
    """Somebody asked this program to stop."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Run a block that a signal ends; the block's own clean-up has to happen inside. Call it from the main thread."""
    before = {number: signal.signal(number, _ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except StopAsked:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ask(_number: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _ignore)
    raise StopAsked


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Let the stopping go on; unlike the system's own way to ignore, this is not handed down to children."""

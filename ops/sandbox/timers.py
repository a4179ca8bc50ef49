"""Things that happen later, and never after the end.

Refuses to know what they are. Invariant: once closed, nothing that was waiting happens any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Timers:
    """The pending timers of one running sandbox."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.TimerHandle] = set()

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Run an action after a number of seconds."""

        def run() -> None:
            self._waiting.discard(handle)
            action()

        handle = asyncio.get_running_loop().call_later(max(seconds, 0.0), run)
        self._waiting.add(handle)

    def close(self) -> None:
        """Forget everything that is waiting."""
        for handle in self._waiting:
            handle.cancel()
        self._waiting.clear()

"""Connections to PostgreSQL that are opened when they are needed, kept, and handed out one user at a time.

It refuses to know statements. Invariants: there are never more connections than places; who waits longest is served
first; a connection that was lost, or whose state nobody knows, is never handed out again.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeAlias

import asyncpg

from vault import metrics
from vault.hosts import Driver

Place: TypeAlias = "Driver | None"

_CLOSING_SECONDS: Final = 5.0


class PoolClosed(Exception):
    """The pool hands out nothing any more."""


class Pool:
    """So many places, each for one connection; `connect` opens one, `patience` is in seconds.

    Made anywhere, used in one event loop. Not the driver's own pool: its release is a task of its own (ADR 0014).
    """

    def __init__(self, connect: Callable[[], Awaitable[Driver]], *, size: int, patience: float) -> None:
        self._connect = connect
        self._patience = patience
        # The last one is taken first, so that what is not needed stays unopened; None: a place without a connection.
        self._free: list[Place] = [None] * size
        self._size = size
        self._waiting: deque[asyncio.Future[Place]] = deque()
        self._discarding: set[asyncio.Task[None]] = set()
        self._closed = False

    async def take(self) -> Driver:
        """Give a connection, to be given back; raises `TimeoutError`, `PoolClosed`, and what connecting raises."""
        if self._closed:
            raise PoolClosed
        place = self._free.pop() if self._free else await self._turn()
        if place is not None and not place.is_closed():
            return place
        opened: Place = None
        try:
            opened = await self._connect()
        finally:
            if opened is None:
                self._vacate(None)
        return opened

    @property
    def places(self) -> dict[str, int]:
        """Count the places that hold a connection in use, one that is kept, or none, and who waits for one."""
        idle = sum(place is not None for place in self._free)
        return {
            "busy": self._size - len(self._free),
            "idle": idle,
            "unopened": len(self._free) - idle,
            "waiting": len(self._waiting),
        }

    def give_back(self, driver: Driver, *, spoilt: bool = False) -> None:
        """Take a connection back; one that is `spoilt`, its last statement given up half-way, is closed instead."""
        if driver.is_closed():
            self._vacate(None)
        elif spoilt or self._closed or driver.is_in_transaction():
            task = asyncio.get_running_loop().create_task(self._discard(driver))
            self._discarding.add(task)
            task.add_done_callback(self._discarding.discard)
        else:
            self._vacate(driver)

    def forget(self) -> None:
        """Drop what is not in use: somebody found that the server does not answer, and may do so for ever."""
        for driver in self._free:
            if driver is not None:
                driver.terminate()

    async def close(self) -> None:
        """Close every connection, waiting a while for those that are in use; late ones are closed when they come."""
        if self._closed:
            return
        self._closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                for _ in range(self._size):
                    driver = self._free.pop() if self._free else await self._turn()
                    if driver is not None:
                        await _close(driver)

    async def _turn(self) -> Place:
        """Wait for a place."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[Place] = loop.create_future()
        self._waiting.append(turn)
        metrics.count_pool_wait()
        end = loop.call_later(self._patience, _give_up, turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:  # the place came, and nobody is here to take it
                self._vacate(turn.result())
            raise
        finally:
            end.cancel()

    def _vacate(self, place: Place) -> None:
        """Let who waits longest have a place, else keep it."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(place)
                return
        if place is None:
            self._free.insert(0, None)
        else:
            self._free.append(place)

    async def _discard(self, driver: Driver) -> None:
        """Close a connection, and only then let another take its place."""
        try:
            await _close(driver)
        finally:
            self._vacate(None)


def _give_up(turn: asyncio.Future[Place]) -> None:
    if not turn.done():
        metrics.count_pool_timeout()
        turn.set_exception(TimeoutError())


async def _close(driver: Driver) -> None:
    """Say goodbye to the server, which also ends a statement that still runs; whether it listens does not matter."""
    with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
        await driver.close(timeout=_CLOSING_SECONDS)

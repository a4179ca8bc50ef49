"""What is asked of the database while the same is under way goes there together: one statement, one commit.

It refuses to know what is asked. Invariants: an answer is given after the commit of what was written for it; what one
asks for decides nothing for the others, a group that is refused is asked for one by one; nobody waits long for a group
that came earlier, and who comes alone waits for nobody (ADR 0026, 0042).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, TypeAlias, TypeVar

from vault.db import Database, Session, StatementFailed

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
# Asks for all items in one statement and gives their outcomes in the same order.
Statement: TypeAlias = Callable[[Session, Sequence[Item]], Awaitable[Sequence[Outcome]]]

_MOST: Final = 32
_PATIENCE_SECONDS: Final = 0.05
# For what is asked around a call to the gateway, which takes so long that nobody notices (ADR 0042).
PACE_AROUND_A_CALL: Final = 0.025


@dataclass(frozen=True, slots=True)
class _Asked(Generic[Item, Outcome]):
    """An item and where its outcome is waited for."""

    item: Item
    told: "asyncio.Future[Outcome]"


class Groups(Generic[Item, Outcome]):
    """Items of one kind, at most `most` in one statement; after `patience` seconds a group is waited for no longer.

    A group begins no sooner than `pace` seconds after the one before it, so that those of a busy process grow.
    Made anywhere, used in one event loop.
    """

    def __init__(
        self,
        database: Database,
        statement: Statement[Item, Outcome],
        *,
        most: int = _MOST,
        patience: float = _PATIENCE_SECONDS,
        pace: float = 0.0,
    ) -> None:
        self._database = database
        self._statement = statement
        self._most = most
        self._patience = patience
        self._pace = pace
        self._soonest = 0.0
        self._waiting: deque[_Asked[Item, Outcome]] = deque()
        # What those who come now wait for: a group under way, or the moment at which the next one is made up.
        self._before: asyncio.Task[Sequence[Outcome | BaseException]] | asyncio.Handle | None = None
        self._under_way: set[asyncio.Task[Sequence[Outcome | BaseException]]] = set()

    async def ask(self, item: Item) -> Outcome:
        """Ask for an item, alone or with others, and give what came of it; raises what asking alone would raise.

        For whoever stops waiting before the group has begun, nothing is done.
        """
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Outcome] = loop.create_future()
        self._waiting.append(_Asked(item, told))
        if self._before is None:
            self._before = loop.call_soon(self._begin)
        return await told

    def _begin(self) -> None:
        """Begin a group of those who have waited longest."""
        self._before = None
        group = self._taken()
        if group:
            # In a context of its own: it belongs to no request, neither to its deadline nor to its lines in the log.
            loop = asyncio.get_running_loop()
            task = loop.create_task(self._answered([asked.item for asked in group]), context=Context())
            patience = loop.call_later(self._patience, self._go_on, task)
            task.add_done_callback(partial(self._tell, group, patience))
            self._under_way.add(task)
            self._before = task
            self._soonest = loop.time() + self._pace

    def _taken(self) -> list[_Asked[Item, Outcome]]:
        group: list[_Asked[Item, Outcome]] = []
        while self._waiting and len(group) < self._most:
            asked = self._waiting.popleft()
            if not asked.told.done():
                group.append(asked)
        return group

    async def _answered(self, items: Sequence[Item]) -> Sequence[Outcome | BaseException]:
        try:
            async with self._database.session() as session:
                return await self._statement(session, items)
        except StatementFailed:
            if len(items) == 1:
                raise
        # Nothing was written. Whose fault it was, each finds out alone.
        alone = await asyncio.gather(*(self._answered([item]) for item in items), return_exceptions=True)
        return [each if isinstance(each, BaseException) else each[0] for each in alone]

    def _tell(
        self,
        group: list[_Asked[Item, Outcome]],
        patience: asyncio.TimerHandle,
        task: "asyncio.Task[Sequence[Outcome | BaseException]]",
    ) -> None:
        patience.cancel()
        self._under_way.discard(task)
        failure = asyncio.CancelledError() if task.cancelled() else task.exception()
        outcomes = task.result() if failure is None else [failure] * len(group)
        for asked, outcome in zip(group, outcomes, strict=True):
            if asked.told.done():
                continue
            if isinstance(outcome, BaseException):
                asked.told.set_exception(outcome)
            else:
                asked.told.set_result(outcome)
        self._go_on(task)

    def _go_on(self, group: "asyncio.Task[Sequence[Outcome | BaseException]]") -> None:
        """Let nobody wait for a group any more, but for its pace."""
        if self._before is group:
            loop = asyncio.get_running_loop()
            left = self._soonest - loop.time()
            if left > 0:
                self._before = loop.call_later(left, self._begin)
            else:
                self._begin()

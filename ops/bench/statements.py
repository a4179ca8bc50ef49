"""Finds out which statement a function of the store runs, and what the database makes of it.

It refuses to know the statements: they are the store's own, so that nothing here can be older than they are.
Invariant: what is explained is rolled back.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson

from ops.connection import connect
from vault.db import Session


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement with its values."""

    text: str
    values: tuple[Any, ...]


class _Told(Exception):
    """Ends a function of the store at its first statement."""

    def __init__(self, statement: Statement) -> None:
        super().__init__()
        self.statement = statement


class _Listener(Session):
    """A session with no connection, which tells what it is asked."""

    __slots__ = ()

    def __init__(self) -> None:
        pass

    async def rows(self, statement: str, *values: Any) -> Any:
        """Tell."""
        raise _Told(Statement(statement, values))

    row = rows
    value = rows


async def statement_of(ask: Callable[[Session], Awaitable[object]]) -> Statement:
    """Give the first statement that a function of the store runs."""
    try:
        await ask(_Listener())
    except _Told as told:
        return told.statement
    raise ValueError("no statement was run")


async def buffers_of(superuser_url: str, statements: list[Statement]) -> list[int]:
    """Give how many pages each statement looks at, whether they were in memory or not (EXPLAIN ANALYZE, BUFFERS)."""
    connection = await connect(superuser_url)
    try:
        return [await _explained(connection, statement) for statement in statements]
    finally:
        await connection.close()


async def _explained(connection: Any, statement: Statement) -> int:
    transaction = connection.transaction()
    await transaction.start()
    try:
        explain = f"explain (analyze, buffers, format json) {statement.text}"
        plan = await connection.fetchval(explain, *statement.values)
    finally:
        await transaction.rollback()
    return _pages(orjson.loads(plan)[0]["Plan"])


def _pages(node: dict[str, Any]) -> int:
    """Count a node's own pages and those below it; a data-modifying CTE's are not among those of the node above."""
    below = [_pages(child) for child in node.get("Plans", ())]
    own: int = node["Shared Hit Blocks"] + node["Shared Read Blocks"]
    return max(own, sum(below))

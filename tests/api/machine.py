"""A running vault for state machines, which are synchronous: one loop, one gateway, one look at the database."""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import asyncpg

from tests.api.conftest import QUICK
from tests.api.shop import Sql
from tests.installation import Blueprint, Installation, installed

T = TypeVar("T")


@dataclass(slots=True)
class Shop:
    """A running vault and gateway, driven from synchronous code."""

    runner: asyncio.Runner
    vault: Installation
    sql: Sql

    def run(self, work: Awaitable[T]) -> T:
        """Wait for something on the loop of the vault."""

        async def waited() -> T:
            return await work

        return self.runner.run(waited())


@contextmanager
def open_shop(blueprint: Blueprint, url: str) -> Iterator[Shop]:
    """Start a vault whose sender gives up soon and whose gateway does late what it does late."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        sandbox = QUICK | {"late_after": 0.05}
        vault = runner.run(stack.enter_async_context(installed(blueprint, url, sandbox=sandbox, sender_deadline=1.0)))
        connection = runner.run(asyncpg.connect(url, ssl=False))
        yield Shop(runner, vault, Sql(connection))
        runner.run(connection.close())
        runner.run(stack.aclose())

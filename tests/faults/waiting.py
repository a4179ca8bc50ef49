"""Waiting for something that nobody announces.

It refuses to know what is waited for. Invariant: no wait lasts for ever.
"""

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE = 120.0
_PAUSE = 0.02


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again until it holds; raises TimeoutError when it never does."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if await holds():
                return
            await asyncio.sleep(_PAUSE)

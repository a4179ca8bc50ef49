"""The world once more, its vaults being processes: each a server and a worker, and killed (SIGKILL) where they are doomed.

A step says how long after the next request the process that took it is killed. It refuses to know what must hold.
Invariant: a process that was killed is replaced by another one before anybody asks there again.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from tests.faults.steps import Step
from tests.faults.stoppable import Forge, Stoppable
from tests.machine.dying import STEPS
from tests.machine.world import SETTINGS, Answer, Vault, World

_A_WHILE = 0.006
_A_WORKERS_ROUND = 0.1


@dataclass(slots=True, kw_only=True)
class Processes(World):
    """Two processes over one database."""

    forge: Forge
    _servers: dict[int, Stoppable] = field(default_factory=dict)
    _doomed_after: float | None = None

    async def open(self) -> Vault:
        """Start a process."""
        ending = AsyncExitStack()
        settings = SETTINGS | {"gateway_url": self.sandbox.url, "public_url": self.post.url}
        making = self.forge.server(Step.NEVER, self.blueprint.folder, self.database_url, **settings)
        server = await ending.enter_async_context(making)
        vault = Vault(await self.client_of(server.url, ending), ending)
        self._servers[id(vault)] = server
        return vault

    async def ask(self, number: int, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer | None:
        """Ask a process for something, and kill it meanwhile where it is doomed."""
        if self._doomed_after is None:
            return await World.ask(self, number, method, path, body)
        seconds, self._doomed_after = self._doomed_after, None
        answer, _ = await asyncio.gather(World.ask(self, number, method, path, body), self._killed(number, seconds))
        return answer

    async def _killed(self, number: int, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._servers.pop(id(self.vaults[number])).kill()
        self.doom.deaths += 1
        await self.restart(number)

    async def work(self, number: int) -> None:
        """Give the workers time; they work all the while."""
        await asyncio.sleep(_A_WORKERS_ROUND)

    async def die_at(self, step: Step | None) -> None:
        """Have the process that takes the next request die soon."""
        self._doomed_after = None if step is None else STEPS.index(step) * _A_WHILE

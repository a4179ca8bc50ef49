"""The world that a state machine moves: two vaults that share a database and nothing else, a gateway, and the post.

It refuses to know what is asked and what must hold. Invariant: whatever dies in it is replaced before it is asked again.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import asyncpg
import httpx2
from fastapi import FastAPI

from ops.sandbox.config import SandboxConfig
from ops.sandbox.server import Sandbox
from tests.api.shop import Sql
from tests.faults.steps import Step
from tests.installation import Blueprint, served
from tests.machine.dying import Died, Doom, mortality
from tests.machine.post import Letter, PostOffice, post_office
from vault.services import Services

T = TypeVar("T")
Json: TypeAlias = dict[str, Any]
VAULTS = (0, 1)
SANDBOX: Json = {"capture_delay": 0.02, "late_after": 0.03, "notification_scale": 0.0001, "notification_timeout": 2.0}
SETTINGS: Json = {"sender_deadline": 2.0, "not_sent_grace": 0.05, "inquiry_max": 1.0, "pool_size": 6}
SETTINGS |= {"retry_guard": True, "retry_rules_file": str(Path(__file__).with_name("counted.json"))}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a vault answered."""

    status: int
    body: Json
    replayed: bool = False

    @property
    def done(self) -> bool:
        """Tell whether it did what was asked."""
        return self.status < 300

    @property
    def code(self) -> str:
        """Why it did not."""
        return str(self.body.get("code"))


@dataclass(slots=True)
class Vault:
    """One of the vaults: how to ask it, and how it is ended."""

    client: httpx2.AsyncClient
    ending: AsyncExitStack = field(repr=False)
    services: Services | None = None


@dataclass(slots=True)
class World:
    """Two applications in this process, each with pools and caches of its own, over one database."""

    blueprint: Blueprint
    database_url: str
    sandbox: Sandbox
    browser: httpx2.AsyncClient
    sql: Sql
    doom: Doom
    post: PostOffice = field(init=False)
    vaults: list[Vault] = field(default_factory=list)
    _turns: Iterator[int] = field(default_factory=lambda: itertools.cycle(VAULTS))

    async def open(self) -> Vault:
        """Start a vault."""
        ending = AsyncExitStack()
        settings = SETTINGS | {"gateway_url": self.sandbox.url, "public_url": self.post.url}
        app: FastAPI
        app, url = await ending.enter_async_context(served(self.blueprint, self.database_url, **settings))
        client = await self.client_of(url, ending)
        return Vault(client, ending, app.state.services)

    async def client_of(self, url: str, ending: AsyncExitStack) -> httpx2.AsyncClient:
        """Give a merchant's connection to a vault."""
        headers = self.blueprint.tenants[0].headers
        return await ending.enter_async_context(
            httpx2.AsyncClient(verify=False, base_url=url, headers=headers, timeout=30)
        )

    async def restart(self, number: int) -> None:
        """Put a vault that knows nothing in the place of one that may know something."""
        old, self.vaults[number] = self.vaults[number], await self.open()
        await old.ending.aclose()

    async def ask(self, number: int, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer | None:
        """Ask a vault for something; None when it died over it."""
        try:
            answer = await self.vaults[number].client.request(method, path, json=body)
        except httpx2.TransportError:
            return None
        ended = answer.status_code == 500 and "json" not in answer.headers["content-type"]
        if ended or answer.status_code == 503:
            return None
        assert answer.status_code < 500, answer.text
        return Answer(
            answer.status_code, answer.json() if answer.content else {}, "Idempotent-Replayed" in answer.headers
        )

    async def carry(self, letter: Letter) -> int | None:
        """Bring a letter to one vault or the other, in turn."""
        try:
            answer = await self.vaults[next(self._turns)].client.post(
                letter.path, content=letter.body, headers=letter.headers
            )
        except httpx2.TransportError:
            return None
        return answer.status_code

    async def work(self, number: int) -> None:
        """Do what a worker beside a vault would do now; what dies on the way has done a part of it."""
        services = self.vaults[number].services
        assert services is not None
        try:
            await services.orphans.look()
            for asker in (services.reconciler, services.vaulting_follower):
                for due in await asker.claim(100):
                    await asker.resolve(due)
            await services.tokens.delete_due()
        except Died:
            pass

    async def arm(self, request_id: str, scenario: str) -> None:
        """Make the gateway misbehave for the first call with a request id."""
        body = {"paymentRequestId": request_id, "scenario": scenario}
        answer = await self.browser.post(f"{self.sandbox.url}/_sandbox/scenarios", json=body)
        assert answer.status_code == 200, answer.text

    async def die_at(self, step: Step | None) -> None:
        """Have the next one that reaches a step die there; None: nobody."""
        self.doom.at = step

    async def close(self) -> None:
        """End what was started."""
        for vault in self.vaults:
            await vault.ending.aclose()


@dataclass(slots=True)
class Stage:
    """A world, driven from synchronous code."""

    runner: asyncio.Runner
    world: World

    def run(self, work: Awaitable[T]) -> T:
        """Wait for something on the loop of the world."""

        async def waited() -> T:
            return await work

        return self.runner.run(waited())


@contextmanager
def open_stage(blueprint: Blueprint, url: str, kind: type[World] = World, **more: Any) -> Iterator[Stage]:
    """Make a world and end it."""
    with asyncio.Runner() as runner, mortality() as doom:
        stack = AsyncExitStack()
        world = runner.run(_made(stack, blueprint, url, partial(kind, doom=doom, **more)))
        try:
            yield Stage(runner, world)
        finally:
            runner.run(stack.aclose())


async def _made(stack: AsyncExitStack, blueprint: Blueprint, url: str, kind: Callable[..., World]) -> World:
    config = SandboxConfig(gateway_key_file=blueprint.folder / "gateway.pem", **SANDBOX)
    sandbox = await stack.enter_async_context(Sandbox(config))
    browser = await stack.enter_async_context(httpx2.AsyncClient(verify=False, timeout=30))
    for tenant in blueprint.tenants:
        known = {"clientId": tenant.gateway_client_id, "publicKey": tenant.public_key}
        (await browser.post(f"{sandbox.url}/_sandbox/clients", json=known)).raise_for_status()
    connection = await asyncpg.connect(url, ssl=False)
    stack.push_async_callback(connection.close)
    world = kind(blueprint, url, sandbox, browser, Sql(connection))
    world.post = await stack.enter_async_context(post_office(world.carry))
    stack.push_async_callback(world.close)
    world.vaults = [await world.open() for _ in VAULTS]
    return world

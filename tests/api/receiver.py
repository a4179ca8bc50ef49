"""A merchant's webhook receiver in tests: answers as it is told, keeps what came, checks signatures with the library.

The library is the independent implementation: nothing of the vault's takes part in the check.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook

from tests.api.shop import until
from tests.installation import Installation
from tests.serving import running
from vault.store import events
from vault.worker.delivering import Deliverer
from vault.worker.webhook_sender import WebhookSender


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> dict[str, Any]:
        """Check the signature, and give what was told."""
        told: dict[str, Any] = Webhook(secret).verify(self.body, self.headers)
        return told


@dataclass
class Receiver:
    """What listens at `url`; answers come from `answers` first (a status, or a whole answer), then 204."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answers: deque[int | web.Response] = field(default_factory=deque)
    delay: float = 0.0

    async def handle(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Received(headers, await request.read()))
        answer = self.answers.popleft() if self.answers else 204
        await asyncio.sleep(self.delay)
        return web.Response(status=answer) if isinstance(answer, int) else answer

    @property
    def ids(self) -> list[str]:
        return [each.id for each in self.received]


@asynccontextmanager
async def receiving(port: int | None = None) -> AsyncIterator[Receiver]:
    """Listen on a port of this machine, by default a free one."""
    receiver = Receiver()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receiver.handle)
    async with running(application, port or 0, patience=0.1) as url:
        receiver.url = f"{url}/hook"
        yield receiver


@asynccontextmanager
async def delivering(vault: Installation, **changes: Any) -> AsyncIterator[Deliverer]:
    """Give what a worker delivers with."""
    settings = vault.settings
    values: dict[str, Any] = {"allowed": settings.webhook_networks, "timeout": settings.webhook_timeout} | changes
    async with WebhookSender(**values) as sender:
        deliverer = Deliverer(vault.services, sender)
        try:
            yield deliverer
        finally:
            await deliverer.finish()


async def deliver(deliverer: Deliverer, done: Callable[[], bool] = lambda: True, *, seconds: float = 15.0) -> None:
    """Deliver until nothing is due and something has happened."""
    async with asyncio.timeout(seconds):
        while True:
            if not await deliverer.once(0.02) and done():
                return
            await asyncio.sleep(0.005)


async def endpoint(vault: Installation, url: str, *types: str) -> dict[str, Any]:
    """Add an endpoint and give its view, the secret included."""
    body = {"url": url} | ({"eventTypes": list(types)} if types else {})
    answer = await vault.api.post("/v1/webhook-endpoints", json=body)
    assert answer.status_code == 201, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def settled(vault: Installation) -> None:
    """Wait until nobody could add an event before the last one.

    Other tests' databases are of the same cluster: a long transaction in one of them is waited for, too.
    """

    async def listable() -> bool:
        async with vault.services.database.session() as session:
            return not await events.any_unsettled(session, vault.tenants[0].merchant_id)

    await until(listable, seconds=120)


async def told(vault: Installation, *, settle: bool = True, **query: Any) -> list[dict[str, Any]]:
    """Give the events of the merchant, following the cursors to the end."""
    found: list[dict[str, Any]] = []
    if settle:
        await settled(vault)
    while True:
        answer = await vault.api.get("/v1/events", params=query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["events"]
        if page["nextCursor"] is None:
            return found
        query["cursor"] = page["nextCursor"]


async def deliveries(vault: Installation, endpoint_id: str, **query: Any) -> list[dict[str, Any]]:
    """Give the first page of what was or will be delivered to an endpoint."""
    answer = await vault.api.get(f"/v1/webhook-endpoints/{endpoint_id}/deliveries", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["deliveries"]
    return found

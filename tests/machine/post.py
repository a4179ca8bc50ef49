"""The post between gateway and vault: notifications can be kept back, and delivered later, in any order, again and again.

It refuses to read them. Invariant: a letter arrives as it was written, byte for byte, or not at all.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from aiohttp import web

from ops.sandbox.notifier import ACKNOWLEDGEMENT
from tests.serving import on_a_free_port

_PASSED_ON = ("content-type", "client-id", "request-time", "signature")


@dataclass(frozen=True, slots=True)
class Letter:
    """A notification as it came from the gateway."""

    path: str
    headers: dict[str, str]
    body: bytes = field(repr=False)


# Brings a letter to a vault and gives the status of its answer; None where nobody answered.
Carrier: TypeAlias = Callable[[Letter], Awaitable[int | None]]


@dataclass(slots=True)
class PostOffice:
    """Stands where the gateway believes the vault to be."""

    carrier: Carrier
    url: str = ""
    closed: bool = False
    kept: list[Letter] = field(default_factory=list)
    brought: list[Letter] = field(default_factory=list)

    async def receive(self, request: web.Request) -> web.Response:
        """Take a letter: keep it back and say that it arrived, or bring it at once."""
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        letter = Letter(request.path, headers, await request.read())
        if self.closed:
            self.kept.append(letter)
            return _acknowledged(200)
        return _acknowledged(await self.bring(letter) or 503)

    async def bring(self, letter: Letter) -> int | None:
        """Deliver a letter, one that was delivered before as well."""
        status = await self.carrier(letter)
        if status == 200:
            self.brought.append(letter)
        return status


def _acknowledged(status: int) -> web.Response:
    return web.Response(status=status, body=json.dumps(ACKNOWLEDGEMENT).encode(), content_type="application/json")


@asynccontextmanager
async def post_office(carrier: Carrier) -> AsyncIterator[PostOffice]:
    """Open a post office on a free port."""
    office = PostOffice(carrier)
    async with on_a_free_port(office.receive) as office.url:
        yield office

"""The servers of tests end without a trace, whoever is just coming in: what is left open would fail another test."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import uvicorn
from aiohttp import web
from yarl import URL

from tests.installation import listening
from tests.serving import conversing, running

pytestmark = pytest.mark.anyio


async def _answer(_scope: object, _receive: object, _send: object) -> None:
    raise AssertionError("nothing was asked")


async def _silence(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


@asynccontextmanager
async def _receiver() -> AsyncIterator[int]:
    async with running(web.Application()) as url:
        yield URL(url).port or 0


SERVERS: dict[str, Callable[[], AbstractAsyncContextManager[int]]] = {
    "application": lambda: listening(uvicorn.Config(_answer, log_config=None, lifespan="off")),
    "conversation": lambda: conversing(_silence),
    "receiver": _receiver,
}


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("turns", range(6))
async def test_who_comes_in_while_it_ends_is_let_out(kind: str, turns: int) -> None:
    async with SERVERS[kind]() as port:
        late = socket.create_connection(("127.0.0.1", port))
        for _ in range(turns):
            await asyncio.sleep(0)
    late.close()
    gc.collect()  # what nobody closed fails this test here

"""Small servers inside a test: of an application, of one handler, or of whole connections.

Whatever the handler is at when the test is over, its connection is closed: one left open would fail another test.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.typedefs import Handler

Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_TURNS = 20  # of the loop, until both ends of a connection have seen that it has begun, or is over


async def close_the_door(servers: Iterable[asyncio.Server]) -> None:
    """Close servers once nobody is between door and handler.

    A connection that was accepted, and is not yet one of the server's when that is closed, is lost by asyncio: nobody
    would ever close its socket.
    """
    for server in servers:
        for listener in server.sockets:
            asyncio.get_running_loop().remove_reader(listener.fileno())
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    for server in servers:
        server.close()


@asynccontextmanager
async def running(app: web.Application, port: int = 0, *, patience: float = 60.0) -> AsyncIterator[str]:
    """Serve an application, by default on a free port, and give its URL; in the end handlers have `patience` seconds."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=patience)
    await runner.setup()
    assert runner.server is not None
    server = await asyncio.get_running_loop().create_server(runner.server, "127.0.0.1", port, reuse_address=True)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        await close_the_door([server])
        await runner.cleanup()


@asynccontextmanager
async def on_a_free_port(handler: Handler) -> AsyncIterator[str]:
    """Serve what one handler answers, and give the server's URL."""
    app = web.Application()
    app.router.add_post("/{path:.*}", handler)
    async with running(app) as url:
        yield url


@asynccontextmanager
async def conversing(converse: Conversation, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve connections, and give the port; what a conversation raises is raised in the end."""
    conversations: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await converse(reader, writer)

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversations[asyncio.get_running_loop().create_task(hold(reader, writer))] = writer

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        await close_the_door([server])
        for conversation in conversations:
            conversation.cancel()
        results = await asyncio.gather(*conversations, return_exceptions=True)
        for writer in conversations.values():
            writer.transport.abort()
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        failures = [result for result in results if isinstance(result, Exception)]
        if failures:
            raise ExceptionGroup("a server of the test failed", failures)

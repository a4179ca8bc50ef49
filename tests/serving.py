"""Small servers inside a test: every request, or every connection, to a free port goes to one handler.

Whatever the handler is at when the test is over, its connection is closed: one left open would fail another test.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.typedefs import Handler


@asynccontextmanager
async def on_a_free_port(handler: Handler) -> AsyncIterator[str]:
    """Serve, and give the server's URL."""
    app = web.Application()
    app.router.add_post("/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_TURNS = 20  # of the loop, until both ends of a connection have seen that it is over


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
        server.close()
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

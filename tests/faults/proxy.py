"""A wire to PostgreSQL that can be cut after a statement was sent and before its answer is back (T-15).

It refuses to know the protocol. Invariant: what triggers the cut has reached the server and was answered there.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from tests.serving import conversing

_CHUNK = 65536


class Wire:
    """Connections to one server; `cut_at` names the bytes after which a connection is cut."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self.cut_at: tuple[bytes, ...] = ()
        self.cuts = 0

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        there = await asyncio.open_connection(*self._target)
        answers = asyncio.create_task(_copy(there[0], writer))
        try:
            await self._pass_on(reader, there, answers)
        finally:
            answers.cancel()
            writer.transport.abort()
            there[1].transport.abort()

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        there: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        answers: "asyncio.Task[None]",
    ) -> None:
        """Pass requests on until one is to be the last, and wait for its answer."""
        with suppress(ConnectionError):
            while chunk := await reader.read(_CHUNK):
                last = any(needle in chunk for needle in self.cut_at)
                if last:
                    answers.cancel()
                    await asyncio.wait([answers])
                there[1].write(chunk)
                if last:
                    await there[0].read(1)
                    self.cuts += 1
                    return


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while chunk := await source.read(_CHUNK):
            target.write(chunk)
        target.transport.abort()


@asynccontextmanager
async def wire_to(database_url: str) -> AsyncIterator[tuple[Wire, str]]:
    """Give a wire to the server of a URL, and the URL at its near end."""
    parts = urlsplit(database_url)
    assert parts.hostname is not None
    assert parts.port is not None
    wire = Wire(parts.hostname, parts.port)
    async with conversing(wire.connect) as port:
        yield wire, database_url.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{port}")

"""The test's side of a server that can be stopped.

It refuses to know what a server does. Invariant: whatever happens in a test, its server is gone afterwards.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Any

import orjson

from tests.faults.steps import Step
from tests.faults.waiting import PATIENCE, until

_ROOT = Path(__file__).parents[2]


class Stoppable:
    """One server process: where it is, and how many requests have reached its step."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._news = asyncio.Event()
        self.reached = 0
        self.pid = 0
        self.url = ""
        self.gone = asyncio.Event()

    async def report(self) -> None:
        """Wait until it serves."""
        line = await self._reader.readline()
        assert line, "the server did not start; see its log"
        started = orjson.loads(line)
        self.pid, self.url = started["pid"], started["url"]

    async def listen(self) -> None:
        """Count requests at the step until the process is gone."""
        with suppress(ConnectionError):
            while await self._reader.readline():
                self.reached += 1
                self._news.set()
        self.gone.set()

    async def until_reached(self, requests: Sequence["asyncio.Task[Any]"]) -> None:
        """Wait until every request is at the step, or answered."""
        for request in requests:
            request.add_done_callback(lambda _: self._news.set())
        async with asyncio.timeout(PATIENCE):
            while self.reached + sum(request.done() for request in requests) < len(requests):
                self._news.clear()
                await self._news.wait()

    def signal(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    async def kill(self) -> None:
        """Kill the process, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        await self.gone.wait()

    async def pause(self) -> None:
        """Stop the process where it is, and wait until the system says so."""
        self.signal(signal.SIGSTOP)
        await self.until_stopped()

    async def until_stopped(self) -> None:
        """Wait until the process stands still as a whole."""
        await until(self._stopped)

    async def _stopped(self) -> bool:
        return _state(self.pid) == "T"

    async def until_any_reached(self) -> None:
        """Wait until one request or more is at the step."""
        async with asyncio.timeout(PATIENCE):
            while not self.reached:
                self._news.clear()
                await self._news.wait()

    def let_go(self) -> None:
        """Let what stands at the step go on, in a process that may have been stopped."""
        self.signal(signal.SIGCONT)
        self._writer.write(b"go\n")

    async def end(self) -> None:
        """Kill what is left."""
        if self.pid and not self.gone.is_set():
            with suppress(ProcessLookupError):
                self.signal(signal.SIGKILL)
            await self.gone.wait()
        self._writer.close()


def _state(pid: int) -> str:
    """Give the letter that the system has for what a process does (proc(5))."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


class Forge:
    """The process that servers are forked from; a context manager."""

    def __init__(self, log: IO[bytes]) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.server"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=_ROOT,
            env=environment,
            start_new_session=True,
        )

    def close(self) -> None:
        """End it, and with it every server."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @asynccontextmanager
    async def server(self, step: Step, folder: Path, database_url: str, **settings: Any) -> AsyncIterator[Stoppable]:
        """Give a server that stands still at a step."""
        connected: asyncio.Future[Stoppable] = asyncio.get_running_loop().create_future()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connected.set_result(Stoppable(reader, writer))

        control = await asyncio.start_server(accept, "127.0.0.1", 0)
        port = control.sockets[0].getsockname()[1]
        self._order(
            {"step": step, "control": port, "folder": str(folder), "database_url": database_url, "settings": settings}
        )
        try:
            server = await asyncio.wait_for(connected, 30)
        finally:
            control.close()
        try:
            await asyncio.wait_for(server.report(), 60)
            listening = asyncio.create_task(server.listen())
            yield server
        finally:
            await server.end()
        await listening

    def _order(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps(order) + b"\n")
        self._process.stdin.flush()

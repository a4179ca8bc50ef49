"""The load: a process that keeps connections busy, each with one request at a time, and counts what comes back.

`python -m ops.bench.load` reads a shop, then errands, as lines of JSON, and answers each errand with a line. It refuses
to know what it measures. Invariants: an answer that is not the expected one ends the errand with its status; requests
are HTTP/1.1 on connections that stay open, taken apart by the parser that the server uses too.
"""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Final, Self, cast
from urllib.parse import urlsplit

import orjson
import uvloop
from httptools import HttpResponseParser

from ops.bench.filling import Population
from ops.bench.plan import Case
from ops.bench.shop import GatewayCall, Shop
from ops.bench.traffic import EXPECTED, requests_for

_PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Errand:
    """What to ask of whom, over how many connections, for how long; `cards` are stored there."""

    case: Case
    url: str
    connections: int
    seconds: float
    cards: int


@dataclass(frozen=True, slots=True)
class Tally:
    """What came back: answers and the seconds until the last, half and 99 of 100 within so many milliseconds.

    `failure` is the first thing that went wrong, empty for a run that counts.
    """

    answers: int
    seconds: float
    median_ms: float
    slowest_ms: float
    failure: str = ""

    @classmethod
    def of(cls, latencies: list[float], seconds: float, failure: str) -> Self:
        """Sum up the seconds that each answer took."""
        ranked = sorted(latencies) or [0.0]
        middle, late = (ranked[min(int(len(ranked) * part), len(ranked) - 1)] * 1000 for part in (0.5, 0.99))
        return cls(len(latencies), seconds, middle, late, failure)


class Run:
    """One errand while it is done; ends when every connection has had its last answer, or at the first failure."""

    def __init__(self, requests: Iterator[bytes], expected: int, seconds: float, connections: int) -> None:
        self.expected = expected
        self.latencies: list[float] = []
        self.failure = ""
        self.ended = asyncio.Event()
        self._requests = requests
        self._busy = connections
        self._until = perf_counter() + seconds

    def next(self) -> bytes | None:
        """Give the next request, None when time is up."""
        return next(self._requests) if perf_counter() < self._until and not self.failure else None

    def leave(self) -> None:
        """Count a connection as done."""
        self._busy -= 1
        if not self._busy:
            self.ended.set()

    def fail(self, why: str) -> None:
        """End the errand."""
        self.failure = self.failure or why
        self.ended.set()


class Connection(asyncio.Protocol):
    """One connection: sends a request when the answer to the one before is complete."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._parser = HttpResponseParser(self)
        self._began = 0.0
        self._done = False
        self._transport = asyncio.Transport()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # the loop's own transports are no subclasses
        self._send()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls the methods below."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Count the answer and go on."""
        if self._parser.get_status_code() != self._run.expected:
            self._run.fail(f"status {self._parser.get_status_code()}")
        self._run.latencies.append(perf_counter() - self._began)
        self._send()

    def connection_lost(self, _error: Exception | None) -> None:
        """A connection that ends before its time spoils the run."""
        if not self._done:
            self._run.fail("a connection was closed")

    def _send(self) -> None:
        self._began = perf_counter()
        request = self._run.next()
        if request is not None:
            self._transport.write(request)
            return
        self._done = True
        self._run.leave()
        self._transport.close()


class CheckingConnection(Connection):
    """A connection to the gateway itself, whose answers are signed."""

    def __init__(self, run: Run, call: GatewayCall) -> None:
        super().__init__(run)
        self._call = call
        self._headers: dict[str, str] = {}
        self._body = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._headers[name.decode().lower()] = value.decode()

    def on_body(self, part: bytes) -> None:
        """Keep a part of the body."""
        self._body += part

    def on_message_complete(self) -> None:
        """Check the answer, then count it."""
        self._call.check(self._headers, self._body)
        self._body = b""
        super().on_message_complete()


async def run_errand(errand: Errand, shop: Shop) -> Tally:
    """Do one errand."""
    host, _, port = urlsplit(errand.url).netloc.partition(":")
    call = GatewayCall(shop) if errand.case is Case.DIRECT else None
    requests = requests_for(errand.case, errand.url, shop, Population(errand.cards))
    run = Run(requests, EXPECTED[errand.case], errand.seconds, errand.connections)
    began = perf_counter()
    loop = asyncio.get_running_loop()
    for _ in range(errand.connections):
        await loop.create_connection(
            lambda: CheckingConnection(run, call) if call else Connection(run), host, int(port)
        )
    with suppress(TimeoutError):
        await asyncio.wait_for(run.ended.wait(), errand.seconds + _PATIENCE)
    if not run.ended.is_set():
        run.fail("no answer in time")
    return Tally.of(run.latencies, perf_counter() - began, run.failure)


def main() -> None:
    """Do the errands that come on standard input."""
    shop = Shop.read(sys.stdin.readline())
    for line in sys.stdin:
        wanted = orjson.loads(line)
        errand = Errand(**{**wanted, "case": Case(wanted["case"])})
        tally = uvloop.run(run_errand(errand, shop))
        sys.stdout.buffer.write(orjson.dumps(asdict(tally)) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()

"""Takes single measurements: an errand of the load, with the processor time that everybody used meanwhile.

It refuses to know what is compared with what. Invariants: the load is one process for the whole run, started before the
first measurement; a run with one unexpected answer is not a measurement.
"""

import subprocess
import sys
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Final, Self

import orjson

from ops.bench.cpu import cpu_seconds
from ops.bench.load import Errand, Tally
from ops.bench.plan import Case, Plan
from ops.bench.site import Server, Site
from ops.refusal import Refused

_COMMAND: Final = (sys.executable, "-P", "-m", "ops.bench.load")
_MILLION: Final = 1_000_000
_WARM_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement; processor times are microseconds for each answer."""

    rate: float
    median_ms: float
    slowest_ms: float
    server_us: float
    database_us: float
    gateway_us: float
    load_us: float

    @property
    def cpu_us(self) -> float:
        """What the server's and the database's processes used for one answer."""
        return self.server_us + self.database_us


class Meter:
    """A context manager that holds the load."""

    def __init__(self, site: Site, plan: Plan) -> None:
        self._site = site
        self._plan = plan

    def __enter__(self) -> Self:
        self._load = subprocess.Popen(  # noqa: S603 - our own program; it ends with its standard input
            _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self._say(self._site.shop.text.encode())
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with self._load:
            self._load.terminate()

    def warm(self, server: Server, cases: tuple[Case, ...]) -> None:
        """Let a server open its connections and fill its caches."""
        for case in cases:
            self._done(case, server, min(_WARM_SECONDS, self._plan.seconds))

    def measure(self, case: Case, server: Server) -> Sample:
        """Measure once."""
        watched = (server.process.pid, self._site.database_pid, self._site.gateway.process.pid, self._load.pid)
        before = [cpu_seconds([pid]) for pid in watched]
        tally = self._done(case, server, self._plan.seconds)
        used = [cpu_seconds([pid]) - earlier for pid, earlier in zip(watched, before, strict=True)]
        server_us, database_us, gateway_us, load_us = (each / tally.answers * _MILLION for each in used)
        return Sample(
            rate=tally.answers / tally.seconds,
            median_ms=tally.median_ms,
            slowest_ms=tally.slowest_ms,
            server_us=server_us if server is not self._site.gateway else 0.0,
            database_us=database_us,
            gateway_us=gateway_us,
            load_us=load_us,
        )

    def _done(self, case: Case, server: Server, seconds: float) -> Tally:
        errand = Errand(case, server.url, self._plan.connections, seconds, server.cards)
        self._say(orjson.dumps(asdict(errand)))
        answer = self._load.stdout.readline() if self._load.stdout is not None else b""
        if not answer:
            raise Refused("the load ended by itself")
        tally = Tally(**orjson.loads(answer))
        if tally.failure or not tally.answers:
            raise Refused(f"{case.route}: {tally.failure or 'no answer'}; {server.process.last_words()}")
        return tally

    def _say(self, line: bytes) -> None:
        if self._load.stdin is not None:
            self._load.stdin.write(line + b"\n")
            self._load.stdin.flush()

"""Half of what the machine can do, for as long as one likes, with a fault each minute: `make soak`.

It refuses to know what has to hold in the end. Invariants: every process is there again before the next fault; memory and
connections are looked at each minute, and a process's memory is compared with its own first reading; the second server is
never replaced, so that its readings reach from the beginning to the end.
"""

import argparse
import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from ops.embedded import EmbeddedPostgres, ServerOptions
from ops.playground_folder import remembered_ports
from ops.stopping import stoppable
from tests.endurance.load import Load
from tests.endurance.report import Effect, conclude, say, tell
from tests.endurance.site import DATABASE, GATEWAY, PATIENCE, SERVERS, WORKER, Site, await_that, new_folder, open_site
from tests.endurance.verdict import judge
from tests.ops.processes import below
from tests.ops.servers import ask

BUYERS = 16
_WITHOUT_LIMIT = 10_000.0
_MEASURED_SECONDS = 10.0
_PAUSE = 60.0
_STANDING_STILL = 5.0
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MEBIBYTE = 1024 * 1024
# What a process may grow beyond what it was when warm: caches fill, and the allocator keeps what it had.
_GROWTH, _LEEWAY = 1.25, 32
_CONNECTIONS = "select count(*) from pg_stat_activity where application_name = 'cardvault'"
_MOST_CONNECTIONS = 3 * 10 + 2
_CUT = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'cardvault'"


@dataclass(slots=True)
class Soak:
    """The installation, its database, and what was seen of memory (MiB by process and its id) and connections."""

    site: Site
    postgres: EmbeddedPostgres
    memory: dict[str, list[int]] = field(default_factory=dict)
    connections: list[int] = field(default_factory=list)

    def look(self) -> None:
        """Note memory and connections."""
        for name, pid in self.site.pids().items():
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            self.memory.setdefault(f"{name} {pid}", []).append(pages * _PAGE // _MEBIBYTE)
        self.connections.append(int(str(ask(self.postgres.url(DATABASE), _CONNECTIONS))))

    def complaints(self) -> list[str]:
        """Say what has grown; the gateway, which keeps all that it ever saw, is not asked."""
        grown = [
            f"{name} grew from {seen[0]} to {seen[-1]} MiB"
            for name, seen in self.memory.items()
            if not name.startswith(GATEWAY) and seen[-1] > seen[0] * _GROWTH + _LEEWAY
        ]
        most = max(self.connections)
        return grown + [f"{most} connections"] * (most > _MOST_CONNECTIONS)

    def server_killed(self) -> None:
        """Kill a server in the middle of everything."""
        self._replace(SERVERS[0], signal.SIGKILL)

    def server_replaced(self) -> None:
        """Ask a server to stop, and start it again."""
        self._replace(SERVERS[0], signal.SIGTERM)

    def worker_killed(self) -> None:
        """Kill the worker."""
        self._replace(WORKER, signal.SIGKILL)

    def gateway_stands_still(self) -> None:
        """Have the gateway answer nobody for a while."""
        self._still([self.site.processes[GATEWAY].pid])

    def database_stands_still(self) -> None:
        """Have the database answer nobody for a while."""
        self._still(below(self.postgres.data))

    def database_killed(self) -> None:
        """Kill the database, and start it again."""
        if (pid := self.postgres.pid) is None:
            raise RuntimeError("the database does not run")
        os.kill(pid, signal.SIGKILL)
        await_that(lambda: self.postgres.pid is None)
        self.postgres.start()

    def connections_cut(self) -> None:
        """End all connections of the vault at once."""
        ask(self.postgres.url(DATABASE), _CUT)

    def is_whole(self) -> bool:
        """Tell whether everything runs and both servers would take requests."""
        return len(self.site.pids()) == len(self.site.processes) and all(map(self.site.is_ready, SERVERS))

    def _replace(self, name: str, number: signal.Signals) -> None:
        process = self.site.processes[name]
        os.kill(process.pid, number)
        await_that(lambda: not process.running)
        process.start()

    def _still(self, pids: list[int]) -> None:
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for pid in pids:
                os.kill(pid, number)
            time.sleep(_STANDING_STILL * (number is signal.SIGSTOP))

    def faults(self) -> list[Callable[[], None]]:
        """Give the faults, in the order in which they come round."""
        return [
            self.server_killed,
            self.gateway_stands_still,
            self.server_replaced,
            self.database_killed,
            self.worker_killed,
            self.connections_cut,
            self.database_stands_still,
        ]


class Crowd:
    """A load in a thread of its own, so that processes can be started from this one."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self._enough = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()))

    def __enter__(self) -> Load:
        self._thread.start()
        return self.load

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    async def _work(self) -> None:
        self.load.begin()
        await asyncio.to_thread(self._enough.wait)
        await self.load.end()


def main(minutes: float) -> int:
    """Run; the exit code says whether everything held."""
    with ExitStack() as stack:
        folder = new_folder(stack, "soak")
        # Where it is started again it has to be found.
        options = ServerOptions(port=remembered_ports(folder.root / "ports.json", ("postgres",))["postgres"])
        postgres = stack.enter_context(EmbeddedPostgres(folder.postgres, logs=folder.logs, options=options))
        postgres.create_database(DATABASE)
        site = open_site(stack, folder, lambda login: at_login(postgres.url(DATABASE), login))
        soak = Soak(site, postgres)
        load = Load(site.servers, site.record.api_key, BUYERS, half_of_capacity(site))
        say(f"{BUYERS} buyers, {load.rate:.0f} requests a second, {minutes:g} minutes:")
        with Crowd(load):
            _torment(soak, load, minutes)
        verdict = asyncio.run(judge(site, load.told))
        say(f"memory in MiB: {soak.memory}; connections: {soak.connections}")
        return conclude(verdict, load.told, soak.complaints())


def half_of_capacity(site: Site) -> float:
    """Measure how many requests a second are answered, which also warms everything up, and give half of it."""
    load = Load(site.servers, site.record.api_key, BUYERS, _WITHOUT_LIMIT, name="warm")
    with Crowd(load):
        time.sleep(_MEASURED_SECONDS)
    return max(1.0, len(load.told.times) / _MEASURED_SECONDS / 2)


def _torment(soak: Soak, load: Load, minutes: float) -> None:
    """Do a fault each minute, in short runs more often, so that each comes once."""
    ends = time.monotonic() + minutes * 60
    faults = soak.faults()
    pause = min(_PAUSE, minutes * 60 / (len(faults) + 1))
    turn = 0
    soak.look()
    while (began := time.monotonic()) + pause / 2 < ends:
        fault = faults[turn % len(faults)]
        fault()
        await_that(soak.is_whole, seconds=PATIENCE)
        whole = time.monotonic()
        time.sleep(max(1.0, pause - (whole - began)))
        now = time.monotonic()
        name = fault.__name__.replace("_", " ")
        tell(Effect(name, load.told.gap(began, now), whole - began, load.told.in_time(began, now)))
        soak.look()
        turn += 1


def at_login(superuser_url: str, login: str) -> str:
    """Put another login before the database's address."""
    return f"postgresql://{login}@{superuser_url.rpartition('@')[2]}" if login else superuser_url


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description="Load and faults for so many minutes.")
    asked.add_argument("--minutes", type=float, default=30)
    with stoppable():
        sys.exit(main(asked.parse_args().minutes))

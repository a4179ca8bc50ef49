"""Two PostgreSQL servers under Patroni, one following the other synchronously, with etcd; all on this machine.

It refuses to know the vault. Invariants: a transaction that was acknowledged is on both servers, or Patroni has noted
that only one of them may lead; everything that was started is ended with the cluster, also what Patroni started.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, Self

from ops.embedded_folder import Account
from ops.local_http import Call, call
from ops.playground_folder import remembered_ports
from tests.endurance.site import DATABASE, HOST, await_that
from tests.ops.processes import below

NODES = ("node1", "node2")
_BINARIES = Path("/usr/lib/postgresql")
_PROGRAMS = ("etcd", "patroni")
_STARTING = 180.0
_RUNNING = {"running", "streaming"}
# Patroni before version 4, and since.
_LEADING = {"master", "primary"}
# The shortest that Patroni takes for safe; what it comes with is 30, 10, 10.
_TIMES = {"ttl": 20, "loop_wait": 5, "retry_timeout": 5}
_PARAMETERS = {"max_connections": 200, "unix_socket_directories": "", "password_encryption": "scram-sha-256"}


@dataclass(slots=True)
class Patroni:
    """A context manager; `url` names both servers, for whichever login."""

    root: Path
    _account: Account = field(init=False)
    _ports: dict[str, int] = field(init=False)
    _passwords: dict[str, str] = field(init=False)
    _processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.root.mkdir(mode=0o711)
        self._account = Account.for_data(self.root / "none")
        names = ("etcd", "peer", *NODES, *(f"{node}-rest" for node in NODES))
        self._ports = remembered_ports(self.root / "ports.json", names)
        self._passwords = {name: secrets.token_hex(16) for name in ("postgres", "replicator", "rewinder")}
        try:
            self._start_etcd()
            for node in NODES:
                self._write(node)
                self.start(node)
                await_that(lambda node=node: self.role(node) is not None, seconds=_STARTING)  # type: ignore[misc]  # mypy does not infer the default
            await_that(self.is_safe, seconds=_STARTING)
            self._make_database()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for pid in below(self.root):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._processes.values():
            process.wait()

    def url(self, login: str) -> str:
        """Give the database's address for a login; for an empty one the superuser's."""
        hosts = ",".join(f"{HOST}:{self._ports[node]}" for node in NODES)
        return f"postgresql://{login or 'postgres:' + self._passwords['postgres']}@{hosts}/{DATABASE}"

    def start(self, node: str) -> None:
        """Start a node again, after it was killed."""
        self._spawn(node, ["patroni", str(self._folder(node) / "patroni.yml")])

    def kill(self, node: str) -> None:
        """Kill a node as a whole: Patroni, PostgreSQL, and every process of theirs."""
        self._signal(node, signal.SIGKILL)
        self._processes[node].wait()

    def freeze(self, node: str) -> None:
        """Have all processes of a node stand still, as on a host that hangs."""
        self._signal(node, signal.SIGSTOP)

    def thaw(self, node: str) -> None:
        """Let a frozen node go on where it was."""
        self._signal(node, signal.SIGCONT)

    def switch_over(self) -> None:
        """Ask for an orderly change of the leader."""
        leader, follower = self.leader(), self.follower()
        asked = Call("POST", "/switchover", {"leader": leader, "candidate": follower})
        answer = call(self._rest(leader), asked, patience=60.0)
        if answer.status != 200:
            raise RuntimeError(answer.text)

    def leader(self) -> str:
        """Name the node that leads; raises `LookupError` while there is none."""
        for node in NODES:
            if self.role(node) in _LEADING:
                return node
        raise LookupError

    def led_by_another_than(self, node: str) -> bool:
        """Tell whether the other node leads."""
        return any(self.role(other) in _LEADING for other in NODES if other != node)

    def follower(self) -> str:
        """Name the other node."""
        leader = self.leader()
        return next(node for node in NODES if node != leader)

    def is_safe(self) -> bool:
        """Tell whether one node leads and the other follows it synchronously."""
        return any({"leader", "sync_standby"} <= self._roles_seen_by(node) for node in NODES)

    def role(self, node: str) -> str | None:
        """Say what a node takes itself for: `master` or `primary`, `replica`; None while it does not run."""
        status = self._ask(node, "/patroni")
        return str(status["role"]) if status is not None and status.get("state") == "running" else None

    def _roles_seen_by(self, node: str) -> set[str]:
        status = self._ask(node, "/cluster") or {}
        return {member["role"] for member in status.get("members", []) if member.get("state") in _RUNNING}

    def _ask(self, node: str, path: str) -> dict[str, Any] | None:
        try:
            answer = call(self._rest(node), Call("GET", path), patience=2.0).json
        except (OSError, HTTPException, ValueError):
            return None
        return answer if isinstance(answer, dict) else None

    def _rest(self, node: str) -> str:
        return f"http://{HOST}:{self._ports[f'{node}-rest']}"

    def _folder(self, node: str) -> Path:
        return self.root / node

    def _start_etcd(self) -> None:
        client, peer = (f"http://{HOST}:{self._ports[name]}" for name in ("etcd", "peer"))
        arguments = ["etcd", "--data-dir", str(self._made("etcd") / "data"), "--unsafe-no-fsync"]
        arguments += ["--listen-client-urls", client, "--advertise-client-urls", client]
        arguments += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        self._spawn("etcd", [*arguments, "--initial-cluster", f"default={peer}"])

    def _write(self, node: str) -> None:
        """Write a node's configuration; JSON is YAML too."""
        folder = self._made(node)
        path = folder / "patroni.yml"
        path.write_text(json.dumps(self._configuration(node, folder)))
        path.chmod(0o600)
        os.chown(path, self._account.uid, self._account.gid)

    def _configuration(self, node: str, folder: Path) -> dict[str, Any]:
        rest, here = (f"{HOST}:{self._ports[name]}" for name in (f"{node}-rest", node))
        logins = {"superuser": "postgres", "replication": "replicator", "rewind": "rewinder"}
        return {
            "scope": "cardvault",
            "name": node,
            "restapi": {"listen": rest, "connect_address": rest},
            "etcd3": {"host": f"{HOST}:{self._ports['etcd']}"},
            "bootstrap": {
                "dcs": {
                    **_TIMES,
                    "synchronous_mode": True,
                    "postgresql": {"use_pg_rewind": True, "parameters": _PARAMETERS},
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "data-checksums"],
            },
            "postgresql": {
                "listen": here,
                "connect_address": here,
                "data_dir": str(folder / "data"),
                "bin_dir": str(newest_binaries()),
                "pgpass": str(folder / "pgpass"),
                "pg_hba": [f"host {which} all {HOST}/32 scram-sha-256" for which in ("all", "replication")],
                "authentication": {
                    kind: {"username": name, "password": self._passwords[name]} for kind, name in logins.items()
                },
            },
        }

    def _made(self, name: str) -> Path:
        folder = self._folder(name)
        folder.mkdir(mode=0o700)
        os.chown(folder, self._account.uid, self._account.gid)
        return folder

    def _spawn(self, name: str, command: list[str]) -> None:
        switch = self._account.switch
        with (self.root / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder(name),
                env=_environment(),
                user=self._account.uid if switch else None,
                group=self._account.gid if switch else None,
                extra_groups=[] if switch else None,
                start_new_session=True,
            )

    def _signal(self, node: str, number: signal.Signals) -> None:
        """Send a signal to every process of a node; new ones may come meanwhile, so it looks again."""
        for _ in range(3):
            for pid in below(self._folder(node)):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            time.sleep(0.05)

    def _make_database(self) -> None:
        address = self.url("").rpartition("/")[0] + "/postgres?target_session_attrs=read-write"
        program = newest_binaries() / "psql"
        subprocess.run([program, "-q", "-c", f"create database {DATABASE}", address], check=True, env=_environment())


def missing() -> list[str]:
    """Name the programs that the cluster needs and this machine lacks."""
    lacking = [name for name in _PROGRAMS if shutil.which(name) is None]
    return lacking if any(_BINARIES.glob("*/bin/postgres")) else [*lacking, "postgresql"]


def newest_binaries() -> Path:
    """Give the folder of the newest PostgreSQL that Debian's packages brought."""
    return max(_BINARIES.glob("*/bin"), key=lambda folder: int(folder.parent.name))


def _environment() -> Mapping[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

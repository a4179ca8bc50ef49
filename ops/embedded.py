"""Runs a real PostgreSQL as a direct child, for the demo, the playground and the tests; no system install is needed.

It refuses to know the vault's schema and roles. Invariants: the server runs under an account that is not root, listens
on the loopback address alone with SCRAM passwords, writes no value of a statement to its log, and ends with its
supervisor, however that ends; committed rows survive every way of stopping. A folder that was there before this
program came is never given other permissions.
"""

import asyncio
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

import asyncpg

from ops.embedded_binaries import Binaries, Source, find_binaries, placed_beside
from ops.embedded_errors import StartFailed
from ops.embedded_folder import Account, await_vacancy, lock_folder, prepare_folder
from ops.lifeline import tie_to

_HOST = "127.0.0.1"
_SUPERUSER = "postgres"
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
_SETTINGS = {
    "listen_addresses": _HOST,
    "password_encryption": "scram-sha-256",
    "log_destination": "stderr",
    "log_statement": "none",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_timezone": "UTC",
}
_DATABASE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_PORT_TAKEN = "Address already in use"
_PORT_ATTEMPTS = 5
_READY_SECONDS = 300.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.005
_STATUS_LINE = 7
_LAST_WORDS = 500


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What a caller may choose; `port` 0 takes a free one, `settings` override PostgreSQL's by name."""

    port: int = 0
    max_connections: int = 100
    settings: Mapping[str, str] = field(default_factory=dict)


class EmbeddedPostgres:
    """A PostgreSQL server with everything it owns below one folder; a context manager, or `start` and `stop`.

    Below `root`: `data`, `log/postgresql.log` (or in `logs`), `superuser.password` (0600), for root the programs too.
    """

    def __init__(
        self,
        root: Path,
        *,
        logs: Path | None = None,
        source: Source | None = None,
        options: ServerOptions | None = None,
    ) -> None:
        self.root = root.absolute().resolve()
        self.data = self.root / "data"
        self.log = (logs.absolute() if logs else self.root / "log") / "postgresql.log"
        self.port = 0
        self._password_file = self.root / "superuser.password"
        self._source = source
        self._options = options or ServerOptions()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start the server, on a new data folder or on the one that is there, and return when it takes connections.

        Does nothing while the server runs. Call it from the main thread: the server ends with the thread that started
        it. Raises `EmbeddedError`.
        """
        if self.pid is not None:
            return
        if threading.current_thread() is not threading.main_thread():
            raise StartFailed("start the embedded database from the main thread, whose end also ends the server")
        self.stop()
        account = Account.for_data(self.data)
        prepare_folder(self.root, self.data, account)
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = lock_folder(self.root)
        with ExitStack() as unless_it_runs:
            unless_it_runs.callback(self.stop)
            binaries = self._binaries(account)
            if not self.data.exists():
                self._initialise(binaries, account)
            await_vacancy(self.data)
            self._launch(binaries, account)
            unless_it_runs.pop_all()

    def stop(self) -> None:
        """Stop the server, at first politely; does nothing when it does not run."""
        process, self._process = self._process, None
        for each in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if process is None or process.poll() is not None:
                break
            process.send_signal(each)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                continue
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def url(self, database: str) -> str:
        """Give the superuser's URL of a database; it holds the password."""
        password = quote(self._password_file.read_text(), safe="")
        return f"postgresql://{_SUPERUSER}:{password}@{_HOST}:{self.port}/{database}"

    def has_database(self, name: str) -> bool:
        """Tell whether a database of that name exists."""
        return bool(asyncio.run(self._ask("select count(*) from pg_database where datname = $1", name)))

    def create_database(self, name: str, *, template: str | None = None) -> None:
        """Create a database, empty or as a copy of `template`, to which nobody may be connected."""
        clause = f" template {_quoted(template)} strategy file_copy" if template else ""
        asyncio.run(self._ask(f"create database {_quoted(name)}{clause}"))

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists, along with the connections to it."""
        asyncio.run(self._ask(f"drop database if exists {_quoted(name)} with (force)"))

    async def _ask(self, statement: str, *values: str) -> object:
        connection = await asyncpg.connect(self.url("postgres"), ssl=False)
        try:
            return await connection.fetchval(statement, *values)
        finally:
            await connection.close()

    def _binaries(self, account: Account) -> Binaries:
        version = self.data / "PG_VERSION"
        binaries = find_binaries(self._source, major=int(version.read_text()) if version.exists() else None)
        return placed_beside(binaries, self.root) if account.switch else binaries

    def _initialise(self, binaries: Binaries, account: Account) -> None:
        """Make the data folder under another name first, so that a half-made one is never taken for a database."""
        fresh = self.root / "data.new"
        if fresh.exists():
            shutil.rmtree(fresh)
        self._password_file.unlink(missing_ok=True)
        with os.fdopen(os.open(self._password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
            file.flush()
            os.fsync(file.fileno())
        fresh.mkdir(mode=0o700)
        os.chown(fresh, account.uid, account.gid)
        os.chown(self._password_file, account.uid, account.gid)
        arguments = ["-D", str(fresh), "-U", _SUPERUSER, "-A", "scram-sha-256", f"--pwfile={self._password_file}"]
        arguments += ["-E", "UTF8", "--locale=C", "--data-checksums"]
        said = self._log_size()
        status = self._spawn(binaries.folder / "initdb", arguments, account).wait()
        os.chown(self._password_file, os.geteuid(), os.getegid())
        if status != 0:
            raise StartFailed(f"initdb failed: {self._last_words(said)}")
        fresh.rename(self.data)

    def _launch(self, binaries: Binaries, account: Account) -> None:
        """Start the server; another program may take the free port first, so a few are tried."""
        settings = {**_SETTINGS, "max_connections": str(self._options.max_connections), **self._options.settings}
        said = self._log_size()
        for _ in range(1 if self._options.port else _PORT_ATTEMPTS):
            said = self._log_size()
            self.port = self._options.port or _free_port()
            arguments = ["-D", str(self.data), "-p", str(self.port), "-k", ""]
            arguments += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
            self._process = self._spawn(binaries.folder / "postgres", arguments, account)
            if self._became_ready(self._process):
                return
            if _PORT_TAKEN not in self._last_words(said):
                break
        raise StartFailed(f"PostgreSQL did not start: {self._last_words(said)}")

    def _became_ready(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + _READY_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            try:
                lines = (self.data / "postmaster.pid").read_text().splitlines()
            except FileNotFoundError:
                lines = []
            if len(lines) > _STATUS_LINE and lines[0] == str(process.pid) and lines[_STATUS_LINE].strip() == "ready":
                return True
            time.sleep(_POLL_SECONDS)
        return False

    def _spawn(self, program: Path, arguments: list[str], account: Account) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own, so that a terminal's Ctrl-C reaches the supervisor alone."""
        with os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own programs and arguments, no shell
                [program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=_ENVIRONMENT,
                user=account.uid if account.switch else None,
                group=account.gid if account.switch else None,
                extra_groups=[] if account.switch else None,
                start_new_session=True,
                preexec_fn=partial(tie_to, os.getpid(), signal.SIGINT),  # noqa: PLW1509 - it calls the C library only
            )

    def _log_size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    def _last_words(self, since: int) -> str:
        with self.log.open("rb") as log:
            log.seek(since)
            return log.read().decode(errors="replace").strip()[-_LAST_WORDS:]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _quoted(name: str) -> str:
    if not _DATABASE_NAME.fullmatch(name):
        raise ValueError("a database's name is a lower-case letter, then at most 62 letters, digits and underscores")
    return f'"{name}"'

"""A whole installation on one machine for people and tests: database, gateway simulator, server, worker, one merchant.

It refuses to know what it is used for. Invariants: nothing real is in it and it does not start where real cards are
expected; whatever it started ends with it, however it ends; the same folder starts again where it stopped.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, Final, Self
from urllib.parse import quote

from ops.embedded import EmbeddedPostgres, ServerOptions
from ops.embedded_errors import FolderInUse
from ops.embedded_folder import lock_folder
from ops.local_http import Call, call, is_up
from ops.playground_folder import Folder, Record, remembered_ports, write_state
from ops.playground_setup import RUNTIME_LOGIN, onboard, prepare_database
from ops.process import Process
from ops.refusal import Refused
from ops.sandbox.config import refuse_production
from ops.sandbox.signing import keep_private_key, write_public_key
from vault.settings import PREFIX, load_settings

_HOST: Final = "127.0.0.1"
_DATABASE: Final = "cardvault"
_READY_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.05
_HASTY_SECONDS: Final = 3.0
_HASTY_ENDS: Final = 3
_POSTGRES: Final = {"autovacuum_naptime": "10s"}
_ADMIN: Final = f"{PREFIX}ADMIN_DATABASE_URL"
# Time is compressed: a payment whose answer was lost is resolved within ten seconds. Webhooks may come to this machine.
_PACE: Final = {
    "SENDER_DEADLINE": "3",
    "GATEWAY_TIMEOUT": "4",
    "REQUEST_DEADLINE": "15",
    "NOT_SENT_GRACE": "2",
    "INQUIRY_FIRST": "0.5",
    "INQUIRY_MAX": "1",
    "AUDIT_CHECKPOINT_INTERVAL": "1",
    "WEBHOOK_TIMEOUT": "5",
    "WEBHOOK_RETRIES": "0.5,1,2,4" + ",5" * 60,
    "WEBHOOK_NETWORKS": "127.0.0.0/8,::1/128",
}


@dataclass(frozen=True, slots=True)
class PlaygroundOptions:
    """Where a playground lives; `port` 0 takes a free one, and the same again at the next start.

    Without `limits` the same card may be tried again and again.
    """

    data: Path
    port: int = 0
    limits: bool = False


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where its parts are."""

    server: str
    sandbox: str
    superuser: str
    runtime: str


class Playground:
    """A context manager, or `start`, `tend` again and again, and `stop`; all from the main thread."""

    def __init__(self, options: PlaygroundOptions) -> None:
        refuse_production(os.environ)
        self.folder = Folder(options.data.absolute().resolve())
        self._port = options.port
        self._limits = options.limits
        self._processes: list[Process] = []
        self._hasty = 0
        self._postgres: EmbeddedPostgres | None = None
        self._lock: IO[bytes] | None = None
        self._ready: tuple[Addresses, Record] | None = None

    def __enter__(self) -> Self:
        with ExitStack() as unless_it_runs:
            unless_it_runs.callback(self.stop)
            self.start()
            unless_it_runs.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def lock(self) -> None:
        """Take the folder, so that what is in it belongs to this playground alone; raises `Refused`."""
        if self._lock is not None:
            return
        self.folder.prepare()
        try:
            self._lock = lock_folder(self.folder.root)
        except FolderInUse:
            raise Refused(
                f"a playground runs in {self.folder.root} already: stop it, or give this one a folder and a state file "
                "of its own with --data and --state"
            ) from None

    def start(self) -> None:
        """Start everything and return when all of it works; raises `Refused` or `EmbeddedError`."""
        self.lock()
        ports = remembered_ports(self.folder.root / "ports.json", ("postgres", "sandbox", "server"))
        sandbox_url = self._start_sandbox(ports["sandbox"])
        superuser, runtime = self._start_database(ports["postgres"])
        addresses = Addresses(f"http://{_HOST}:{self._port or ports['server']}", sandbox_url, superuser, runtime)
        self._await("sandbox", lambda: is_up(addresses.sandbox, "/_sandbox/health"))
        gateway_key = write_public_key(keep_private_key(self._gateway_key_file).public_key())
        record = asyncio.run(
            onboard(load_settings(_variables(self.folder, addresses, limits=self._limits)), self.folder, gateway_key)
        )
        self._register_merchant(addresses, record)
        self._ready = addresses, record
        self._start_vault(addresses)

    def _start_sandbox(self, port: int) -> str:
        arguments = ["sandbox", "--host", _HOST, "--port", str(port)]
        arguments += ["--gateway-key-file", str(self._gateway_key_file), "--state-directory", str(self.folder.sandbox)]
        self._start_process("sandbox", arguments, _environment({}))
        return f"http://{_HOST}:{port}"

    def _start_database(self, port: int) -> tuple[str, str]:
        """Start and prepare the database; gives the superuser's URL and that of the servers' login."""
        self._postgres = EmbeddedPostgres(
            self.folder.postgres, logs=self.folder.logs, options=ServerOptions(port=port, settings=_POSTGRES)
        )
        self._postgres.start()
        if not self._postgres.has_database(_DATABASE):
            self._postgres.create_database(_DATABASE)
        superuser = self._postgres.url(_DATABASE)
        password = quote(asyncio.run(prepare_database(superuser)), safe="")
        return superuser, f"postgresql://{RUNTIME_LOGIN}:{password}@{_HOST}:{port}/{_DATABASE}"

    def _register_merchant(self, addresses: Addresses, record: Record) -> None:
        public_key = write_public_key(keep_private_key(self.folder.merchant_key).public_key())
        body = {"clientId": record.gateway_client_id, "publicKey": public_key}
        answer = call(addresses.sandbox, Call("POST", "/_sandbox/clients", body))
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise Refused("the sandbox does not take the merchant's key")

    def _start_vault(self, addresses: Addresses) -> None:
        variables = {
            name: value
            for name, value in _variables(self.folder, addresses, limits=self._limits).items()
            if name != _ADMIN
        }
        port = addresses.server.rpartition(":")[2]
        self._start_process("server", ["serve", "--host", _HOST, "--port", port], _environment(variables))
        worker = self._start_process("worker", ["worker"], _environment(variables))
        self._await("server", lambda: is_up(addresses.server, "/readyz"))
        self._await("worker", lambda: '"worker.started"' in worker.said())

    def _start_process(self, name: str, arguments: Sequence[str], environ: Mapping[str, str]) -> Process:
        process = Process(name, arguments, environ, self.folder.logs / f"{name}.log")
        self._processes.append(process)
        process.start()
        return process

    def _await(self, name: str, ready: Callable[[], bool]) -> None:
        process = next(each for each in self._processes if each.name == name)
        deadline = time.monotonic() + _READY_SECONDS
        while not ready():
            if not process.running or time.monotonic() > deadline:
                raise Refused(f"the {name} did not start: {process.last_words()}")
            time.sleep(_POLL_SECONDS)

    @property
    def _gateway_key_file(self) -> Path:
        return self.folder.sandbox / "gateway.pem"

    def tend(self) -> bool:
        """Start again what has ended, and tell whether anything had; raises `Refused` when it ends again and again."""
        ended = [process for process in self._processes if not process.running]
        database_ended = self._postgres is not None and self._postgres.pid is None
        if database_ended and self._postgres is not None:
            self._postgres.start()
        for process in ended:
            self._hasty = self._hasty + 1 if time.monotonic() - process.started_at < _HASTY_SECONDS else 0
            if self._hasty >= _HASTY_ENDS:
                raise Refused(f"the {process.name} ends again and again: {process.last_words()}")
            process.start()
        return bool(ended) or database_ended

    def stop(self) -> None:
        """Stop everything, in the reverse order, so that a server that drains still has gateway and database."""
        gateway, vault = self._processes[:1], self._processes[1:]
        for process in vault:
            process.ask_to_stop()
        for process in vault + gateway:
            process.stop()
        self._processes.clear()
        if self._postgres is not None:
            self._postgres.stop()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def used_before(self) -> bool:
        """Tell whether an earlier start was set up in the folder; the gateway simulator has forgotten what it did."""
        return self.folder.record.exists()

    @property
    def locked(self) -> bool:
        """Tell whether the folder is this playground's."""
        return self._lock is not None

    @property
    def pids(self) -> dict[str, int]:
        """The process ids by name, the supervisor's included."""
        database = self._postgres.pid if self._postgres is not None else None
        named = {process.name: process.pid for process in self._processes}
        return {"supervisor": os.getpid(), "postgres": database or 0, **named}

    @property
    def state(self) -> dict[str, Any]:
        """Everything that somebody needs who works with it; it holds secrets."""
        if self._ready is None:
            raise RuntimeError("the playground was not started")
        addresses, record = self._ready
        return {
            "baseUrl": addresses.server,
            "apiKey": record.api_key,
            "merchantId": record.merchant_id,
            "sandboxUrl": addresses.sandbox,
            "databaseUrl": addresses.superuser,
            "dataDir": str(self.folder.root),
            "logDir": str(self.folder.logs),
            "pids": self.pids,
            "env": _variables(self.folder, addresses, limits=self._limits),
        }

    def publish(self, path: Path) -> None:
        """Write the state to a file that only its owner can read."""
        write_state(path, self.state)


def _variables(folder: Folder, addresses: Addresses, *, limits: bool) -> dict[str, str]:
    """Give the settings with which every command reaches this playground."""
    values = {
        "ENVIRONMENT": "development",
        "DATABASE_URL": addresses.runtime,
        "ADMIN_DATABASE_URL": addresses.superuser,
        "SEAL": f"local:{folder.keystore}",
        "SEAL_PASSPHRASE_FILE": str(folder.passphrase),
        "APPROVAL_POLICY_FILE": str(folder.approval_policy),
        "GATEWAY_URL": addresses.sandbox,
        "PUBLIC_URL": addresses.server,
        "LOG_FORMAT": "json",
        "AUDIT_ANCHOR": f"file:{folder.anchor}",
        "RETRY_GUARD": "on" if limits else "off",
        "LIMITS": "on" if limits else "off",
        **_PACE,
    }
    return {f"{PREFIX}{name}": value for name, value in values.items()}


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Give a child's environment: ours, with the settings replaced."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)} | dict(variables)

"""The installation that is measured: an embedded PostgreSQL, the sandbox gateway, databases with cards, and servers.

It refuses to know what is measured. Invariants: keys, merchant, API key and the cards that are paid with come from the
product's own services; whatever was started ends with the site; nothing stays.
"""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

from ops.bench import bare
from ops.bench.filling import analyze, fill, make_limit_tables
from ops.bench.sampled import STACKS_FILE
from ops.bench.seeding import open_shop
from ops.embedded import EmbeddedPostgres, ServerOptions
from ops.embedded_folder import temporary_place
from ops.local_http import Call, call, is_up
from ops.playground_folder import Folder, remembered_ports
from ops.playground_setup import RUNTIME_LOGIN, onboard, prepare_database
from ops.process import Process
from ops.refusal import Refused
from ops.sandbox.config import refuse_production
from ops.sandbox.signing import keep_private_key, write_public_key
from vault.settings import PREFIX, Settings, load_settings

_HOST: Final = "127.0.0.1"
_BASE: Final = "cardvault"
_READY_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.05
# As it comes, but for a log long enough that no checkpoint falls into one measurement and not into its neighbour.
_POSTGRES: Final = {"max_wal_size": "8GB", "checkpoint_timeout": "1h"}
_CONNECTIONS: Final = 300


@dataclass(frozen=True, slots=True)
class Server:
    """A server to send requests to, and how many cards its database was filled with."""

    url: str
    process: Process
    cards: int


class Site:
    """A context manager, to be used from the main thread."""

    def __init__(self) -> None:
        refuse_production(os.environ)
        self._stack = ExitStack()
        self._ports = 0
        self._filled: list[str] = []

    def __enter__(self) -> Self:
        with self._stack:
            root = Path(tempfile.mkdtemp(prefix="cardvault-bench-", dir=temporary_place()))
            root.chmod(0o711)
            self._stack.callback(shutil.rmtree, root, ignore_errors=True)
            self.folder = Folder(root.resolve())
            self.folder.prepare()
            self._start_gateway()
            options = ServerOptions(max_connections=_CONNECTIONS, settings=_POSTGRES)
            self._postgres = self._stack.enter_context(
                EmbeddedPostgres(self.folder.postgres, logs=self.folder.logs, options=options)
            )
            self._open()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start_gateway(self) -> None:
        """Start the gateway without its notifications, which would be requests that nobody counts."""
        self._gateway_key = self.folder.sandbox / "gateway.pem"
        port = self._free_port()
        arguments = ["sandbox", "--port", str(port), "--no-notifications"]
        arguments += ["--gateway-key-file", str(self._gateway_key), "--state-directory", str(self.folder.sandbox)]
        self.gateway = self._started(port, 0, Process("sandbox", arguments, _without_settings(), self._log(port)))

    def _open(self) -> None:
        """Make the database that all others are copies of: one merchant, one API key, some cards to pay with."""
        self._postgres.create_database(_BASE)
        superuser = self.superuser_url(_BASE)
        password = quote(asyncio.run(prepare_database(superuser)), safe="")
        self._login = f"postgresql://{RUNTIME_LOGIN}:{password}@{_HOST}:{self._postgres.port}"
        variables = self._variables(_BASE, self.gateway.url) | {f"{PREFIX}ADMIN_DATABASE_URL": superuser}
        settings = load_settings(variables)
        self._await(self.gateway, "/_sandbox/health")
        gateway_key = write_public_key(keep_private_key(self._gateway_key).public_key())
        record = asyncio.run(onboard(settings, self.folder, gateway_key))
        public_key = write_public_key(keep_private_key(self.folder.merchant_key).public_key())
        asked = Call("POST", "/_sandbox/clients", {"clientId": record.gateway_client_id, "publicKey": public_key})
        call(self.gateway.url, asked)
        keys = (self.folder.merchant_key.read_text(), gateway_key)
        self.shop = asyncio.run(open_shop(settings, superuser, record, keys))
        self._shop_file = self.folder.root / "shop.json"
        self.shop.keep(self._shop_file)

    def superuser_url(self, database: str) -> str:
        """Give the superuser's URL of a database."""
        return self._postgres.url(database)

    @property
    def database_pid(self) -> int:
        """The first process of the database."""
        return self._postgres.pid or 0

    def make_database(self, name: str, cards: int, *, limit: bool) -> None:
        """Make a database with so many cards, for a `limit` with its tables too."""
        self._postgres.create_database(name, template=_BASE)
        asyncio.run(fill(self.superuser_url(name), self.shop, cards))
        if limit:
            asyncio.run(make_limit_tables(self.superuser_url(name)))
        self._filled.append(name)

    def copy_database(self, name: str) -> Settings:
        """Make a database that holds the merchant alone; gives the settings of operators' commands on it."""
        self._postgres.create_database(name, template=_BASE)
        self._filled.append(name)
        variables = self._variables(name, self.gateway.url)
        return load_settings(variables | {f"{PREFIX}ADMIN_DATABASE_URL": self.superuser_url(name)})

    def start_worker(self, database: str) -> Process:
        """Start a worker on a database."""
        environ = _without_settings() | self._variables(database, self.gateway.url)
        process = Process("worker", ["worker"], environ, self._log(0))
        self._stack.callback(process.stop)
        process.start()
        return process

    def refresh_statistics(self) -> None:
        """Let the planner know of the first rows in tables that were empty; autovacuum would within a minute or two."""
        for name in self._filled:
            asyncio.run(analyze(self.superuser_url(name)))

    def start_product(self, database: str, cards: int, processes: int, *, limits: bool = False) -> Server:
        """Start the vault on a database."""
        port = self._free_port()
        arguments = ["serve", "--port", str(port), "--workers", str(processes)]
        environ = self._environ(database, port) | {f"{PREFIX}LIMITS": "on" if limits else "off"}
        return self._started(port, cards, Process("vault", arguments, environ, self._log(port)))

    @property
    def stacks(self) -> Path:
        """Where a server that can be sampled writes its stacks."""
        return self.folder.root / "stacks.json"

    def start_sampled(self, database: str, cards: int) -> Server:
        """Start the vault on a database as one process, which can be asked where its time goes."""
        port = self._free_port()
        environ = self._environ(database, port) | {STACKS_FILE: str(self.stacks)}
        arguments = ["serve", "--port", str(port)]
        process = Process("vault", arguments, environ, self._log(port), module="ops.bench.sampled")
        return self._started(port, cards, process)

    def start_limit(self, database: str, cards: int, processes: int) -> Server:
        """Start the bare routes on a database."""
        port, module = self._free_port(), "ops.bench.bare"
        environ = self._environ(database, port) | {bare.SHOP_FILE: str(self._shop_file)}
        process = Process("limit", [str(port), str(processes)], environ, self._log(port), module=module)
        return self._started(port, cards, process)

    def await_ready(self, servers: Iterable[Server]) -> None:
        """Wait until servers answer; raises `Refused` when one does not."""
        for server in servers:
            self._await(server, "/readyz")

    def stop(self, servers: Iterable[Server]) -> None:
        """Stop servers."""
        stopping = list(servers)
        for server in stopping:
            server.process.ask_to_stop()
        for server in stopping:
            server.process.stop()

    def _started(self, port: int, cards: int, process: Process) -> Server:
        self._stack.callback(process.stop)
        process.start()
        return Server(f"http://{_HOST}:{port}", process, cards)

    def _await(self, server: Server, path: str) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not is_up(server.url, path):
            if not server.process.running or time.monotonic() > deadline:
                raise Refused(f"the {server.process.name} did not start: {server.process.last_words()}")
            time.sleep(_POLL_SECONDS)

    def _environ(self, database: str, port: int) -> dict[str, str]:
        return _without_settings() | self._variables(database, f"http://{_HOST}:{port}")

    def _variables(self, database: str, url: str) -> dict[str, str]:
        values = {
            "ENVIRONMENT": "development",
            "DATABASE_URL": f"{self._login}/{database}",
            "SEAL": f"local:{self.folder.keystore}",
            "SEAL_PASSPHRASE_FILE": str(self.folder.passphrase),
            "GATEWAY_URL": self.gateway.url,
            "PUBLIC_URL": url,
        }
        return {f"{PREFIX}{name}": value for name, value in values.items()}

    def _free_port(self) -> int:
        self._ports += 1
        name = f"port-{self._ports}"
        return remembered_ports(self.folder.root / "ports.json", (name,))[name]

    def _log(self, port: int) -> Path:
        return self.folder.logs / f"{port}.log"


def _without_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}

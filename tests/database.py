"""One throwaway PostgreSQL for a run of the tests, a migrated template in it, and a fresh database for each test.

It refuses to know what is tested. The process that started the run owns the server; workers of pytest-xdist get its
address. Write-ahead log, data files and logs are kept until the end and searched for canaries then (T-36). Invariant:
what a run leaves behind after a kill, the next run removes.
"""

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self, TypeVar

import asyncpg

from ops.embedded import EmbeddedPostgres, ServerOptions
from ops.embedded_errors import FolderInUse
from ops.embedded_folder import Account, blocking_folder, lock_folder
from ops.leaks import Leak
from tests.canary import ROW_PATTERN, leaks_in_folder
from vault import migrations

T = TypeVar("T")

TEMPLATE = "cardvault_template"
_PREFIX = "cardvault-tests-"
_MEMORY = Path("/dev/shm")
_ENOUGH_MEMORY = 4 * 1024**3
_TEMPLATE_LOCK = 4_242
# Only processes are killed in tests, never the machine, so nothing has to reach the disk; the log is kept whole for the
# search at the end, and copying a template stays cheap.
_SETTINGS = {"fsync": "off", "full_page_writes": "off", "wal_keep_size": "64GB", "autovacuum": "off"}


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the run's server is: the superuser's URL of the maintenance database, and the folder for logs."""

    url: str
    logs: str

    def database(self, name: str) -> str:
        """Give the superuser's URL of a database."""
        return self.url.rpartition("/")[0] + "/" + name


class Run:
    """The server of one run, started at the first request for it."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self._lock: IO[bytes] | None = None
        self._server: EmbeddedPostgres | None = None

    def start(self) -> Cluster:
        """Start the server once and tell where it is."""
        if self.folder is None or self._server is None:
            place = place_for_servers()
            _sweep(place)
            self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
            self.folder.chmod(0o711)
            self._lock = lock_folder(self.folder)
            logs = self.folder / "logs"
            self._server = EmbeddedPostgres(
                self.folder / "server", logs=logs, options=ServerOptions(max_connections=300, settings=_SETTINGS)
            )
            self._server.start()
        return Cluster(self._server.url("postgres"), str(self._server.log.parent))

    def finish(self) -> list[Leak]:
        """Stop the server, search all that it and the tests wrote, and remove it; leaks are kept until the next run."""
        if self.folder is None or self._server is None or self._lock is None:
            return []
        self._server.stop()
        leaks = leaks_in_folder(self._server.data, text=False) + leaks_in_folder(self._server.log.parent, text=True)
        if not leaks:
            shutil.rmtree(self.folder)
        self._lock.close()
        return leaks


def place_for_servers() -> Path:
    """Choose memory where there is plenty, else a folder for temporary files that the server's account may enter."""
    if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ENOUGH_MEMORY:
        return _MEMORY
    account = Account.for_data(_MEMORY / "none")
    places = [Path(tempfile.gettempdir()), Path("/var/tmp"), Path("/tmp")]
    return next((each for each in places if blocking_folder(each, account) is None), places[0])


def _sweep(place: Path) -> None:
    for folder in place.glob(f"{_PREFIX}*"):
        if (folder / "supervisor.lock").exists():
            with suppress(FolderInUse, OSError):
                lock_folder(folder).close()
                shutil.rmtree(folder)


class Databases:
    """One worker's way to make and drop databases, over one connection that stays open."""

    def __init__(self, cluster: Cluster, worker: str) -> None:
        self._cluster = cluster
        self._runner = asyncio.Runner()
        self._names = (f"test_{worker}_{number}" for number in itertools.count(1))
        self._admin = self.run(asyncpg.connect(cluster.url, ssl=False))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._admin.close())
        self._runner.close()

    def migrated_template(self) -> str:
        """Migrate a database once a run, whichever worker comes first, and give its name; it is for copying only."""
        self._do("select pg_advisory_lock($1)", _TEMPLATE_LOCK)
        if not self._do("select count(*) from pg_database where datname = $1 and datistemplate", TEMPLATE):
            self._do(f"drop database if exists {TEMPLATE}")
            self._do(f"create database {TEMPLATE}")
            self.run(migrations.upgrade(self._cluster.database(TEMPLATE)))
            self._do(f"alter database {TEMPLATE} is_template true allow_connections false")
        self._do("select pg_advisory_unlock($1)", _TEMPLATE_LOCK)
        return TEMPLATE

    def fresh(self, template: str | None) -> Iterator[str]:
        """Give the URL of a new database; drop it afterwards, unless a row in it holds a canary: that fails the test."""
        name = next(self._names)
        url = self._cluster.database(name)
        self._do(f"create database {name}" + (f" template {template} strategy file_copy" if template else ""))
        yield url
        holding = self.run(tables_holding_canaries(url))
        self._do(f"drop database {name} with (force)")
        assert not holding, f"a canary is in {', '.join(holding)}"

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine on the loop that the connection lives on."""
        return self._runner.run(work)

    def _do(self, statement: str, *values: object) -> object:
        return self.run(self._admin.fetchval(statement, *values))


async def tables_holding_canaries(url: str) -> list[str]:
    """Name the tables in which the text of a row holds a canary's card number, or a canary's code as a word."""
    connection = await asyncpg.connect(url, ssl=False)
    try:
        tables = await connection.fetch(
            "select format('%I.%I', nspname, relname) as name from pg_class c join pg_namespace n on n.oid = relnamespace"
            " where relkind in ('r', 'm') and nspname not in ('pg_catalog', 'information_schema')"
            " and pg_relation_size(c.oid) > 0"
        )
        looking = [f"select '{name}' where exists (select from {name} t where t::text ~ $1)" for (name,) in tables]
        if not looking:
            return []
        return [name for (name,) in await connection.fetch(" union all ".join(looking), ROW_PATTERN)]
    finally:
        await connection.close()

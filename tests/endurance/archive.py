"""A PostgreSQL with a base backup and an archived write-ahead log, and its restoration to a moment.

It refuses to know what is in the database. Invariant: what is restored comes from the backup and the archive alone; the
first server's files stay as they are.
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import asyncpg

from ops.embedded import EmbeddedPostgres, ServerOptions
from ops.embedded_binaries import find_binaries
from ops.embedded_folder import Account
from ops.playground_folder import remembered_ports
from tests.endurance.site import DATABASE, HOST, await_that

_ARCHIVED: Final = "select last_archived_wal >= $1 from pg_stat_archiver"


def ask(url: str, statement: str, *values: object) -> Any:
    """Run a statement on a connection of its own, and give the first value of its first row."""

    async def run() -> Any:
        connection = await asyncpg.connect(url, ssl=False)
        try:
            return await connection.fetchval(statement, *values)
        finally:
            await connection.close()

    return asyncio.run(run())


class Archive:
    """The server that there is now; `restore` replaces it by one of an earlier moment, at the same address."""

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o711)
        self._root = root
        self._port = remembered_ports(root / "port.json", ("database",))["database"]
        self._segments = root / "segments"
        self._segments.mkdir(mode=0o700)
        self._account = Account.for_data(root / "first" / "data")
        os.chown(self._segments, self._account.uid, self._account.gid)
        archiving = f"test ! -e {self._segments}/%f && cp %p {self._segments}/%f"
        self._server = self._at("first", {"archive_mode": "on", "archive_command": archiving})

    def _at(self, name: str, settings: Mapping[str, str]) -> EmbeddedPostgres:
        return EmbeddedPostgres(self._root / name, options=ServerOptions(port=self._port, settings=settings))

    def start(self) -> None:
        """Start the first server."""
        self._server.start()
        self._server.create_database(DATABASE)

    def stop(self) -> None:
        """Stop the server that there is."""
        self._server.stop()

    def url(self, login: str = "") -> str:
        """Put a login, or else the superuser's, before the address."""
        superuser = self._server.url(DATABASE)
        return f"postgresql://{login}@{HOST}:{self._port}/{DATABASE}" if login else superuser

    def back_up(self) -> None:
        """Make a base backup without its log, beside whatever else goes on."""
        program = find_binaries().folder / "pg_basebackup"
        options = ["--host", HOST, "--port", str(self._port), "--username", "postgres", "--wal-method", "none"]
        password = (self._root / "first" / "superuser.password").read_text()
        command = [str(program), *options, "--checkpoint", "fast", "--pgdata", str(self._root / "base")]
        subprocess.run(command, check=True, env={"PGPASSWORD": password, "LC_ALL": "C"}, capture_output=True)

    def archive_all(self) -> None:
        """Wait until what was written up to now is archived; raises `TimeoutError`."""
        last = ask(self.url(), "select pg_walfile_name(pg_switch_wal())")
        await_that(lambda: ask(self.url(), _ARCHIVED, last))

    def restore(self, moment: datetime) -> None:
        """Start a server on the backup and on the archive up to a moment, in place of the one that was stopped."""
        root = self._root / "second"
        root.mkdir(mode=0o711)
        shutil.copytree(self._root / "base", root / "data")
        (root / "data" / "recovery.signal").touch()
        shutil.copy(self._root / "first" / "superuser.password", root)
        for each in (root / "data", *(root / "data").rglob("*")):
            os.chown(each, self._account.uid, self._account.gid)
        (root / "data").chmod(0o700)
        recovery = {
            "restore_command": f"cp {self._segments}/%f %p",
            "recovery_target_time": moment.isoformat(),
            "recovery_target_action": "promote",
        }
        self._server = self._at("second", recovery)
        self._server.start()

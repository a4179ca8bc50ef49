"""PgBouncer in transaction mode before a database of the tests, where the machine has it."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ops.embedded_folder import Account
from ops.lifeline import tie_to
from tests.ops.processes import await_that

_PLACES = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))
# So few connections to the server that statements of one client keep changing between them.
_SERVER_CONNECTIONS = 3


def program() -> str | None:
    """Give PgBouncer's program, or None on a machine without it."""
    return shutil.which("pgbouncer", path=_PLACES)


@contextmanager
def pooling(bouncer: str, database_url: str, folder: Path) -> Iterator[str]:
    """Run it before a database, and give the database's address behind it; whoever asks is the same login there."""
    server, port = urlsplit(database_url), _free_port()
    account = Account.for_data(folder / "none")
    login = f"user={server.username} password={unquote(server.password or '')}"
    settings = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": "transaction",
        "default_pool_size": _SERVER_CONNECTIONS,
        "max_client_conn": 100,
    }
    lines = [f"{name} = {value}" for name, value in settings.items()]
    database = f"* = host={server.hostname} port={server.port} {login}"
    path = folder / "pgbouncer.ini"
    path.write_text("\n".join(["[databases]", database, "[pgbouncer]", *lines, ""]))
    os.chown(path, account.uid, account.gid)
    path.chmod(0o400)
    with path.open("rb") as configuration, (folder / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen(
            [bouncer, "/dev/stdin"],
            stdin=configuration,
            stdout=log,
            stderr=log,
            user=account.uid if account.switch else None,
            group=account.gid if account.switch else None,
            extra_groups=[] if account.switch else None,
            preexec_fn=partial(tie_to, os.getpid()),  # noqa: PLW1509 - it calls the C library only
        )
        try:
            await_that(lambda: _answers(port), process)
            yield f"postgresql://cardvault@127.0.0.1:{port}{server.path}?pgbouncer=true"
        finally:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

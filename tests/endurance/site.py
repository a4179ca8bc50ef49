"""An installation of several processes that faults are done to: two servers, a worker and the gateway simulator.

It refuses to know which database there is and what is done to it. Invariants: whatever was started ends with the site;
a process that is started again finds everything at the same addresses.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from ops.embedded_folder import temporary_place
from ops.local_http import Call, call, is_up
from ops.playground_folder import Folder, Record, remembered_ports
from ops.playground_setup import RUNTIME_LOGIN
from ops.process import Process
from ops.sandbox.signing import keep_private_key, write_public_key
from vault.settings import PREFIX

HOST = "127.0.0.1"
DATABASE = "cardvault"
PATIENCE = 120.0
SERVERS = ("server-1", "server-2")
WORKER, GATEWAY = "worker", "gateway"
# Time is compressed, so that what is open ends soon.
_PACE = {
    "SENDER_DEADLINE": "8",
    "GATEWAY_TIMEOUT": "6",
    "REQUEST_DEADLINE": "20",
    "NOT_SENT_GRACE": "2",
    "INQUIRY_FIRST": "0.5",
    "INQUIRY_MAX": "2",
    "AUDIT_CHECKPOINT_INTERVAL": "1",
    "RETRY_GUARD": "off",
    "LIMITS": "off",
}
_PREPARE = (
    "import asyncio, os; from ops.playground_setup import prepare_database; "
    "print(asyncio.run(prepare_database(os.environ['SUPERUSER'])))"
)
_ONBOARD = (
    "import asyncio, os; from pathlib import Path; from ops.playground_folder import Folder; "
    "from ops.playground_setup import onboard; from vault.settings import load_settings; "
    "asyncio.run(onboard(load_settings(os.environ), Folder(Path(os.environ['ROOT'])), os.environ['GATEWAY_KEY']))"
)


@dataclass(slots=True)
class Site:
    """A running installation; `processes` by name, `urls` of those that take requests, `environ` of the vault's own."""

    folder: Folder
    superuser: str
    record: Record
    urls: dict[str, str]
    environ: dict[str, str] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)

    @property
    def servers(self) -> list[str]:
        """Where payments and cards are sent to."""
        return [self.urls[name] for name in SERVERS]

    def start(self, name: str) -> None:
        """Start a process again, at its old address."""
        self.processes[name].start()

    def run_with(self, name: str, code: Path | None) -> None:
        """Stop one of the vault's processes, if it runs, and start it with the code in a folder (None: with this)."""
        if name in self.processes:
            self.processes[name].ask_to_stop()
            await_that(lambda: not self.processes[name].running)  # it drains as long as it needs
        command = ["worker"] if name == WORKER else ["serve", "--port", self.urls[name].rpartition(":")[2]]
        _add(self, name, command, running(code, self.environ))
        if name != WORKER:
            await_that(lambda: self.is_ready(name))

    def pids(self) -> dict[str, int]:
        """Give the processes that run."""
        return {name: each.pid for name, each in self.processes.items() if each.running}

    def is_ready(self, name: str) -> bool:
        """Tell whether a server would take requests."""
        return is_up(self.urls[name], "/readyz")


def new_folder(stack: ExitStack, name: str) -> Folder:
    """Make a folder that goes with the site, and that PostgreSQL's account may enter."""
    root = Path(tempfile.mkdtemp(prefix=f"cardvault-{name}-", dir=temporary_place()))
    root.chmod(0o711)
    stack.callback(shutil.rmtree, root, ignore_errors=True)
    folder = Folder(root.resolve())
    folder.prepare()
    return folder


def open_site(
    stack: ExitStack, folder: Folder, at: Callable[[str], str], code: Path | None = None, **more: str
) -> Site:
    """Set the installation up and start it, with other code than this where a folder of it is given.

    `at` puts a login before the database's address; `more` are further settings.
    """
    ports = remembered_ports(folder.root / "vault-ports.json", (*SERVERS, GATEWAY))
    urls = {name: f"http://{HOST}:{port}" for name, port in ports.items()}
    superuser = at("")
    password = quote(_done(code, _PREPARE, {"SUPERUSER": superuser}).strip(), safe="")
    site = Site(folder, superuser, Record("", "", ""), urls)
    stack.callback(_stop, site)
    key_file = folder.sandbox / "gateway.pem"
    arguments = ["sandbox", "--port", str(ports[GATEWAY]), "--gateway-key-file", str(key_file)]
    _add(site, GATEWAY, [*arguments, "--state-directory", str(folder.sandbox)], running(None, {}))
    await_that(lambda: is_up(urls[GATEWAY], "/_sandbox/health"))
    settings = _settings(folder, urls, at(f"{RUNTIME_LOGIN}:{password}")) | more
    site.environ = {f"{PREFIX}{name}": value for name, value in settings.items()}
    gateway_key = write_public_key(keep_private_key(key_file).public_key())
    operators = {f"{PREFIX}ADMIN_DATABASE_URL": superuser, "ROOT": str(folder.root), "GATEWAY_KEY": gateway_key}
    _done(code, _ONBOARD, site.environ | operators)
    site.record = Record.read(folder.record) or site.record
    public_key = write_public_key(keep_private_key(folder.merchant_key).public_key())
    merchant = {"clientId": site.record.gateway_client_id, "publicKey": public_key}
    call(urls[GATEWAY], Call("POST", "/_sandbox/clients", merchant))
    for name in (*SERVERS, WORKER):
        site.run_with(name, code)
    return site


def running(code: Path | None, variables: dict[str, str]) -> dict[str, str]:
    """Give a process's environment: these variables, none of another vault's, and where its code is."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return environ | variables | ({"PYTHONPATH": str(code)} if code else {})


def _done(code: Path | None, program: str, variables: dict[str, str]) -> str:
    """Run a program with the site's code, and give what it prints."""
    order = [sys.executable, "-P", "-c", program]
    return subprocess.run(order, env=running(code, variables), stdout=subprocess.PIPE, text=True, check=True).stdout


def await_that(holds: Callable[[], bool], *, seconds: float = PATIENCE) -> None:
    """Wait until something holds; raises `TimeoutError`."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.1)


def _settings(folder: Folder, urls: dict[str, str], database: str) -> dict[str, str]:
    return {
        "ENVIRONMENT": "development",
        "DATABASE_URL": database,
        "SEAL": f"local:{folder.keystore}",
        "SEAL_PASSPHRASE_FILE": str(folder.passphrase),
        "APPROVAL_POLICY_FILE": str(folder.approval_policy),
        "GATEWAY_URL": urls[GATEWAY],
        "PUBLIC_URL": urls[SERVERS[0]],
        **_PACE,
    }


def _add(site: Site, name: str, arguments: list[str], environ: dict[str, str]) -> None:
    site.processes[name] = Process(name, arguments, environ, site.folder.logs / f"{name}.log")
    site.processes[name].start()


def _stop(site: Site) -> None:
    for process in site.processes.values():
        process.ask_to_stop()
    for process in site.processes.values():
        process.stop()

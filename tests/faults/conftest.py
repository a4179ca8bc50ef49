"""Fixtures of the fault tests: an onboarded database to copy, servers that can be stopped, and a whole installation."""

import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ops.embedded import EmbeddedPostgres, ServerOptions
from ops.sandbox.config import SandboxConfig
from ops.sandbox.server import Sandbox
from tests.canary import leaks_in_folder
from tests.database import Databases, place_for_servers
from tests.faults.stoppable import Forge
from tests.faults.trial import Trial, trial_in
from tests.installation import Blueprint, onboard
from vault import migrations


@pytest.fixture(scope="session")
def blueprint(databases: Databases, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Blueprint:
    """A database with keys, a merchant and a client, to copy."""
    folder = tmp_path_factory.mktemp("faults")
    key = Sandbox(SandboxConfig(gateway_key_file=folder / "gateway.pem")).gateway_public_key
    url = next(databases.fresh(migrated_template))
    tenants = databases.run(onboard(folder, url, key, count=1))
    return Blueprint(url.rpartition("/")[2], folder, tenants)


@pytest.fixture
def vault_url(databases: Databases, blueprint: Blueprint) -> Iterator[str]:
    """The URL of a database of an onboarded installation that no other test sees."""
    yield from databases.fresh(blueprint.template)


@pytest.fixture(scope="session")
def forge(log_folder: Path, worker_id: str) -> Iterator[Forge]:
    """The process that servers are forked from."""
    with (log_folder / f"servers-{worker_id}.log").open("ab") as log:
        forge = Forge(log)
        yield forge
        forge.close()


@pytest.fixture
def postgres_of_its_own(log_folder: Path, worker_id: str) -> Iterator[EmbeddedPostgres]:
    """A server that a test may kill, and start again at the same address."""
    folder = Path(tempfile.mkdtemp(prefix="cardvault-fault-", dir=place_for_servers()))
    folder.chmod(0o711)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    logs = log_folder / f"postgres-{worker_id}"
    server = EmbeddedPostgres(folder / "server", logs=logs, options=ServerOptions(port=port, max_connections=200))
    try:
        with server:
            yield server
        assert not leaks_in_folder(server.data, text=False)
    finally:
        shutil.rmtree(folder)


@pytest.fixture
async def trial_of_its_own(postgres_of_its_own: EmbeddedPostgres, forge: Forge, tmp_path: Path) -> AsyncIterator[Trial]:
    """As `trial`, on a server of its own."""
    url = postgres_of_its_own.url("postgres")
    await migrations.upgrade(url)
    key = Sandbox(SandboxConfig(gateway_key_file=tmp_path / "gateway.pem")).gateway_public_key
    tenants = await onboard(tmp_path, url, key, count=1)
    async with trial_in(Blueprint("", tmp_path, tenants), url, forge) as trial:
        yield trial


@pytest.fixture
async def trial(blueprint: Blueprint, vault_url: str, forge: Forge) -> AsyncIterator[Trial]:
    """A running installation, its gateway, and servers of it that can be stopped."""
    async with trial_in(blueprint, vault_url, forge) as trial:
        yield trial

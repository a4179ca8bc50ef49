"""Fixtures of the fault tests: an onboarded database to copy, servers that can be stopped, and a whole installation."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ops.sandbox.config import SandboxConfig
from ops.sandbox.server import Sandbox
from tests.database import Cluster, Databases
from tests.faults.stoppable import Forge
from tests.faults.trial import Trial, trial_in
from tests.installation import Blueprint, onboard


@pytest.fixture(scope="session")
def blueprint(
    postgres: Cluster, databases: Databases, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Blueprint:
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
async def trial(blueprint: Blueprint, vault_url: str, forge: Forge) -> AsyncIterator[Trial]:
    """A running installation, its gateway, and servers of it that can be stopped."""
    async with trial_in(blueprint, vault_url, forge) as trial:
        yield trial

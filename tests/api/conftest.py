"""One onboarded database for each worker, copied for each test; a running vault on the copy."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from ops.sandbox.signing import keep_private_key, write_public_key
from tests import stretching
from tests.api.gateway import Puppet, puppet_gateway
from tests.api.shop import Sql
from tests.database import Databases
from tests.installation import Blueprint, Installation, installed, onboard
from vault import directory, unsealing
from vault.gateway.signing import load_private_key

QUICK: dict[str, Any] = {"capture_delay": 0.05, "late_after": 0.3, "notification_scale": 0.0001}


@pytest.fixture(scope="session")
def blueprint(
    databases: Databases, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Blueprint]:
    """Keys, merchants and clients, made once for each worker."""
    folder: Path = tmp_path_factory.mktemp("installation")
    gateway_key = write_public_key(keep_private_key(folder / "gateway.pem").public_key())
    making = databases.fresh(migrated_template)
    url = next(making)
    tenants = asyncio.run(onboard(folder, url, gateway_key))
    yield Blueprint(url.rpartition("/")[2], folder, tenants)
    next(making, None)


@pytest.fixture(scope="session")
def opened_seals() -> stretching.Opened:
    """The keystores that were opened already."""
    return {}


@pytest.fixture(autouse=True)
def one_stretching_for_each_keystore(opened_seals: stretching.Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsealing, "open_seal", stretching.once(unsealing.open_seal, opened_seals))


@pytest.fixture(scope="session")
def parse_once() -> Callable[[str], RSAPrivateKey]:
    """A merchant's private key, parsed when it is met for the first time."""
    return lru_cache(maxsize=64)(load_private_key)


@pytest.fixture(autouse=True)
def one_parsing_for_each_key(parse_once: Callable[[str], RSAPrivateKey], monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse a private key once for all tests, as a server does once for all its payments (it takes 30 ms)."""
    monkeypatch.setattr(directory, "load_private_key", parse_once)


@pytest.fixture
def onboarded_url(databases: Databases, blueprint: Blueprint) -> Iterator[str]:
    """The superuser's URL of an onboarded database that no other test sees."""
    yield from databases.fresh(blueprint.template)


@pytest.fixture
async def vault(blueprint: Blueprint, onboarded_url: str) -> AsyncIterator[Installation]:
    """A running vault with its gateway, everything quick."""
    async with installed(blueprint, onboarded_url, sandbox=QUICK) as installation:
        yield installation


@pytest.fixture
async def sql(onboarded_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sql]:
    """The database as its superuser sees it; what is changed there is known to the vault at once."""
    monkeypatch.setattr(directory, "_FRESH_SECONDS", 0.0)
    connection = await asyncpg.connect(onboarded_url, ssl=False)
    yield Sql(connection)
    await connection.close()


@pytest.fixture
async def puppet(blueprint: Blueprint) -> AsyncIterator[Puppet]:
    """A gateway that answers as it is told."""
    async with puppet_gateway(blueprint.folder) as puppet:
        yield puppet


@pytest.fixture
async def puppeteer(blueprint: Blueprint, onboarded_url: str, puppet: Puppet) -> AsyncIterator[Installation]:
    """A running vault in front of the puppet."""
    async with installed(blueprint, onboarded_url, gateway_url=puppet.url) as installation:
        yield installation

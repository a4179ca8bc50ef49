"""An operator's desk at a migrated database, before and after the keys were made; key files for merchants."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keys.seals import keystore
from tests import stretching
from tests.installation import key_pair
from tests.ops.cli.commands import Desk, desk_at
from vault import unsealing


@dataclass(frozen=True, slots=True)
class KeyTexts:
    """A merchant's private key and the gateway's public one, as the gateway's console shows them."""

    private: str
    public: str


@pytest.fixture(scope="session")
def key_texts() -> KeyTexts:
    return KeyTexts(*key_pair())


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("CARDVAULT_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def one_stretching_for_each_keystore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsealing, "open_seal", stretching.once(unsealing.open_seal, {}))


@pytest.fixture
def quick_stretching(monkeypatch: pytest.MonkeyPatch) -> None:
    """One stretching takes a tenth of a second and is tested in tests/keys; here it is the cheapest there is."""
    monkeypatch.setattr(keystore, "_MEMORY_KIB", range(64, 1_048_577))
    monkeypatch.setattr(keystore, "_TIME", range(1, 11))


@pytest.fixture
def bare_desk(tmp_path: Path, database_url: str) -> Desk:
    """A migrated database without keys."""
    return desk_at(tmp_path, database_url)


@pytest.fixture
def desk(bare_desk: Desk) -> Desk:
    """A migrated database with keys."""
    bare_desk.data("keys", "init")
    return bare_desk


@pytest.fixture
def merchant_id(desk: Desk, key_texts: KeyTexts) -> str:
    """A merchant, made by the command."""
    return str(make_merchant(desk, key_texts, "GATEWAY_1")["merchantId"])


def make_merchant(desk: Desk, key_texts: KeyTexts, gateway_client_id: str, *more: str) -> dict[str, Any]:
    made: dict[str, str] = desk.data(
        *("merchants", "create", "--name", "Shop", "--gateway-client-id", gateway_client_id),
        *("--gateway-private-key-file", desk.file("merchant.pem", key_texts.private)),
        *("--gateway-public-key-file", desk.file("gateway.pem", key_texts.public), *more),
    )
    return made

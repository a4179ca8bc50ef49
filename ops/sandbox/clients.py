"""The merchants this sandbox knows, and their public keys.

Kept in memory and, where a directory is given, in `clients.json`. Refuses to know requests. Invariant: the file holds
public keys only and is replaced as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from ops.sandbox.signing import read_public_key, write_public_key

FILE = "clients.json"
FIRST_VERSION = "1"


@dataclass(frozen=True, slots=True)
class Client:
    """One merchant: its id and the keys that its requests may be signed with, by version."""

    client_id: str
    public_keys: Mapping[str, rsa.RSAPublicKey]


class Clients:
    """All registered merchants."""

    def __init__(self, directory: Path | None) -> None:
        self._file = None if directory is None else directory / FILE
        self._known: dict[str, Client] = {}
        if self._file is not None and self._file.exists():
            for client_id, keys in json.loads(self._file.read_text(encoding="utf-8")).items():
                versions = {FIRST_VERSION: keys} if isinstance(keys, str) else keys  # before there were versions
                read = {version: read_public_key(key) for version, key in versions.items()}
                self._known[client_id] = Client(client_id, read)

    def find(self, client_id: str) -> Client | None:
        """Return a merchant by its client id."""
        return self._known.get(client_id)

    def register(self, client_id: str, public_key: str, key_version: str = FIRST_VERSION) -> None:
        """Add a merchant, or a version of its key (bare base64 of a SubjectPublicKeyInfo), replacing that version.

        Raises `KeyUnusable`.
        """
        known = self._known.get(client_id)
        added = {key_version: read_public_key(public_key)}
        self._known[client_id] = Client(client_id, {**(known.public_keys if known else {}), **added})
        if self._file is not None:
            self._write(self._file)

    def _write(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".new")
        keys = {
            known.client_id: {version: write_public_key(key) for version, key in known.public_keys.items()}
            for known in self._known.values()
        }
        fresh.write_text(json.dumps(keys, indent=1), encoding="utf-8")
        fresh.replace(file)

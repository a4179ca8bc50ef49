"""The local seal: a keystore file outside the database guards the root key.

Refuses to know where wraps are stored and what the root key wraps. Invariants: file and passphrase together open it,
neither alone, and a copy of the database opens nothing (KEY-3); a root key comes back only under the id, version and
environment it was wrapped for, and only when its check value is the recorded one (KEY-12, KEY-14).
"""

import base64
import hmac
import os
from pathlib import Path
from typing import Self

from keys.envelope import KEY_ID_BYTES, Cipher, Context
from keys.errors import RootKeyMismatch
from keys.rootkey import RootKey, key_material
from keys.sealed import KeyMaterial
from keys.seals.keystore import Keystore, Passphrase, read, write_new

__all__ = ["LocalSeal", "Passphrase"]


class LocalSeal:
    """An opened keystore; `name` tells it from every other seal, for instance `local:` and 26 characters."""

    __slots__ = ("_cipher", "name")

    def __init__(self, key_id: bytes, key: KeyMaterial) -> None:
        self._cipher = Cipher(key_id, key)
        self.name = "local:" + base64.b32encode(key_id).decode().rstrip("=").lower()

    @classmethod
    def create(cls, path: Path, passphrase: Passphrase) -> Self:
        """Write a new keystore file of mode 600; SealFileExists where there is one, SealFileInaccessible."""
        key_id, key = os.urandom(KEY_ID_BYTES), KeyMaterial.generate()
        write_new(path, Keystore.around(key_id, key, passphrase).render())
        return cls(key_id, key)

    @classmethod
    def load(cls, path: Path, passphrase: Passphrase) -> Self:
        """Open a keystore file; SealFileMissing, -Inaccessible, -Exposed, -Invalid or WrongPassphrase."""
        keystore = Keystore.parse(read(path))
        return cls(keystore.key_id, keystore.open(passphrase))

    def wrap_root(self, root: RootKey, environment: str) -> bytes:
        """Return the root key in an envelope, bound to its id, version and environment."""
        return self._cipher.seal(root.material, _context(root.key_id, root.version, environment))

    def unwrap_root(self, blob: bytes, *, key_id: bytes, version: int, environment: str, check_value: bytes) -> RootKey:
        """Return the root key; CannotOpen, or RootKeyMismatch when its check value is not the recorded one."""
        material = key_material(self._cipher.open(blob, _context(key_id, version, environment)))
        root = RootKey(key_id, version, material)
        if not hmac.compare_digest(root.check_value(), check_value):
            raise RootKeyMismatch("the root key is not the one on record")
        return root


def _context(key_id: bytes, version: int, environment: str) -> Context:
    return Context(environment, "", "root_key", key_id.hex(), f"v{version}")

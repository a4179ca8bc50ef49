"""The local seal: a keystore file outside the database guards the root key.

Refuses to know where wraps are stored and what the root key wraps. Invariant: file and passphrase together open it,
neither alone, and a copy of the database opens nothing (KEY-3).
"""

import os
from pathlib import Path
from typing import Self

from keys.envelope import KEY_ID_BYTES, Cipher
from keys.sealed import KeyMaterial
from keys.seals.keystore import Keystore, Passphrase, read, write_new
from keys.seals.seal import EnvelopeSeal

__all__ = ["LocalSeal", "Passphrase"]


class LocalSeal(EnvelopeSeal):
    """An opened keystore."""

    __slots__ = ()
    kind = "local"

    def __init__(self, key_id: bytes, key: KeyMaterial) -> None:
        super().__init__(Cipher(key_id, key))

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

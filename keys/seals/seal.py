"""What every seal does: wrap a root key, and give it back under exactly what it was wrapped for.

Refuses to know where a seal keeps its key and where wraps are stored. Invariants: a root key comes back only under the
id, version and environment it was wrapped for, and only when its check value is the recorded one (KEY-12, KEY-14); what
opens a wrap is never in the database (KEY-3).
"""

import base64
import hmac
from abc import ABC, abstractmethod
from typing import ClassVar, Final

from keys.envelope import Cipher, Context
from keys.errors import RootKeyMismatch
from keys.rootkey import RootKey, key_material
from keys.sealed import KeyMaterial

SHARES_PREFIX: Final = "shares:"


class Seal(ABC):
    """Something that opens the root key alone; `name` tells it from every other seal."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def wrap_root(self, root: RootKey, environment: str) -> bytes:
        """Return the root key wrapped, bound to its id, version and environment; a SealError of this seal's kind."""
        return self._wrap(root.material, _context(root.key_id, root.version, environment))

    def unwrap_root(self, blob: bytes, *, key_id: bytes, version: int, environment: str, check_value: bytes) -> RootKey:
        """Return the root key; CannotOpen, a SealError of this seal's kind, or RootKeyMismatch.

        The last means that what opened has another check value than the recorded one.
        """
        root = RootKey(key_id, version, self._unwrap(blob, _context(key_id, version, environment)))
        if not hmac.compare_digest(root.check_value(), check_value):
            raise RootKeyMismatch("the root key is not the one on record")
        return root

    @abstractmethod
    def _wrap(self, key: KeyMaterial, context: Context) -> bytes:
        """Return a blob that opens in this context alone."""

    @abstractmethod
    def _unwrap(self, blob: bytes, context: Context) -> KeyMaterial:
        """Return the key; CannotOpen when the blob is not of this seal and context."""


class EnvelopeSeal(Seal):
    """A seal whose wraps are envelopes (`docs/envelope-v1.md`), named after the key that they name."""

    __slots__ = ("_cipher",)
    kind: ClassVar[str]

    def __init__(self, cipher: Cipher) -> None:
        super().__init__(seal_name(self.kind, cipher.key_id))
        self._cipher = cipher

    def _wrap(self, key: KeyMaterial, context: Context) -> bytes:
        return self._cipher.seal(key, context)

    def _unwrap(self, blob: bytes, context: Context) -> KeyMaterial:
        return key_material(self._cipher.open(blob, context))


def seal_name(kind: str, key_id: bytes) -> str:
    """Return the name of a seal by its kind and key: for instance `local:` and 26 characters."""
    return f"{kind}:{base64.b32encode(key_id).decode().rstrip('=').lower()}"


def seal_key_id(name: str) -> bytes:
    """Return the key's id of a name that `seal_name` made."""
    return base64.b32decode(name.partition(":")[2].upper() + "======")


def _context(key_id: bytes, version: int, environment: str) -> Context:
    return Context(environment, "", "root_key", key_id.hex(), f"v{version}")

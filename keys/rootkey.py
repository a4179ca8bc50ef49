"""The root key: wraps data keys and nothing else.

Refuses to know which seal guards it and where wraps are stored. Invariants: its material feeds HKDF only, one subkey
for wrapping and one for the check value (CRY-8); a wrapped data key is an envelope whose context names the key's id,
purpose, merchant and environment, so that a wrap moved to another row does not open (KEY-12, KEY-14).
"""

import os
from dataclasses import dataclass
from typing import Final, Self

from keys.envelope import KEY_ID_BYTES, Cipher, Context
from keys.errors import CannotOpen
from keys.fingerprint import mac, subkey
from keys.sealed import KEY_BYTES, KeyMaterial, Plaintext

CHECK_VALUE_BYTES: Final = 16

_WRAP_INFO: Final = "cardvault/root/v1/wrap"
_CHECK_INFO: Final = "cardvault/root/v1/check"
_CHECK_MESSAGE: Final = b"cardvault root key check value"


@dataclass(frozen=True, slots=True)
class RootKey:
    """One version of the root key; `key_id` is 16 octets, `version` counts from 1."""

    key_id: bytes
    version: int
    material: KeyMaterial

    def __post_init__(self) -> None:
        if len(self.key_id) != KEY_ID_BYTES or self.version < 1:
            raise ValueError("a root key has a 16-octet id and a version from 1")

    @classmethod
    def generate(cls, version: int) -> Self:
        """Return a fresh root key."""
        return cls(os.urandom(KEY_ID_BYTES), version, KeyMaterial.generate())

    def check_value(self) -> bytes:
        """Return 16 octets that identify the material without giving it away (KEY-12)."""
        return mac(subkey(self.material, _CHECK_INFO), _CHECK_MESSAGE)[:CHECK_VALUE_BYTES]

    def wrap(self, data_key: KeyMaterial, *, context: Context) -> bytes:
        """Return the data key in an envelope that names this root key."""
        return self._cipher().seal(data_key, context)

    def unwrap(self, wrapped: bytes, *, context: Context) -> KeyMaterial:
        """Return the data key; CannotOpen when the wrap is not of this root key and exactly this context."""
        return key_material(self._cipher().open(wrapped, context))

    def _cipher(self) -> Cipher:
        return Cipher(self.key_id, subkey(self.material, _WRAP_INFO))


def key_material(plaintext: Plaintext) -> KeyMaterial:
    """Return the opened octets as a key; CannotOpen when they are not of a key's length."""
    if len(plaintext.reveal()) != KEY_BYTES:
        raise CannotOpen
    return KeyMaterial(plaintext.reveal())

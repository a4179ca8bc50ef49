"""Keyed digests: HKDF-SHA-256 for subkeys, HMAC-SHA-256 over whole values.

Refuses to know what is digested or whose key it is. Invariants: a key is never used for two purposes, each label has
its own subkey (CRY-8); there is no digest without a key (STO-2); digests are compared in constant time.
"""

import hmac
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keys.sealed import KEY_BYTES, KeyMaterial

_SUBKEY_PREFIX: Final = "cardvault/fingerprint/v1/"


class Label(StrEnum):
    """What a digest is for; a digest under one label says nothing of the same message under another."""

    PAN = "pan"
    TOKEN = "token"  # noqa: S105 - the name of a purpose, not a secret
    REQUEST = "request"
    CURSOR = "cursor"
    SUBJECT = "subject"
    API_SECRET = "api_secret"  # noqa: S105 - the name of a purpose, not a secret


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """A 32-octet digest and the id of the key version that made it."""

    key_id: bytes
    value: bytes = field(repr=False)

    def matches(self, value: bytes) -> bool:
        """Tell in constant time whether `value` is this digest."""
        return hmac.compare_digest(self.value, value)

    def __eq__(self, other: object, /) -> bool:
        return isinstance(other, Fingerprint) and self.key_id == other.key_id and self.matches(other.value)

    def __hash__(self) -> int:
        return hash((self.key_id, self.value))


class Fingerprinter:
    """One fingerprint key with the subkeys of all labels derived; safe to share between threads and processes."""

    __slots__ = ("_macs", "key_id")

    def __init__(self, key_id: bytes, key: KeyMaterial) -> None:
        self.key_id = key_id
        self._macs = {label: _keyed(subkey(key, _SUBKEY_PREFIX + label)) for label in Label}

    def digest(self, label: Label, message: bytes) -> Fingerprint:
        """Digest the entire message."""
        mac = self._macs[label].copy()
        mac.update(message)
        return Fingerprint(self.key_id, mac.finalize())


def subkey(key: KeyMaterial, info: str) -> KeyMaterial:
    """Derive a key for one use: HKDF-SHA-256 without salt, `info` names the use (RFC 5869)."""
    return KeyMaterial(HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info.encode()).derive(key.reveal()))


def mac(key: KeyMaterial, message: bytes) -> bytes:
    """Return HMAC-SHA-256, 32 octets."""
    keyed = _keyed(key)
    keyed.update(message)
    return keyed.finalize()


def _keyed(key: KeyMaterial) -> HMAC:
    return HMAC(key.reveal(), SHA256())

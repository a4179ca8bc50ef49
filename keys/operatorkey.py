"""The signing key of an operator: Ed25519 (RFC 8032), in a keystore file that only its passphrase opens.

Refuses to know what is signed and who the operator is. Invariants: the key in the file is random and feeds HKDF only,
so that the file serves no other purpose even where it is mistaken for a seal's; a signature that does not verify is
never distinguished by its reason (controls.md KEY-5, CRY-8, ACC-9).
"""

import os
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keys.envelope import KEY_ID_BYTES
from keys.fingerprint import subkey
from keys.sealed import KeyMaterial
from keys.seals.keystore import Keystore, Passphrase, read, write_new

PUBLIC_KEY_BYTES: Final = 32

_SIGN_INFO: Final = "cardvault/operator/v1/sign"


class OperatorKey:
    """An opened signing key; `public_key` is 32 octets."""

    __slots__ = ("_private", "public_key")

    def __init__(self, material: KeyMaterial) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(subkey(material, _SIGN_INFO).reveal())
        self.public_key = self._private.public_key().public_bytes_raw()

    @classmethod
    def create(cls, path: Path, passphrase: Passphrase) -> Self:
        """Write a new key file of mode 600; SealFileExists where there is one, SealFileInaccessible."""
        material = KeyMaterial.generate()
        write_new(path, Keystore.around(os.urandom(KEY_ID_BYTES), material, passphrase).render())
        return cls(material)

    @classmethod
    def load(cls, path: Path, passphrase: Passphrase) -> Self:
        """Open a key file; SealFileMissing, -Inaccessible, -Exposed, -Invalid or WrongPassphrase."""
        return cls(Keystore.parse(read(path)).open(passphrase))

    def sign(self, statement: bytes) -> bytes:
        """Return the 64 octets of the signature."""
        return self._private.sign(statement)


def verify(public_key: bytes, statement: bytes, signature: bytes) -> bool:
    """Tell whether the signature is the key's over exactly this statement."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, statement)
    except (InvalidSignature, ValueError):
        return False
    return True

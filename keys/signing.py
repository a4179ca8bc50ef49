"""Ed25519 signatures (RFC 8032): one data key as a signing key, and the check of a signature by its public half.

Refuses to know what is signed and how a signature is written down. Invariant: the 256 bits of the data key are the seed
and nothing else, so that the same message has the same signature whoever signs it, and whenever.
"""

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keys.sealed import KeyMaterial

PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64


class Signer:
    """One signing key with its id; `public` is what others check with."""

    __slots__ = ("_key", "key_id", "public")

    def __init__(self, key_id: bytes, key: KeyMaterial) -> None:
        self.key_id = key_id
        self._key = Ed25519PrivateKey.from_private_bytes(key.reveal())
        self.public = self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Return the 64 octets of the message's only signature."""
        return self._key.sign(message)


def is_signed(message: bytes, signature: bytes, public: bytes) -> bool:
    """Tell whether a signature over the entire message was made by the key with this public half."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True

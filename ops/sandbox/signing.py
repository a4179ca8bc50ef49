"""The gateway's message signatures, read from its rules and not from anybody's code (antom-api.md 1.3 to 1.7).

Pure functions over RSA keys and bytes, and the file that keeps the gateway's key. Refuses to know JSON and HTTP.
Invariant: what is signed is what is on the wire, byte for byte.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote_plus, unquote_plus

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

KEY_BITS = 2048
HEADER = re.compile(r"algorithm=RSA256, ?keyVersion=(?P<version>\d{1,9}), ?signature=(?P<signature>\S+)")


class SignatureRejected(Exception):
    """The signature header is missing, cannot be read, or does not fit the message."""


class KeyVersionUnknown(Exception):
    """The signature names a key version that was never registered."""


class KeyUnusable(ValueError):
    """Key text that is no RSA public key of at least 2048 bits."""


def string_to_sign(*, method: str, target: str, client_id: str, time: str, body: bytes) -> bytes:
    """Return the signed bytes: method and path with query, a line feed, then client, time and body joined by dots."""
    # What is no UTF-8 in a header or path comes as surrogates and goes back to the bytes it was.
    return f"{method} {target}\n{client_id}.{time}.".encode(errors="surrogateescape") + body


def signature_header(key: rsa.RSAPrivateKey, message: bytes, *, key_version: str = "1") -> str:
    """Sign a message and return the whole header value."""
    signature = base64.b64encode(key.sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()
    return f"algorithm=RSA256,keyVersion={key_version},signature={quote_plus(signature)}"


def check_signature(header: str | None, message: bytes, *, keys: Mapping[str, rsa.RSAPublicKey]) -> None:
    """Raise `SignatureRejected` or `KeyVersionUnknown` unless the header signs the message with the key it names."""
    read = HEADER.fullmatch((header or "").strip())
    if read is None:
        raise SignatureRejected
    key = keys.get(read["version"])
    if key is None:
        raise KeyVersionUnknown
    try:
        signature = base64.b64decode(unquote_plus(read["signature"]), validate=True)
        key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    except (binascii.Error, ValueError, InvalidSignature):
        raise SignatureRejected from None


def read_public_key(text: str) -> rsa.RSAPublicKey:
    """Read a SubjectPublicKeyInfo as bare base64; raise `KeyUnusable`."""
    try:
        key = serialization.load_der_public_key(base64.b64decode("".join(text.split()), validate=True))
    except (binascii.Error, ValueError):
        raise KeyUnusable("publicKey is not the bare base64 of a SubjectPublicKeyInfo") from None
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < KEY_BITS:
        raise KeyUnusable("publicKey is not an RSA key of at least 2048 bits")
    return key


def write_public_key(key: rsa.RSAPublicKey) -> str:
    """Return the bare base64 of a key's SubjectPublicKeyInfo."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(key.public_bytes(serialization.Encoding.DER, form)).decode()


def new_private_key() -> rsa.RSAPrivateKey:
    """Make a fresh gateway key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)


def keep_private_key(path: Path | None) -> rsa.RSAPrivateKey:
    """Read the key in a PEM file, making file (mode 0600) and key when missing; without a path, just make one."""
    if path is None:
        return new_private_key()
    if path.exists():
        # A simulator's own file: checking its primes again would be most of a start's time.
        key = serialization.load_pem_private_key(path.read_bytes(), None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise KeyUnusable("the gateway key file holds no RSA private key")
        return key
    fresh = new_private_key()
    path.parent.mkdir(parents=True, exist_ok=True)
    pem = fresh.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_secret(path, pem)
    return fresh


def write_secret(path: Path, content: bytes) -> None:
    """Create a file that only its owner can read."""
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as stream:
        stream.write(content)

"""Signatures between the vault and the gateway: RSA, PKCS#1 v1.5, SHA-256 (`antom-api.md` 1.3 to 1.7).

Pure functions; refuses to know HTTP, clocks and storage. Invariant: `verify` fails closed. A header that is missing,
empty, spelled differently or made with a key that was not given is never taken for a signed message.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote_to_bytes

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

from vault.gateway.errors import CredentialsInvalid, KeyFormatInvalid, SignatureFault, SignatureInvalid

_ALGORITHM: Final = "RSA256"
_ITEM_NAMES: Final = ("algorithm", "keyVersion", "signature")
_SMALLEST_KEY_BITS: Final = 2048
_LARGEST_KEY_BITS: Final = 8192  # signing runs in the event loop: a larger key would hold it up
_LONGEST_KEY_TEXT: Final = 16_384

_ARMOUR: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*)-----END \1-----", re.DOTALL)
_PRIVATE_LABELS: Final = frozenset({"PRIVATE KEY", "RSA PRIVATE KEY"})
_PUBLIC_LABELS: Final = frozenset({"PUBLIC KEY"})

_CLIENT_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
_KEY_VERSION: Final = re.compile(r"[0-9]{1,9}")
_METHOD: Final = re.compile(r"[A-Z]{1,16}")
_PATH: Final = re.compile(r"/[\x21-\x7e]*")
# The signed string marks no boundary between time and body. Without braces and quotes in the time, the start of a body
# cannot be passed off as the end of it.
_TIME: Final = re.compile(r"[0-9A-Za-z:.+-]{1,64}")
_ENCODED: Final = re.compile(r"(?:[0-9A-Za-z]|%2[Bb]|%2[Ff]|%3[Dd])+")
_RAW_BASE64: Final = re.compile(r"[+/= ]")


@dataclass(frozen=True, slots=True, eq=False)
class GatewayCredentials:
    """What one merchant needs to talk to the gateway; keys by version, parsed once (parsing costs 30 ms)."""

    client_id: str
    key_version: str
    private_key: RSAPrivateKey = field(repr=False)
    public_keys: Mapping[str, RSAPublicKey] = field(repr=False)

    def __post_init__(self) -> None:
        if _CLIENT_ID.fullmatch(self.client_id) is None:
            raise CredentialsInvalid("the client id must have 1 to 64 letters, digits, dashes or underscores")
        if not all(_KEY_VERSION.fullmatch(version) for version in (self.key_version, *self.public_keys)):
            raise CredentialsInvalid("a key version must be a whole number")
        if not self.public_keys:
            raise CredentialsInvalid("at least one public key of the gateway is needed")
        object.__setattr__(self, "public_keys", MappingProxyType(dict(self.public_keys)))


def load_private_key(text: str) -> RSAPrivateKey:
    """Read a merchant's private key: PKCS#8 or PKCS#1, PEM or bare base64, RSA of 2048 to 8192 bits (CRY-12).

    Raises KeyFormatInvalid.
    """
    der = _der(text, labels=_PRIVATE_LABELS, wanted="the merchant's private key (PKCS#8 or PKCS#1)")
    try:
        key = load_der_private_key(der, password=None)
    except TypeError:
        raise KeyFormatInvalid("the private key is encrypted; give it without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFormatInvalid("the text is not a private key in PKCS#8 or PKCS#1") from None
    if not isinstance(key, RSAPrivateKey):
        raise KeyFormatInvalid("the gateway takes RSA keys only")
    _check_size(key.key_size)
    return key


def load_public_key(text: str) -> RSAPublicKey:
    """Read the gateway's public key: SubjectPublicKeyInfo, PEM or bare base64, RSA of 2048 to 8192 bits (CRY-12).

    Raises KeyFormatInvalid.
    """
    der = _der(text, labels=_PUBLIC_LABELS, wanted="the gateway's public key (SubjectPublicKeyInfo)")
    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFormatInvalid("the text is not a public key in SubjectPublicKeyInfo") from None
    if not isinstance(key, RSAPublicKey):
        raise KeyFormatInvalid("the gateway uses RSA keys only")
    _check_size(key.key_size)
    return key


def public_key_digest(key: RSAPublicKey) -> str:
    """Give the SHA-256 of a public key (SubjectPublicKeyInfo) in hexadecimal digits, for people to compare."""
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def string_to_sign(method: str, path: str, *, client_id: str, time: str, body: bytes) -> bytes:
    """Assemble the bytes that both sides sign (`antom-api.md` 1.3).

    `path` is the path on the wire with its query; an answer is signed with the method and path of its request.
    `body` is taken as it travels. Raises SignatureInvalid (malformed) for parts that no honest message has.
    """
    parts = ((_METHOD, method), (_PATH, path), (_CLIENT_ID, client_id), (_TIME, time))
    if not all(pattern.fullmatch(part) for pattern, part in parts):
        raise SignatureInvalid(SignatureFault.MALFORMED)
    return f"{method} {path}\n{client_id}.{time}.".encode("ascii") + body


def sign(key: RSAPrivateKey, key_version: str, message: bytes) -> str:
    """Sign `message` and write the whole value of a signature header (`antom-api.md` 1.2)."""
    signature = base64.b64encode(key.sign(message, PKCS1v15(), SHA256())).decode("ascii")
    escaped = signature.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")  # a tenth of what `quote` takes
    return f"algorithm={_ALGORITHM},keyVersion={key_version},signature={escaped}"


def verify(keys: Mapping[str, RSAPublicKey], header: str | None, message: bytes) -> None:
    """Check that `header` signs `message` with the key that it names (`antom-api.md` 1.4).

    Raises SignatureInvalid with the first fault found.
    """
    if header is None:
        raise SignatureInvalid(SignatureFault.MISSING)
    algorithm, key_version, encoded = _items(header)
    if algorithm != _ALGORITHM:
        raise SignatureInvalid(SignatureFault.WRONG_ALGORITHM)
    if key_version not in keys:
        raise SignatureInvalid(SignatureFault.UNKNOWN_KEY_VERSION)
    try:
        keys[key_version].verify(_signature(encoded), message, PKCS1v15(), SHA256())
    except InvalidSignature:
        raise SignatureInvalid(SignatureFault.MISMATCH) from None


def _items(header: str) -> tuple[str, str, str]:
    items = [item.partition("=") for item in header.split(",")]
    if tuple((name, sign) for name, sign, _ in items) != tuple((name, "=") for name in _ITEM_NAMES):
        raise SignatureInvalid(SignatureFault.MALFORMED)
    algorithm, key_version, signature = (value for _, _, value in items)
    return algorithm, key_version, signature


def _signature(encoded: str) -> bytes:
    if not encoded:
        raise SignatureInvalid(SignatureFault.EMPTY)
    if _RAW_BASE64.search(encoded):
        raise SignatureInvalid(SignatureFault.NOT_ENCODED)
    if _ENCODED.fullmatch(encoded) is None:
        raise SignatureInvalid(SignatureFault.MALFORMED)
    text = unquote_to_bytes(encoded)
    try:
        signature = base64.b64decode(text, validate=True)
    except ValueError:
        raise SignatureInvalid(SignatureFault.MALFORMED) from None
    if base64.b64encode(signature) != text:
        raise SignatureInvalid(SignatureFault.MALFORMED)
    return signature


def _der(text: str, *, labels: frozenset[str], wanted: str) -> bytes:
    # The armour is taken off and its label used as a hint only: shops keep PKCS#8 between "RSA PRIVATE KEY" lines.
    if len(text) > _LONGEST_KEY_TEXT:
        raise KeyFormatInvalid(f"the text is too long for a key; expected {wanted}")
    armoured = _ARMOUR.fullmatch(text.strip())
    if armoured is not None and armoured[1] not in labels:
        raise KeyFormatInvalid(f"this PEM block holds something else; expected {wanted}")
    try:
        return base64.b64decode("".join((armoured[2] if armoured else text).split()), validate=True)
    except ValueError:
        raise KeyFormatInvalid(f"the text is neither PEM nor base64; expected {wanted}") from None


def _check_size(bits: int) -> None:
    if not _SMALLEST_KEY_BITS <= bits <= _LARGEST_KEY_BITS:
        raise KeyFormatInvalid(f"an RSA key of {_SMALLEST_KEY_BITS} to {_LARGEST_KEY_BITS} bits is needed")

"""The byte format of sealed data, version 1; `docs/envelope-v1.md` is the specification.

Refuses to know what it seals, where keys come from and how often one was used. Invariants: AES-256-GCM with a nonce
drawn per call from the operating system; everything that says where a value belongs is authenticated, so a ciphertext
that was moved does not open; parsing is strict and a version is never guessed; one key id means one key, never a trial.
`Cipher._seal_with` is the private seam through which golden vectors fix the nonce; nothing else may call it.
"""

import dataclasses
import os
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys.errors import CannotOpen, PlaintextTooLarge
from keys.sealed import KeyMaterial, Plaintext, Sealed

VERSION: Final = 1
KEY_ID_BYTES: Final = 16
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
HEADER_BYTES: Final = 1 + KEY_ID_BYTES + NONCE_BYTES
OVERHEAD_BYTES: Final = HEADER_BYTES + TAG_BYTES
MAX_PLAINTEXT_BYTES: Final = 65_536

_LABEL: Final = b"cardvault/envelope"
_NONCE_START: Final = 1 + KEY_ID_BYTES

Secret: TypeAlias = bytes | Sealed[bytes] | Sealed[str]


@dataclass(frozen=True, slots=True)
class Context:
    """Where a sealed value belongs: bound to the envelope, stored nowhere in it (CRY-4).

    `merchant_id` is empty for what belongs to the installation itself; every other part is named. `octets` are the
    five parts, each behind its length; ValueError for a part that is too long for one.
    """

    environment: str
    merchant_id: str
    table: str
    row_id: str
    field: str
    octets: bytes = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not (self.environment and self.table and self.row_id and self.field):
            raise ValueError("only the merchant of a context may be empty")
        parts = (self.environment, self.merchant_id, self.table, self.row_id, self.field)
        object.__setattr__(self, "octets", b"".join([_prefixed(part.encode()) for part in parts]))


class Aead(Protocol):
    """AES-256-GCM with a key that is elsewhere, in a token for instance; `decrypt` raises CannotOpen."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        """Return ciphertext and tag."""

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        """Return the plaintext of ciphertext and tag."""


class Cipher:
    """One AES-256-GCM key with its id, expanded once; safe to share between threads and processes."""

    __slots__ = ("_aad_head", "_aead", "_head", "key_id")

    def __init__(self, key_id: bytes, key: KeyMaterial | Aead) -> None:
        if len(key_id) != KEY_ID_BYTES:
            raise ValueError("a key id is exactly 16 octets")
        self.key_id = key_id
        self._head = bytes([VERSION]) + key_id
        self._aad_head = _prefixed(_LABEL) + _prefixed(bytes([VERSION])) + _prefixed(key_id)
        self._aead = AESGCM(key.reveal()) if isinstance(key, KeyMaterial) else key

    def seal(self, plaintext: Secret, context: Context) -> bytes:
        """Return an envelope; PlaintextTooLarge beyond `MAX_PLAINTEXT_BYTES`. Text is sealed as UTF-8."""
        return self._seal_with(os.urandom(NONCE_BYTES), plaintext, context)

    def open(self, envelope: bytes, context: Context) -> Plaintext:
        """Return the plaintext, or raise CannotOpen for whatever reason."""
        if key_id_of(envelope) != self.key_id:
            raise CannotOpen
        nonce, sealed = envelope[_NONCE_START:HEADER_BYTES], envelope[HEADER_BYTES:]
        try:
            return Plaintext(self._aead.decrypt(nonce, sealed, self._aad_head + context.octets))
        except InvalidTag:
            raise CannotOpen from None

    def reseal(self, envelope: bytes, older: "Cipher", context: Context) -> bytes:
        """Return what another key sealed as an envelope of this one, which was opened again and compared (KEY-7).

        CannotOpen for whatever is wrong with either.
        """
        opened = older.open(envelope, context)
        sealed = self.seal(opened, context)
        if self.open(sealed, context) != opened:
            raise CannotOpen
        return sealed

    def _seal_with(self, nonce: bytes, plaintext: Secret, context: Context) -> bytes:
        sealed = self._aead.encrypt(nonce, _octets(plaintext), self._aad_head + context.octets)
        # Checked on the ciphertext, so that no frame of the traceback holds the plaintext.
        if len(sealed) > MAX_PLAINTEXT_BYTES + TAG_BYTES:
            raise PlaintextTooLarge
        return self._head + nonce + sealed


def seal(key: KeyMaterial, key_id: bytes, plaintext: Secret, context: Context) -> bytes:
    """Seal once under a key that is not kept; `Cipher` is for repeated use."""
    return Cipher(key_id, key).seal(plaintext, context)


def open_envelope(key: KeyMaterial, envelope: bytes, context: Context) -> Plaintext:
    """Open once under the key that the envelope's id names; CannotOpen for whatever reason."""
    return Cipher(key_id_of(envelope), key).open(envelope, context)


def key_id_of(envelope: bytes) -> bytes:
    """Return the 16 octets that name the key; CannotOpen unless version and length are those of an envelope."""
    if not OVERHEAD_BYTES <= len(envelope) <= OVERHEAD_BYTES + MAX_PLAINTEXT_BYTES or envelope[0] != VERSION:
        raise CannotOpen
    return envelope[1:_NONCE_START]


def _prefixed(part: bytes) -> bytes:
    try:
        return len(part).to_bytes(2, "big") + part
    except OverflowError:
        raise ValueError("a part of the context is too long") from None


def _octets(plaintext: Secret) -> bytes:
    return _encoded(plaintext.reveal()) if isinstance(plaintext, Sealed) else plaintext


def _encoded(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()

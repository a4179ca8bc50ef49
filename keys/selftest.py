"""Known answers: every primitive computes a published example before the process serves (CRY-14).

Refuses to know the vault's own formats; their vectors are tests. Invariant: `run` returns only when each primitive gave
exactly its published answer and the cipher refused a forged tag.
"""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keys.errors import SelfTestFailed


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """One published example: `compute` must return `expected`."""

    primitive: str
    compute: Callable[[], bytes]
    expected: bytes


def run(known_answers: Sequence[KnownAnswer] | None = None) -> None:
    """Compare each known answer; SelfTestFailed names the first primitive that is wrong."""
    for known in KNOWN_ANSWERS if known_answers is None else known_answers:
        if not hmac.compare_digest(known.compute(), known.expected):
            raise SelfTestFailed(known.primitive)


# McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, test case 16.
_GCM_KEY: Final = bytes.fromhex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")
_GCM_NONCE: Final = bytes.fromhex("cafebabefacedbaddecaf888")
_GCM_AAD: Final = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
_GCM_PLAINTEXT: Final = bytes.fromhex(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
)
_GCM_SEALED: Final = bytes.fromhex(
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
    "76fc6ece0f4e1768cddf8853bb2d551b"
)


def _gcm_seals() -> bytes:
    return AESGCM(_GCM_KEY).encrypt(_GCM_NONCE, _GCM_PLAINTEXT, _GCM_AAD)


def _gcm_opens() -> bytes:
    return AESGCM(_GCM_KEY).decrypt(_GCM_NONCE, _GCM_SEALED, _GCM_AAD)


def refuses_forgery(sealed: bytes) -> bytes:
    """Return `refused` when the cipher does not open `sealed`, else what it opened."""
    try:
        return AESGCM(_GCM_KEY).decrypt(_GCM_NONCE, sealed, _GCM_AAD)
    except InvalidTag:
        return b"refused"


def _gcm_refuses() -> bytes:
    return refuses_forgery(_GCM_SEALED[:-1] + bytes([_GCM_SEALED[-1] ^ 1]))


def _hmac() -> bytes:
    # RFC 4231, test case 2.
    keyed = HMAC(b"Jefe", SHA256())
    keyed.update(b"what do ya want for nothing?")
    return keyed.finalize()


def _hkdf() -> bytes:
    # RFC 5869, appendix A.1.
    info = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9")
    return HKDF(algorithm=SHA256(), length=42, salt=bytes(range(13)), info=info).derive(bytes([0x0B]) * 22)


def _argon2id() -> bytes:
    # Reference implementation of argon2, src/test.c: version 19, t=2, m=2^8 KiB, p=1.
    return hash_secret_raw(
        b"password", b"somesalt", time_cost=2, memory_cost=256, parallelism=1, hash_len=32, type=Type.ID
    )


def _ed25519() -> bytes:
    # RFC 8032, section 7.1, test 2.
    seed = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    return Ed25519PrivateKey.from_private_bytes(seed).sign(b"\x72")


KNOWN_ANSWERS: Final = (
    KnownAnswer("AES-256-GCM seal", _gcm_seals, _GCM_SEALED),
    KnownAnswer("AES-256-GCM open", _gcm_opens, _GCM_PLAINTEXT),
    KnownAnswer("AES-256-GCM forgery", _gcm_refuses, b"refused"),
    KnownAnswer(
        "HMAC-SHA-256", _hmac, bytes.fromhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    ),
    KnownAnswer(
        "HKDF-SHA-256",
        _hkdf,
        bytes.fromhex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"),
    ),
    KnownAnswer(
        "argon2id", _argon2id, bytes.fromhex("9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe")
    ),
    KnownAnswer(
        "Ed25519",
        _ed25519,
        bytes.fromhex(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
)

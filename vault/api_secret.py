"""API secrets: `cv_test_…` or `cv_live_…`, 256 random bits and a checksum that finds a mistyped one at once.

It refuses to know clients and hashes. Invariant: a secret is a sealed type; it is shown once, when it is made
(controls.md ACC-9).
"""

import base64
import os
import re
import zlib
from typing import Final, Self

from keys.sealed import Sealed

_RANDOM_BYTES: Final = 32
_BODY_LENGTH: Final = 52
_SHAPE: Final = re.compile(r"cv_(test|live)_[a-z2-7]{59}")


class ApiSecretInvalid(ValueError):
    """The text is not an API secret: mistyped, cut off, or something else."""


class ApiSecret(Sealed[str]):
    """A secret of an API client."""

    __slots__ = ()

    @classmethod
    def generate(cls, *, live: bool) -> Self:
        """Make a new secret; `live` names the kind of installation it is for, so that a mix-up is seen."""
        body = base64.b32encode(os.urandom(_RANDOM_BYTES)).decode().rstrip("=").lower()
        head = f"cv_{'live' if live else 'test'}_{body}"
        return cls(head + _checksum(head))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take a secret as a client sent it; raises `ApiSecretInvalid` without touching any store."""
        if _SHAPE.fullmatch(text) is None or _checksum(text[:-7]) != text[-7:]:
            raise ApiSecretInvalid
        return cls(text)


def _checksum(head: str) -> str:
    return base64.b32encode(zlib.crc32(head.encode()).to_bytes(4)).decode().rstrip("=").lower()

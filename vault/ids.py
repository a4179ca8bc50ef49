"""Identifiers of everything the vault creates: a prefix and the 26 base32 characters of a UUIDv7 (RFC 9562).

Knows nothing of what an id stands for, of tenants or of storage, and derives no id from card data.
Invariant: no id contains more than twelve digits in a row, so none can be taken for a card number. Two characters are
always letters: the first, because the time is kept below 2**43 ms, and the one that begins with the variant's zero bit.
"""

import base64
import os
import re
import time
from enum import StrEnum
from functools import lru_cache
from typing import Final
from uuid import UUID

_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"
_LETTERS: Final = _ALPHABET.encode() + bytes(256 - len(_ALPHABET))
_PAIRS: Final = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_END_OF_TIME_MS: Final = 2**43  # in the year 2248
# Bits 48-51 are 0111 and bits 64-65 are 10, which pins four characters; the last one carries three bits only.
_BODY: Final = re.compile(r"a[a-z2-7]{8}[bfjnrvz5][yz2-7][a-z2-7][bdfhjlnprtvxz357][a-p][a-z2-7]{11}[aeimquy4]")
# The sixteen characters after the time, an octet each: which of its five bits are free, and which are set.
_FREE: Final = int.from_bytes(bytes((0b111, 0b11111, 0b11110, 0b1111, *[0b11111] * 11, 0b11100)))
_SET: Final = int.from_bytes(bytes((0b11000, 0, 0b1, *[0] * 13)))
_KEY_NAME: Final = re.compile(r"key_[a-z2-7]{25}[aeimquy4]")


class Prefix(StrEnum):
    """What an id names."""

    CARD = "card"
    PAYMENT = "pay"
    MERCHANT = "mer"
    CLIENT = "cli"
    REQUEST = "req"
    EVENT = "evt"
    AUDIT_EVENT = "aev"
    ALARM = "alm"
    CAPTURE = "cap"
    REFUND = "ref"
    MANDATE = "man"
    VAULTING = "vlt"
    RETENTION_RUN = "run"
    KEY = "key"
    REENCRYPTION = "ren"
    SHREDDING = "shr"
    CURSOR = "cur"
    OPERATOR = "opr"
    APPROVAL = "apr"
    WEBHOOK_ENDPOINT = "whe"
    WORKER = "wrk"
    WEBHOOK_SECRET = "whs"  # noqa: S105 - a prefix, not a secret


def new_id(prefix: Prefix, *, now_ms: int | None = None) -> str:
    """Make a fresh id that sorts after those of earlier milliseconds.

    `now_ms` is the Unix time in milliseconds, by default the clock's; `ValueError` outside 0 to 2**43 - 1.
    74 bits come from the operating system's random source; ids of one millisecond are in no order.
    """
    moment = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    if not 0 <= moment < _END_OF_TIME_MS:
        raise ValueError("time outside the range of ids")
    noise = (int.from_bytes(os.urandom(16)) & _FREE | _SET).to_bytes(16).translate(_LETTERS).decode()
    return prefix + _time_written(moment) + noise


@lru_cache(maxsize=2)
def _time_written(moment: int) -> str:
    """Give the underscore and the ten characters that hold the time, and the first two bits of the version."""
    number = moment << 2 | 0b01
    return "_" + "".join([_PAIRS[number >> shift & 1023] for shift in range(40, -1, -10)])


def id_octets(text: str) -> bytes:
    """Give the 16 octets of the UUID in an id that `new_id` made."""
    return base64.b32decode(f"{text.rpartition('_')[2].upper()}======")


def is_id(prefix: Prefix, text: str) -> bool:
    """Tell whether the text is exactly an id that `new_id` could have made for this prefix.

    Stricter than the alphabet: version, variant and padding bits are checked as well, so that no text with a card
    number inside passes.
    """
    head = f"{prefix}_"
    return text.startswith(head) and _BODY.fullmatch(text, len(head)) is not None


def id_of(prefix: Prefix, uuid: UUID) -> str:
    """Write a UUIDv7 that the database made as an id."""
    padded = uuid.int << 2
    return prefix + "_" + "".join([_PAIRS[padded >> shift & 1023] for shift in range(120, -1, -10)])


def uuid_of(prefix: Prefix, text: str) -> UUID | None:
    """Give the UUID of an id as the database holds it, or None where the text is no such id."""
    if not is_id(prefix, text):
        return None
    return UUID(bytes=base64.b32decode(text.removeprefix(f"{prefix}_").upper() + "======"))


def key_name(key_id: bytes) -> str:
    """Write a key's 16 octets as people see them: base32, since hexadecimal can look like a card number."""
    return f"{Prefix.KEY}_{base64.b32encode(key_id)[:26].decode().lower()}"


def key_named(name: str) -> bytes | None:
    """Give the 16 octets of a key's written id, or None where the text is no such id."""
    if not _KEY_NAME.fullmatch(name):
        return None
    return base64.b32decode(name.removeprefix(f"{Prefix.KEY}_").upper() + "======")

"""The tree as RFC 6962 section 2.1 defines it, recursively and without any thought of cost: what ours is held against.

It refuses to import the product.
"""

from collections.abc import Sequence
from hashlib import sha256


def split(size: int) -> int:
    power = 1
    while power * 2 < size:
        power *= 2
    return power


def root(entries: Sequence[bytes]) -> bytes:
    """MTH."""
    if not entries:
        return sha256().digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    middle = split(len(entries))
    return sha256(b"\x01" + root(entries[:middle]) + root(entries[middle:])).digest()


def path(index: int, entries: Sequence[bytes]) -> list[bytes]:
    """PATH."""
    if len(entries) == 1:
        return []
    middle = split(len(entries))
    if index < middle:
        return [*path(index, entries[:middle]), root(entries[middle:])]
    return [*path(index - middle, entries[middle:]), root(entries[:middle])]


def proof(old: int, entries: Sequence[bytes], *, whole: bool = True) -> list[bytes]:
    """SUBPROOF."""
    if old in {0, len(entries)}:
        return [] if whole or old == 0 else [root(entries)]
    middle = split(len(entries))
    if old <= middle:
        return [*proof(old, entries[:middle], whole=whole), root(entries[middle:])]
    return [*proof(old - middle, entries[middle:], whole=False), root(entries[:middle])]

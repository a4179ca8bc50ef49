"""Sealed values outside the keyring: where each is stored, and which key it names.

It refuses to know keys. Invariant: a location and the environment together are what an envelope is bound to.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Location:
    """Where a sealed value is stored; the keyring adds the environment."""

    merchant_id: str
    table: str
    row_id: str
    field: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """A sealed value and the id of its key, for the statement that checks that the key is still active."""

    key_id: bytes
    data: bytes = field(repr=False)

"""The file in which a custodian keeps a share: its format, and the passphrase that it opens with.

Refuses to know where the file lies and which set is valid. Invariants: the passphrase is stretched like a keystore's,
with a salt of its own (CRY-11); whose share of which set it is can be read without it, and is authenticated with it.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final, Self

from keys.envelope import KEY_ID_BYTES, Context, open_envelope, seal
from keys.errors import CannotOpen, SealFileInvalid, WrongPassphrase
from keys.seals.keystore import Passphrase, Stretch, canonical
from keys.seals.shares import ShareWords

FORMAT: Final = "cardvault-share"
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class ShareFile:
    """The content of one file; `set_id` is 16 octets, `number` counts from 1."""

    set_id: bytes
    number: int
    custodian: str
    stretch: Stretch
    sealed_share: bytes = field(repr=False)

    @classmethod
    def around(cls, set_id: bytes, custodian: str, share: ShareWords, passphrase: Passphrase) -> Self:
        """Seal a share under its custodian's passphrase."""
        stretch = Stretch.fresh()
        context = _context(_header(set_id, share.number, custodian, stretch))
        # As in a keystore, the salt names the stretched key.
        sealed_share = seal(stretch.key_from(passphrase), stretch.salt, share, context)
        return cls(set_id, share.number, custodian, stretch, sealed_share)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the file's octets; SealFileInvalid for anything but exactly the fields of a version 1 file."""
        try:
            document = json.loads(data)
            file = cls(
                bytes.fromhex(document["setId"]),
                document["number"],
                document["custodian"],
                Stretch.parse(document["kdf"]),
                bytes.fromhex(document["sealedShare"]),
            )
            exact = canonical(document) == canonical(file._document())
        except (ValueError, TypeError, KeyError, RecursionError):
            raise SealFileInvalid("the file is not a share") from None
        if not exact or len(file.set_id) != KEY_ID_BYTES or not file.stretch.acceptable():
            raise SealFileInvalid("the file is not a share of version 1")
        return file

    def render(self) -> bytes:
        """Return the file's octets."""
        return json.dumps(self._document(), indent=2).encode() + b"\n"

    def open(self, passphrase: Passphrase) -> ShareWords:
        """Return the share; WrongPassphrase also when the file was altered."""
        context = _context(_header(self.set_id, self.number, self.custodian, self.stretch))
        try:
            opened = open_envelope(self.stretch.key_from(passphrase), self.sealed_share, context)
        except CannotOpen:
            raise WrongPassphrase("the passphrase does not open the share, or the file was altered") from None
        return ShareWords(opened.reveal().decode())

    def _document(self) -> dict[str, Any]:
        header = _header(self.set_id, self.number, self.custodian, self.stretch)
        return {**header, "sealedShare": self.sealed_share.hex()}


def _header(set_id: bytes, number: int, custodian: str, stretch: Stretch) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "setId": set_id.hex(),
        "number": number,
        "custodian": custodian,
        "kdf": stretch.document(),
    }


def _context(header: dict[str, Any]) -> Context:
    return Context("any", "", "share", canonical(header), "share")

"""The receipt of a shredding: what it says, how it is signed, and how anybody checks it without the vault.

It refuses to know databases and files. Invariants: a receipt is canonical JSON in a signed note (c2sp.org/signed-note)
behind a label of its own, so that it is never taken for a checkpoint; it says `complete` only when nothing is left that
could open what it covers (controls.md RET-2; SP 800-88 on records of sanitisation).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from keys.signing import Signer
from vault.audit.note import NoteInvalid, NoteKey, sign, verified_text
from vault.ids import key_name

SCHEMA: Final = "cardvault.shred-receipt/1"
NAME: Final = "cardvault-receipt"
_LABEL: Final = f"{SCHEMA}\n"


@dataclass(frozen=True, slots=True)
class OpenerShown:
    """Something that opened an earlier root key, as a receipt shows it; `final` once it opens nothing any more."""

    name: str
    custodian: str | None
    root_versions: tuple[int, int]
    fate: str
    final: bool
    since: datetime | None
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Covered:
    """The deleted cards: how many, and the SHA-256 of their list, a line `merchant card` for each in their order."""

    count: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """How a shredding stands; `severed`: what opened root keys from before opens none that has been in use since."""

    shredding_id: str
    environment: str
    started_at: datetime
    issued_at: datetime
    cards: Covered
    root_key_id: bytes
    root_version: int
    severed: bool
    keys_left: int
    openers: Sequence[OpenerShown]

    @property
    def complete(self) -> bool:
        """Whether no copy of the database from before opens any more."""
        return self.severed and not self.keys_left and all(opener.final for opener in self.openers)

    def note(self, signer: Signer) -> str:
        """Give the signed text."""
        body = orjson.dumps(self._document(), option=orjson.OPT_SORT_KEYS).decode()
        return sign(f"{_LABEL}{body}\n", NAME, signer)

    def _document(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "shreddingId": self.shredding_id,
            "environment": self.environment,
            "startedAt": _text(self.started_at),
            "issuedAt": _text(self.issued_at),
            "complete": self.complete,
            "cards": {"count": self.cards.count, "sha256": self.cards.sha256},
            "rootKey": {"keyId": key_name(self.root_key_id), "version": self.root_version},
            "severed": self.severed,
            "dataKeysLeft": self.keys_left,
            "openers": [_shown(opener) for opener in self.openers],
        }


def verification_key(signer: Signer) -> NoteKey:
    """Give what receipts are checked with: the octets are those of the audit log's key."""
    return NoteKey(NAME, signer.public)


def verified(note: bytes, *keys: NoteKey) -> dict[str, Any]:
    """Give what a receipt says, once the signature of one of the keys was checked; raises `NoteInvalid`."""
    text = verified_text(note, keys)
    if not text.startswith(_LABEL):
        raise NoteInvalid("the note is no receipt of a shredding")
    document: dict[str, Any] = orjson.loads(text.removeprefix(_LABEL))
    return document


def _shown(opener: OpenerShown) -> dict[str, Any]:
    return {
        "name": opener.name,
        "custodian": opener.custodian,
        "rootVersions": list(opener.root_versions),
        "fate": opener.fate,
        "since": opener.since and _text(opener.since),
        "dueAt": opener.due_at and _text(opener.due_at),
    }


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")

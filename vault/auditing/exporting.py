"""A part of the log for somebody who trusts nothing but its key: entries, hashes of all leaves, proof, signed manifest.

It refuses to know files and commands. Invariants: a part is a range of places without a gap; what is withheld of it,
because it is another merchant's, is a hash all the same, so that completeness can be proved; the same range at the same
checkpoint is the same octets (audit-log.md 3.10 I).
"""

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self, TypeAlias

import orjson

from keys.signing import Signer
from vault.audit.log_keys import LogKeys, name_of
from vault.audit.merkle import Range
from vault.audit.note import Checkpoint, NoteInvalid, NoteKey, sign, verified_checkpoint
from vault.auditing.stored_tree import StoredTree
from vault.db import Session
from vault.store import audit_log, audit_pruning

SCHEMA: Final = "cardvault.audit-export/1"
WITHHELD: Final = b"null\n"
Bound: TypeAlias = int | datetime | None


class NothingToExport(Exception):
    """The log has no signed entry in the range; the text says why."""


@dataclass(frozen=True, slots=True)
class Basis:
    """The checkpoint that an export is proved against, and the newest key that has signed it."""

    epoch: int
    note: str
    checkpoint: Checkpoint
    key: NoteKey

    @classmethod
    def of(cls, epoch: int, note: str, keys: Sequence[NoteKey]) -> Self:
        """Take a checkpoint that one of the log's keys has signed, the newest key first; raises `NoteInvalid`."""
        checkpoint = verified_checkpoint(note.encode(), *keys)
        return cls(epoch, note, checkpoint, next(key for key in keys if _has_signed(key, note)))

    @property
    def size(self) -> int:
        """How many entries it stands for."""
        return self.checkpoint.tree.size


@dataclass(frozen=True, slots=True)
class Part:
    """What is exported: places, and whose entries of them (None: everybody's)."""

    places: Range
    merchant_id: str | None


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the export: its place, the hash of the leaf there, and whether the entry is disclosed."""

    place: int
    octets: bytes
    hash: bytes
    disclosed: bool


def _has_signed(key: NoteKey, note: str) -> bool:
    try:
        verified_checkpoint(note.encode(), key)
    except NoteInvalid:
        return False
    return True


async def basis(session: Session, signers: Sequence[Signer], epoch: int | None = None) -> Basis:
    """Give the newest checkpoint of an epoch, or (None) of the one that runs.

    Raises `NothingToExport`, or `NoteInvalid` for one that no key of the log has signed. After the key was replaced the
    newest checkpoint is the old key's, until the next one.
    """
    head = await audit_log.head(session)
    wanted = (head.epoch if head else 1) if epoch is None else epoch
    note = await audit_log.newest_checkpoint(session, wanted) if head else None
    if head is None or note is None:
        raise NothingToExport(f"nothing is signed in epoch {wanted}: it has not begun, or a worker has to run")
    keys = LogKeys(name_of(head.origin, head.epoch), tuple(each.public for each in signers))
    return Basis.of(wanted, note, keys.of(wanted))


async def selected(session: Session, against: Basis, since: Bound, until: Bound) -> Range:
    """Give the places from `since` up to, and without, `until`; of moments, all places between the outermost events.

    Raises `NothingToExport`.
    """
    found = Range(await _first(session, against, since), min(await _end(session, against, until), against.size))
    if found.start >= found.end:
        raise NothingToExport("no signed entry is in this range")
    return found


async def _first(session: Session, against: Basis, since: Bound) -> int:
    if not isinstance(since, datetime):
        return since or 0
    place = await audit_log.first_since(session, against.epoch, since)
    return against.size if place is None else place


async def _end(session: Session, against: Basis, until: Bound) -> int:
    if not isinstance(until, datetime):
        return against.size if until is None else until
    place = await audit_log.last_before(session, against.epoch, until)
    return 0 if place is None else place + 1


async def lines(session: Session, against: Basis, part: Part) -> AsyncIterator[Line]:
    """Give a line for each place: the entry as it was hashed, or `null` for another merchant's and a pruned one."""
    async for leaf in audit_log.leaves(session, against.epoch, *part.places):
        own = (part.merchant_id is None or leaf.merchant_id == part.merchant_id) and leaf.entry is not None
        yield Line(leaf.place, leaf.octets + b"\n" if own else WITHHELD, leaf.hash, own)


async def manifest(
    session: Session, against: Basis, part: Part, disclosed: int, digests: Mapping[str, Mapping[str, Any]]
) -> str:
    """Give what an export says of itself; `digests` has what is to be said of each file that was written."""
    tree = StoredTree(session, against.epoch)
    before = await tree.parts(Range(0, part.places.start))
    after = await tree.parts(Range(part.places.end, against.size))
    pruned = await audit_pruning.pruned(session, against.epoch)
    said = {
        "schema": SCHEMA,
        "origin": against.checkpoint.origin,
        "epoch": against.epoch,
        "size": against.size,
        "root": _text(against.checkpoint.tree.root),
        "from": part.places.start,
        "to": part.places.end,
        "merchant": part.merchant_id,
        "before": [_text(each) for each in before],
        "after": [_text(each) for each in after],
        "disclosed": disclosed,
        "pruned": min(max(pruned, part.places.start), part.places.end),
        "files": dict(digests),
    }
    return orjson.dumps(said, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2).decode() + "\n"


def signature(text: str, against: Basis, signer: Signer) -> str:
    """Give the signature lines of a manifest."""
    return sign(text, against.checkpoint.origin, signer)[len(text) + 1 :]


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()

"""The names and keys under which a log signs: a name for each epoch, and one key after the other.

It refuses to know where keys come from. Invariants: the name of an epoch is made of the first one's and its number, so
that no two epochs can be mistaken for each other; a key takes over when the one before it and the new one have both
signed that (audit-log.md 3.10 G and H).
"""

from dataclasses import dataclass
from typing import Final

from keys.signing import Signer
from vault.audit.note import Checkpoint, NoteKey, sign, verified_checkpoint

_ROTATED: Final = "rotated to"


def origin_of(name: str, epoch: int) -> str:
    """Give the log's name in an epoch."""
    return name if epoch == 1 else f"{name}/{epoch}"


def name_of(origin: str, epoch: int) -> str:
    """Give the log's name in its first epoch."""
    return origin if epoch == 1 else origin.removesuffix(f"/{epoch}")


@dataclass(frozen=True, slots=True)
class LogKeys:
    """The public halves of a log's keys, the one that is in use first."""

    name: str
    publics: tuple[bytes, ...]

    def of(self, epoch: int) -> list[NoteKey]:
        """Give the keys as signatures of an epoch name them."""
        return [NoteKey(origin_of(self.name, epoch), public) for public in self.publics]

    def checkpoint(self, note: str, epoch: int) -> Checkpoint:
        """Give the checkpoint of a note that one of the keys has signed for an epoch; raises `NoteInvalid`."""
        return verified_checkpoint(note.encode(), *self.of(epoch))


def rotation(name: str, old: Signer, new: Signer) -> str:
    """Give the note by which a key hands over to another, signed by both under the log's first name."""
    return sign(f"{name}\n{_ROTATED}\n{NoteKey(name, new.public)}\n", name, old, new)

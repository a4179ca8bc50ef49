"""A file outside the database into which every checkpoint is copied: what tells that a database was set back.

It refuses to know the tree and the database. Invariants: the file is only ever added to, whole lines, under a lock and
synced; whatever the file does (gone, full, hanging), nobody waits for it longer than `patience` (audit-log.md 3.10 F
and G, controls.md AUD-6 and AUD-7).
"""

import fcntl
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import orjson

from vault.audit.log_keys import LogKeys
from vault.audit.note import Checkpoint, NoteInvalid
from vault.auditing.patient import Patient, Trouble, trouble_of

_T = TypeVar("_T")
_TAIL: Final = 1 << 20
_PRIVATE: Final = 0o600


class AnchorUnavailable(Exception):
    """The file could not be read or written in time."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble)
        self.trouble = trouble


class AnchorFile:
    """The anchor at a path; `patience` is in seconds. For one event loop."""

    def __init__(self, path: Path, *, patience: float = 5.0) -> None:
        self.path = path
        self._patient = Patient(patience)

    async def newest(self, keys: LogKeys, epoch: int) -> Checkpoint | None:
        """Give the last checkpoint of an epoch that one of the log's keys has signed, None where there is none yet.

        Raises `AnchorUnavailable`, and `NoteInvalid` when there are lines and none of them is of this log.
        """
        return await self._in_time(lambda: _newest(self.path, keys, epoch))

    async def add(self, keys: LogKeys, epoch: int, notes: Sequence[str]) -> Checkpoint | None:
        """Add those checkpoints that are larger than the epoch's last one; gives the last one, raises as `newest`."""
        return await self._in_time(lambda: _add(self.path, keys, epoch, notes))

    async def _in_time(self, work: Callable[[], _T]) -> _T:
        try:
            return await self._patient.run(work)
        except OSError as error:
            raise AnchorUnavailable(trouble_of(error)) from None


def _newest(path: Path, keys: LogKeys, epoch: int) -> Checkpoint | None:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            return _last(_tail(file), keys, epoch)
    except FileNotFoundError:
        return None


def _add(path: Path, keys: LogKeys, epoch: int, notes: Sequence[str]) -> Checkpoint | None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, _PRIVATE), "rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        tail = _tail(file)
        last = _last(tail, keys, epoch)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        lines = b"" if tail.endswith(b"\n") or not tail else b"\n"
        for note in notes:
            checkpoint = keys.checkpoint(note, epoch)
            if last is None or checkpoint.tree.size > last.tree.size:
                lines += orjson.dumps({"at": at, "note": note}) + b"\n"
                last = checkpoint
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())
    return last


def _tail(file: BinaryIO) -> bytes:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL))
    return file.read()


def _last(tail: bytes, keys: LogKeys, epoch: int) -> Checkpoint | None:
    """Give an epoch's last checkpoint among lines; a line that a crash has cut short is passed over."""
    lines = tail.splitlines()
    for wanted in range(epoch, 0, -1):
        for line in reversed(lines):
            with suppress(NoteInvalid, orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
                found = keys.checkpoint(orjson.loads(line)["note"], wanted)
                return found if wanted == epoch else None
    if lines:
        raise NoteInvalid("the anchor holds no checkpoint of this log")
    return None

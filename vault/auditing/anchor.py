"""A file outside the database into which every checkpoint is copied: what tells that a database was set back.

It refuses to know the tree and the database. Invariants: the file is only ever added to, whole lines, under a lock and
synced; whatever the file does (gone, full, hanging), nobody waits for it longer than `patience` (audit-log.md 3.10 F
and G, controls.md AUD-6 and AUD-7).
"""

import asyncio
import fcntl
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import orjson

from vault.audit.note import Checkpoint, NoteInvalid, NoteKey, verified_checkpoint

_T = TypeVar("_T")
_TAIL: Final = 1 << 20
_PRIVATE: Final = 0o600


class AnchorUnavailable(Exception):
    """The file could not be read or written in time."""


class AnchorFile:
    """The anchor at a path; `patience` is in seconds. For one event loop."""

    def __init__(self, path: Path, *, patience: float = 5.0) -> None:
        self._path = path
        self._patience = patience
        self._busy: Callable[[], bool] = lambda: False

    async def newest(self, key: NoteKey) -> Checkpoint | None:
        """Give the last checkpoint of the file that the log's key has signed, None for a file that is not there.

        Raises `AnchorUnavailable`, and `NoteInvalid` when there are lines and none of them is of this log.
        """
        return await self._in_time(lambda: _newest(self._path, key))

    async def add(self, key: NoteKey, notes: Sequence[str]) -> None:
        """Add those checkpoints that are larger than the file's last one; raises what `newest` does."""
        await self._in_time(lambda: _add(self._path, key, notes))

    async def _in_time(self, work: Callable[[], _T]) -> _T:
        """Do something in a thread of its own, one at a time; a file that hangs keeps that thread and nothing else."""
        if self._busy():
            raise AnchorUnavailable
        future: asyncio.Future[_T | NoteInvalid | OSError] = asyncio.get_running_loop().create_future()
        self._busy = lambda: not future.done()
        threading.Thread(target=_run, args=(work, future), daemon=True).start()
        await asyncio.wait([future], timeout=self._patience)
        outcome = future.result() if future.done() else OSError()
        if isinstance(outcome, OSError):
            raise AnchorUnavailable
        if isinstance(outcome, NoteInvalid):
            raise outcome
        return outcome


def _run(work: Callable[[], _T], future: "asyncio.Future[_T | NoteInvalid | OSError]") -> None:
    outcome: _T | NoteInvalid | OSError
    try:
        outcome = work()
    except (OSError, NoteInvalid) as error:
        outcome = error
    with suppress(RuntimeError):  # the loop has ended without waiting
        future.get_loop().call_soon_threadsafe(future.set_result, outcome)


def _newest(path: Path, key: NoteKey) -> Checkpoint | None:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            return _last(_tail(file), key)
    except FileNotFoundError:
        return None


def _add(path: Path, key: NoteKey, notes: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, _PRIVATE), "rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        tail = _tail(file)
        last = _last(tail, key)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        lines = b"" if tail.endswith(b"\n") or not tail else b"\n"
        for note in notes:
            if last is None or verified_checkpoint(note.encode(), key).tree.size > last.tree.size:
                lines += orjson.dumps({"at": at, "note": note}) + b"\n"
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())


def _tail(file: BinaryIO) -> bytes:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL))
    return file.read()


def _last(tail: bytes, key: NoteKey) -> Checkpoint | None:
    """Give the last checkpoint among lines; a line that a crash has cut short is passed over."""
    lines = tail.splitlines()
    for line in reversed(lines):
        with suppress(NoteInvalid, orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            return verified_checkpoint(orjson.loads(line)["note"].encode(), key)
    if lines:
        raise NoteInvalid("the anchor holds no checkpoint of this log")
    return None

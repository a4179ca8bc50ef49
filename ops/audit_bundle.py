"""An export in the making: a folder beside the wanted one, which is gone on with after whatever ended it.

It refuses to know the log and its proofs. Invariants: a wanted folder appears complete or not at all; what is gone on
with is cut back to where everything was known to be on the disk; one process at a time makes a folder.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

import orjson

from ops.refusal import Refused
from vault.audit import ocsf, spreadsheet
from vault.audit.logged import Logged, read
from vault.auditing.exporting import Line

ENTRIES: Final = "entries.jsonl"
HASHES: Final = "hashes.bin"
_STATE: Final = "unfinished.json"
_SAVED_EVERY: Final = 10_000
_PRIVATE: Final = 0o700


@dataclass(frozen=True, slots=True)
class View:
    """A form beside the entries themselves: its file, the first line, and the line of an entry of a log."""

    name: str
    header: bytes
    line: Callable[[Logged, str], bytes]


VIEWS: Final[Mapping[str, View | None]] = {
    "jsonl": None,
    "csv": View("entries.csv", spreadsheet.header(), lambda logged, _: spreadsheet.line(logged)),
    "ocsf": View("entries.ocsf.jsonl", b"", ocsf.line),
}


@dataclass(frozen=True, slots=True)
class State:
    """What an export is of, and how much of it is on the disk: the next place, and how long each file is."""

    asked: Mapping[str, Any]
    epoch: int
    note: str
    start: int
    end: int
    place: int
    disclosed: int = 0
    lengths: Mapping[str, int] = field(default_factory=dict)


def refuse_occupied(folder: Path) -> None:
    """Raise `Refused` unless a folder can be made there."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} is there already: name a folder that does not exist yet")


def unfinished(folder: Path, asked: Mapping[str, Any]) -> State | None:
    """Give how far an earlier export into this folder came; raises `Refused` when it was one of something else."""
    try:
        state = State(**orjson.loads((_partial(folder) / _STATE).read_bytes()))
    except FileNotFoundError:
        return None
    if state.asked != asked:
        raise Refused(f"{_partial(folder)} is an unfinished export of something else: finish that one, or delete it")
    return state


class Making:
    """The folder while it is written: lines are added, then files, then it takes its place. Used in a `with`.

    `state` is what was saved last.
    """

    def __init__(self, folder: Path, state: State, log_name: str) -> None:
        self._folder = folder.absolute()
        self._view = VIEWS[state.asked["format"]]
        self._log_name = log_name
        self._stack = ExitStack()
        self._files: dict[str, BinaryIO] = {}
        self._place, self._disclosed = state.place, state.disclosed
        self.state = state

    def __enter__(self) -> Self:
        """Take the folder for this process, and cut its files back; raises `Refused` while another one has it."""
        partial = _partial(self._folder)
        partial.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        with ExitStack() as opened:
            holding = os.open(partial, os.O_RDONLY)
            opened.callback(os.close, holding)
            try:
                fcntl.flock(holding, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refused(f"another process is writing {partial}: wait for it") from None
            if not self.state.lengths:
                self._begin(partial)
            for name, length in self.state.lengths.items():
                file = opened.enter_context((partial / name).open("r+b"))
                file.truncate(length)
                file.seek(length)
                self._files[name] = file
            self._stack = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the folder; what is not complete stays, to be gone on with."""
        self._stack.close()

    def _begin(self, partial: Path) -> None:
        for left in partial.iterdir():
            left.unlink()
        headers = {ENTRIES: b"", HASHES: b""} | ({self._view.name: self._view.header} if self._view else {})
        for name, header in headers.items():
            (partial / name).write_bytes(header)
        self._keep({name: len(header) for name, header in headers.items()})

    def add(self, line: Line) -> None:
        """Write the line of the next place."""
        self._files[ENTRIES].write(line.octets)
        self._files[HASHES].write(line.hash)
        if line.disclosed and self._view:
            logged = read(line.place, line.hash, line.octets.removesuffix(b"\n"))
            self._files[self._view.name].write(self._view.line(logged, self._log_name))
        self._place, self._disclosed = line.place + 1, self._disclosed + line.disclosed
        if (self._place - self.state.start) % _SAVED_EVERY == 0:
            self.save()

    def save(self) -> None:
        """Have everything so far on the disk, and say so."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        self._keep({name: file.tell() for name, file in self._files.items()})

    def _keep(self, lengths: Mapping[str, int]) -> None:
        self.state = replace(self.state, place=self._place, disclosed=self._disclosed, lengths=lengths)
        place = _partial(self._folder) / _STATE
        new = place.with_suffix(".new")
        new.write_bytes(orjson.dumps(asdict(self.state)))
        new.replace(place)

    def put(self, name: str, text: str) -> None:
        """Write a whole file."""
        (_partial(self._folder) / name).write_text(text)

    def digests(self, *more: str) -> dict[str, dict[str, Any]]:
        """Give length and SHA-256 of the files of entries and of those named."""
        return {name: _digest(_partial(self._folder) / name) for name in sorted((*self._files, *more))}

    def complete(self) -> None:
        """Let the folder take its place."""
        partial = _partial(self._folder)
        (partial / _STATE).unlink()
        partial.replace(self._folder)


def _partial(folder: Path) -> Path:
    return folder.absolute().with_name(f"{folder.absolute().name}.partial")


def _digest(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "octets": path.stat().st_size}

"""The search for card numbers and codes in files where they must not be: database files, write-ahead logs, logs.

It refuses to know where the numbers were used. A card number is looked for in the forms below; a code has three or four
digits, so that in binary files only its quoted form means anything, and in text whole words do. Invariant: what is
reported names the place and the form, never the digits.
"""

import base64
import os
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeAlias

Writer: TypeAlias = Callable[[str], bytes]

_CHUNK = 8 * 1024 * 1024
_OVERLAP = 256
_RARE_ENOUGH = 6


@dataclass(frozen=True, slots=True)
class Leak:
    """A file that holds a canary, and the form in which it does."""

    path: Path
    form: str


@dataclass(frozen=True, slots=True)
class _Form:
    """One way to write every canary; `needle` is what all of them have in common, empty where that is too little."""

    name: str
    values: tuple[bytes, ...]
    needle: bytes

    def occurs_in(self, data: bytes) -> bool:
        """Tell whether a value occurs; the needle answers for most data in one pass."""
        return (not self.needle or self.needle in data) and any(value in data for value in self.values)


def _grouped(separator: str) -> Writer:
    return lambda digits: separator.join(re.findall(r"\d{1,4}", digits)).encode()


def _grouped_unevenly(separator: str) -> Writer:
    return lambda digits: separator.join([digits[:4], digits[4:10], digits[10:]]).encode()


def _base64(before: int) -> Writer:
    """Write the characters that are the same whatever stands on both sides, after `before` bytes of a triple."""

    def write(digits: str) -> bytes:
        encoded = base64.b64encode(b"\0" * before + digits.encode())
        return encoded[-(-before * 8 // 6) : (before + len(digits)) * 8 // 6]

    return write


def _numeric(digits: str) -> bytes:
    """Write the number as PostgreSQL stores a `numeric`: in base 10,000."""
    fours = re.findall(r"\d{4}", digits.zfill(-(-len(digits) // 4) * 4))
    return struct.pack(f"<{len(fours)}h", *map(int, fours))


_WRITERS: list[tuple[str, Writer]] = [
    ("digits", str.encode),
    *(("digits in groups", _grouped(each)) for each in (" ", "-", "+", "%20")),
    *(("digits in groups", _grouped_unevenly(each)) for each in (" ", "-", "+", "%20")),
    *(("base64", _base64(each)) for each in range(3)),
    ("hexadecimal", lambda digits: digits.encode().hex().encode()),
    ("percent-encoded", lambda digits: "".join(f"%{ord(each):x}" for each in digits).encode()),
    ("JSON escapes", lambda digits: "".join(f"\\u{ord(each):04x}" for each in digits).encode()),
    ("UTF-16", lambda digits: "\0".join(digits).encode()),
    ("bigint", lambda digits: struct.pack("<q", int(digits))),
    ("numeric", _numeric),
    ("packed decimal", lambda digits: bytes.fromhex(digits.zfill(len(digits) + len(digits) % 2))),
]


def _shared(values: list[bytes]) -> bytes:
    """Find the longest piece that all values share, if it is long enough to be rare."""
    shortest = min(values, key=len)
    for length in range(len(shortest), _RARE_ENOUGH - 1, -1):
        for start in range(len(shortest) - length + 1):
            piece = shortest[start : start + length]
            if all(piece in value for value in values):
                return piece
    return b""


def _forms(pans: Sequence[str]) -> list[_Form]:
    forms = []
    for name, write in _WRITERS:
        values = [write(each) for each in pans]
        needle = _shared(values)
        groups = [tuple(values)] if needle else [(value,) for value in values]
        forms += [_Form(name, group, needle) for group in groups]
    return forms


class Canaries:
    """Card numbers and codes that occur in no real data, and the search for them.

    The search is quickest for numbers that share a piece of six digits or more. Codes should start with a zero, as no
    number that a program prints does.
    """

    def __init__(self, pans: Sequence[str], cvvs: Sequence[str]) -> None:
        self._pans = _forms(pans)
        self._cvvs = [_Form("quoted code", (f'"{each}"'.encode(),), b"") for each in cvvs]
        code = rf"(?<![\w.*+-])(?:{'|'.join(cvvs)})(?!\w)"
        self._word = re.compile(rf"(?<!\d[,:]){code}")
        needles = [re.escape(form.needle.decode()) for form in self._pans if form.needle and b"\0" not in form.needle]
        self.row_pattern = "|".join([*needles, code])
        """For PostgreSQL, over the text of a row, in which columns stand between commas."""

    def forms_in(self, data: bytes | str) -> set[str]:
        """Name the forms in which a card number occurs, and quoted codes."""
        raw = data.encode(errors="surrogatepass") if isinstance(data, str) else data
        return {form.name for form in chain(self._pans, self._cvvs) if form.occurs_in(raw)}

    def forms_in_text(self, text: str) -> set[str]:
        """Name the forms in which a card number or a code occurs in text that people or programs read."""
        return self.forms_in(text) | ({"code"} if self._word.search(text) else set())

    def leaks_in_file(self, path: Path, *, text: bool) -> Iterator[Leak]:
        """Search one file piece by piece; in `text`, codes count as words too."""
        found: set[str] = set()
        # What the server has taken away meanwhile holds nothing any more.
        with suppress(FileNotFoundError), path.open("rb") as file:
            tail = b""
            while piece := file.read(_CHUNK):
                data = tail + piece
                found |= self.forms_in_text(data.decode(errors="replace")) if text else self.forms_in(data)
                tail = data[-_OVERLAP:]
        return (Leak(path, form) for form in sorted(found))

    def leaks_in_folder(self, folder: Path, *, text: bool) -> list[Leak]:
        """Search every regular file below a folder."""
        return [leak for path in files_below(folder) for leak in self.leaks_in_file(path, text=text)]


def files_below(folder: Path) -> list[Path]:
    """List the regular files below a folder, without what is taken away meanwhile; raises `OSError`."""
    found = (Path(where, name) for where, _, names in os.walk(folder, onerror=_unless_gone) for name in names)
    return sorted(path for path in found if path.is_file() and not path.is_symlink())


def size_of(path: Path) -> int:
    """Give a file's size in bytes; none for one that was taken away."""
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error

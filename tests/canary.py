"""Card numbers and codes that occur in no real data, and the search for them wherever they must not be (T-36).

It refuses to know what the vault does with them. A card number is looked for in every file in the forms below; a code
has three or four digits, so that in binary files only its quoted form means anything, and in text whole words do. The
codes start with a zero, as no number that a program prints does. Invariant: what is reported names the place and the
form, never the digits.
"""

import base64
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeAlias

Writer: TypeAlias = Callable[[str], bytes]

VISA_CANARY = "4539731908466057"
SECOND_VISA_CANARY = "4916731908462703"
MASTERCARD_CANARY = "5234731908469148"
SECOND_MASTERCARD_CANARY = "2298731908465369"
AMEX_CANARY = "374173190846686"
CVV_CANARY = "097"
SECOND_CVV_CANARY = "069"
AMEX_CVV_CANARY = "0089"

CANARY_PANS = (VISA_CANARY, SECOND_VISA_CANARY, MASTERCARD_CANARY, SECOND_MASTERCARD_CANARY, AMEX_CANARY)
CANARY_CVVS = (CVV_CANARY, SECOND_CVV_CANARY, AMEX_CVV_CANARY)

_CHUNK = 8 * 1024 * 1024
_OVERLAP = 256
_RARE_ENOUGH = 6


@dataclass(frozen=True, slots=True)
class Leak:
    """A file that holds a canary, and the form in which it does."""

    path: Path
    form: str


@dataclass(frozen=True, slots=True)
class Form:
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


def _forms(pans: tuple[str, ...]) -> list[Form]:
    forms = []
    for name, write in _WRITERS:
        values = [write(each) for each in pans]
        needle = _shared(values)
        groups = [tuple(values)] if needle else [(value,) for value in values]
        forms += [Form(name, group, needle) for group in groups]
    return forms


PAN_FORMS = _forms(CANARY_PANS)
CVV_FORMS = [Form("quoted code", (f'"{each}"'.encode(),), b"") for each in CANARY_CVVS]
_CODE = rf"(?<![\w.*+-])(?:{'|'.join(CANARY_CVVS)})(?!\w)"
_CODE_WORD = re.compile(rf"(?<!\d[,:]){_CODE}")
# For PostgreSQL, over the text of a row, in which columns stand between commas.
_TEXT_NEEDLES = [re.escape(form.needle.decode()) for form in PAN_FORMS if form.needle and b"\0" not in form.needle]
ROW_PATTERN = "|".join([*_TEXT_NEEDLES, _CODE])


def forms_in(data: bytes | str) -> set[str]:
    """Name the forms in which a card number occurs, and quoted codes."""
    raw = data.encode(errors="surrogatepass") if isinstance(data, str) else data
    return {form.name for form in chain(PAN_FORMS, CVV_FORMS) if form.occurs_in(raw)}


def forms_in_text(text: str) -> set[str]:
    """Name the forms in which a card number or a code occurs in text that people or programs read."""
    return forms_in(text) | ({"code"} if _CODE_WORD.search(text) else set())


def assert_clean(text: bytes | str, place: str) -> None:
    """Fail without showing the text when a canary occurs in it: a body, a log, an exception, an export."""
    readable = text.decode(errors="replace") if isinstance(text, bytes) else text
    found = forms_in_text(readable) | forms_in(text)
    if found:
        raise AssertionError(f"{place} holds a canary as {', '.join(sorted(found))}")


def leaks_in_file(path: Path, *, text: bool) -> Iterator[Leak]:
    """Search one file piece by piece; in `text`, codes count as words too."""
    found: set[str] = set()
    with path.open("rb") as file:
        tail = b""
        while piece := file.read(_CHUNK):
            data = tail + piece
            found |= forms_in_text(data.decode(errors="replace")) if text else forms_in(data)
            tail = data[-_OVERLAP:]
    return (Leak(path, form) for form in sorted(found))


def leaks_in_folder(folder: Path, *, text: bool) -> list[Leak]:
    """Search every regular file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [leak for path in files for leak in leaks_in_file(path, text=text)]

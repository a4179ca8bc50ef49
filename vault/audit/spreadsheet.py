"""Entries of the log as rows of CSV (RFC 4180), for people with a spreadsheet.

It refuses to know files. Invariants: one entry is one line, whatever its texts hold; no cell is taken for a formula;
the last cell is the entry itself, as it was hashed. Source: controls.md EXP-7.
"""

import csv
import io
from collections.abc import Iterable
from typing import Final

import orjson

from vault.audit.entry import TIME
from vault.audit.logged import Logged

COLUMNS: Final = (
    *(
        "place",
        "at",
        "event_id",
        "type",
        "outcome",
        "reason",
        "merchant",
        "actor_kind",
        "actor",
        "actor_key",
        "address",
    ),
    *("request", "trace", "objects", "details", "leaf_hash", "entry"),
)
_FORMULAS: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # OWASP, the wide forms too


def header() -> bytes:
    """Give the first line."""
    return _line(COLUMNS)


def line(logged: Logged) -> bytes:
    """Give an entry's line; of what no vault has written only place, time and the entry."""
    found = logged.event
    about = [""] * 13
    if found is not None:
        origin = found.origin
        about = [
            *(logged.event_id, found.type, found.outcome, found.reason or "", found.merchant_id),
            *(origin.kind, origin.actor_id, origin.key_id, origin.address),
            *(origin.request_id, origin.trace_id),
            *(" ".join(found.objects), orjson.dumps(found.details, option=orjson.OPT_SORT_KEYS).decode()),
        ]
    cells = [str(logged.place), logged.at.strftime(TIME), *about, logged.hash.hex()]
    return _line([*map(_cell, cells), logged.octets.decode()])


def _cell(text: str) -> str:
    """Give a text without what would end the line, and with a quote where a spreadsheet would see a formula."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return f"'{printable}" if printable.lstrip().startswith(_FORMULAS) else printable


def _line(cells: Iterable[str]) -> bytes:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerow(cells)
    return written.getvalue().encode()

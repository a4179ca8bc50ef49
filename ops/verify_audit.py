"""Checks an export of the audit log, offline: this file, Python 3.11 and `cryptography` are all that it needs.

It refuses to know the vault, a network and a database. Invariant: nothing of an export is believed before a signature
of the pinned key, or a hash under one, has been checked. Exit codes: 0 valid, 1 it cannot be told (usage, unreadable
files), 2 invalid, 3 valid but stale. Source: audit-log.md 3.10 I, docs/audit-log.md.
"""

import argparse
import base64
import binascii
import csv
import hashlib
import html
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SCHEMA = "cardvault.audit-export/1"
EVENT_SCHEMA = "cardvault.audit/1"
EPOCH = re.compile("/([2-9]|[1-9][0-9]+)$")
HASH, KEY_ID, CHECKPOINT_LINES = 32, 4, 3
TOLERANCE = timedelta(minutes=15)  # by which an entry's time may lie before that of an earlier entry
MOST_UNWELL = 500  # of what failed or was denied, in a report
WITHHELD = b"null\n"  # another merchant's entry
MANIFEST_FIELDS = {
    *("schema", "origin", "epoch", "size", "root", "from", "to", "merchant", "disclosed", "pruned"),
    *("before", "after", "files"),
}
PROVEN = {"checkpoint", "entries.jsonl", "hashes.bin", "rotations.jsonl"}
VIEWS = {"entries.csv", "entries.ocsf.jsonl"}  # readings of the entries, each row with the entry itself
OPTIONAL = VIEWS | {"vkey"}  # a convenience; exports of earlier versions do not list it
UNPROVEN = {"manifest.json", "manifest.sig", "vkey"}
MISREAD = (ValueError, LookupError, TypeError, AttributeError)


class Unusable(Exception):
    """It cannot be told whether the export is valid."""


class Invalid(Exception):
    """The export is not what the log has signed; the text names the first thing that is wrong."""


@dataclass(frozen=True)
class PinnedKey:
    """The log's key as the auditor was given it, and those that it handed over to; `name` is that of an epoch."""

    name: str
    publics: tuple[bytes, ...]

    @classmethod
    def read(cls, text: str) -> "PinnedKey":
        """Read `name+id+base64`; a leading @ names a file that holds it."""
        vkey = Path(text[1:]).read_text().strip() if text.startswith("@") else text
        name, key_id, encoded = (*vkey.split("+", 2), "", "")[:3]
        octets = from_base64(encoded)
        if octets[:1] != b"\x01" or len(octets) != 1 + HASH or key_id_of(name, octets[1:]).hex() != key_id:
            raise Unusable("the key is not a log's key: name, id and base64 of an Ed25519 key, joined by +")
        return cls(name, (octets[1:],))

    def in_epoch(self, epoch: int) -> "PinnedKey":
        """Give the key under the name that the log has in an epoch."""
        first = EPOCH.sub("", self.name)
        return PinnedKey(first if epoch == 1 else f"{first}/{epoch}", self.publics)

    def followed(self, notes: Sequence[bytes]) -> "PinnedKey":
        """Follow the notes by which keys hand over, each signed by a key that is trusted and by the new one."""
        trusted = self.in_epoch(1)
        for note in notes:
            text, _, lines = note.rpartition(b"\n\n")
            with suppress(Invalid, Unusable, ValueError):
                trusted.signed(text + b"\n", lines)
                name, said, vkey = text.decode().split("\n")
                successor = PinnedKey.read(vkey.removeprefix("@"))
                successor.signed(text + b"\n", lines)
                if (name, said, successor.name) == (trusted.name, "rotated to", trusted.name):
                    trusted = PinnedKey(trusted.name, trusted.publics + successor.publics)
        return PinnedKey(self.name, trusted.publics)

    def signed(self, text: bytes, lines: bytes) -> None:
        """Refuse a text whose signature lines hold none of this key, or a wrong one."""
        found = False
        known = {key_id_of(self.name, public): public for public in self.publics}
        for line in lines.decode(errors="replace").removesuffix("\n").split("\n"):
            dash, name, encoded = (*line.split(" ", 2), "", "")[:3]
            octets = from_base64(encoded)
            if dash != "\u2014" or len(octets) <= KEY_ID or not lines.endswith(b"\n"):
                raise Invalid("a signature line is malformed")
            if name == self.name and octets[:KEY_ID] in known:
                try:
                    Ed25519PublicKey.from_public_bytes(known[octets[:KEY_ID]]).verify(octets[KEY_ID:], text)
                except InvalidSignature:
                    raise Invalid("a signature of the pinned key does not verify") from None
                found = True
        if not found:
            raise Invalid("the pinned key has not signed it")


@dataclass(frozen=True)
class Head:
    """A checkpoint that the pinned key has signed."""

    size: int
    root: bytes

    @classmethod
    def read(cls, note: bytes, key: PinnedKey) -> "Head":
        """Read a checkpoint's note."""
        text, blank, lines = note.rpartition(b"\n\n")
        key.signed(text + b"\n", lines)
        parts = text.decode().split("\n")
        if not blank or len(parts) != CHECKPOINT_LINES or parts[0] != key.name or str(int_or(parts[1])) != parts[1]:
            raise Invalid("the checkpoint is not one of this log")
        return cls(int(parts[1]), digest(parts[2]))


class Peaks:
    """The perfect subtrees of a growing tree: RFC 6962's hash of all leaves so far, at any moment."""

    def __init__(self, count: int, hashes: Sequence[bytes]) -> None:
        heights = [bit for bit in range(count.bit_length() - 1, -1, -1) if count >> bit & 1]
        if len(heights) != len(hashes):
            raise Invalid("the proof before the range has the wrong length")
        self.count = count
        self.stack = list(zip(heights, hashes, strict=True))

    def add(self, height: int, value: bytes) -> None:
        """Put a perfect subtree behind what there is."""
        self.count += 1 << height
        while self.stack and self.stack[-1][0] == height:
            value = hashlib.sha256(b"\x01" + self.stack.pop()[1] + value).digest()
            height += 1
        self.stack.append((height, value))

    def root(self) -> bytes:
        """Hash the peaks together, from the right."""
        value = self.stack[-1][1] if self.stack else hashlib.sha256().digest()
        for _, left in reversed(self.stack[:-1]):
            value = hashlib.sha256(b"\x01" + left + value).digest()
        return value


def key_id_of(name: str, public: bytes) -> bytes:
    """Give the octets by which a signature names its key."""
    return hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:KEY_ID]


def from_base64(text: str) -> bytes:
    """Read base64 of one spelling; anything else is empty."""
    with suppress(binascii.Error, ValueError):
        octets = base64.b64decode(text, validate=True)
        return octets if base64.b64encode(octets).decode() == text else b""
    return b""


def digest(text: Any) -> bytes:
    """Read a hash."""
    octets = from_base64(text) if isinstance(text, str) else b""
    if len(octets) != HASH:
        raise Invalid("a hash is not 32 octets of base64")
    return octets


def int_or(text: str, otherwise: int = -1) -> int:
    """Read a number of ASCII digits."""
    return int(text) if text.isascii() and text.isdigit() else otherwise


def read_manifest(folder: Path, pinned: PinnedKey) -> tuple[dict[str, Any], PinnedKey]:
    """Read what the export says of itself, once its signature is checked; give also the keys of its epoch."""
    text, signature = (folder / "manifest.json").read_bytes(), (folder / "manifest.sig").read_bytes()
    try:
        manifest: dict[str, Any] = json.loads(text)
        key = pinned.followed(list(notes_in(folder / "rotations.jsonl"))).in_epoch(manifest["epoch"])
        key.signed(text, signature)
    except (Invalid, *MISREAD) as error:
        wrong = error if isinstance(error, Invalid) else "not of the format of exports"
        raise Invalid(f"manifest.json, manifest.sig or rotations.jsonl: {wrong}") from None
    if set(manifest) != MANIFEST_FIELDS or manifest["schema"] != SCHEMA or manifest["origin"] != key.name:
        raise Invalid("manifest.json: it is not of this log, or of a version that this file does not know")
    if manifest["files"].keys() - OPTIONAL != PROVEN:
        raise Invalid("manifest.json: it does not list the files of an export")
    for unknown in sorted({each.name for each in folder.iterdir()} - manifest["files"].keys() - UNPROVEN):
        raise Invalid(f"{unknown}: it does not belong to the export")
    for name, file in manifest["files"].items():
        with (folder / name).open("rb") as opened:
            if name != "entries.jsonl" and hashlib.file_digest(opened, "sha256").hexdigest() != file["sha256"]:
                raise Invalid(f"{name}: it is not the file that was exported")
    return manifest, key


def roots_of(manifest: dict[str, Any], hashes: Sequence[bytes], wanted: set[int]) -> dict[int, bytes]:
    """Give the roots that the hashes lead to: of the whole tree, and of smaller ones that are wanted and known."""
    start, end, size = manifest["from"], manifest["to"], manifest["size"]
    if len(hashes) != end - start or not 0 <= start < end <= size:
        raise Invalid("hashes.bin: it does not hold a hash for each place of the range")
    peaks = Peaks(start, [digest(each) for each in manifest["before"]])
    roots = {start: peaks.root()}
    for value in hashes:
        peaks.add(0, value)
        if peaks.count in wanted:
            roots[peaks.count] = peaks.root()
    after = [digest(each) for each in manifest["after"]]
    while peaks.count < size and after:
        room, aligned = size - peaks.count, peaks.count & -peaks.count
        peaks.add(min(room.bit_length(), aligned.bit_length()) - 1, after.pop(0))
    if after or peaks.count != size:
        raise Invalid("manifest.json: the proof behind the range has the wrong length")
    return roots | {size: peaks.root()}


def check_roots(roots: dict[int, bytes], start: int, heads: Sequence[Head]) -> None:
    """Refuse hashes that do not lead to what was signed, and name the places between two signatures."""
    good = start
    for head in sorted(heads, key=lambda each: each.size):
        if roots.get(head.size, head.root) != head.root:
            first = min(good, head.size - 1)
            raise Invalid(f"places {first} to {head.size - 1}: not what was signed as the tree of size {head.size}")
        good = head.size if head.size in roots else good


@dataclass
class Tally:
    """What entries that were checked add up to; `shown` to people who would rather look."""

    shown: bool = False
    disclosed: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    types: Counter[str] = field(default_factory=Counter)
    days: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    unwell: list[tuple[str, ...]] = field(default_factory=list)

    def count(self, place: int, at: datetime, event: Mapping[str, Any]) -> None:
        """Take an entry in; refuses one that lies too far before an earlier one."""
        if self.newest is not None and at < self.newest - TOLERANCE:
            raise Invalid(f"entry {place}: its time lies before that of earlier entries")
        self.disclosed += 1
        self.oldest, self.newest = min(at, self.oldest or at), max(at, self.newest or at)
        if self.shown:
            self.show(place, at, event)

    def show(self, place: int, at: datetime, event: Mapping[str, Any]) -> None:
        """Take in what a report tells of an entry."""
        actor, outcome = event.get("actor", {}), str(event.get("outcome"))
        self.types[str(event.get("type"))] += 1
        self.days[f"{at:%Y-%m-%d}"] += 1
        self.outcomes[outcome] += 1
        if outcome != "success" and len(self.unwell) < MOST_UNWELL:
            said = (event.get("type"), outcome, event.get("reason"), actor.get("id") or actor.get("kind"))
            where = str(actor.get("address", ""))
            self.unwell.append((str(place), f"{at:%Y-%m-%d %H:%M:%S}", *map(str, said), where))


def view_rows(path: Path) -> Iterator[tuple[int, bytes]]:
    """Give for each row of a reading its place and the entry that it repeats."""
    with path.open(newline="", encoding="utf-8") as file:
        if path.suffix == ".csv":
            yield from ((int(row[0]), row[-1].encode()) for number, row in enumerate(csv.reader(file)) if number)
        else:
            rows = map(json.loads, file)
            yield from ((row["metadata"]["sequence"], row["raw_data"].encode()) for row in rows)


def check_entries(folder: Path, manifest: dict[str, Any], hashes: Sequence[bytes], tally: Tally) -> None:
    """Refuse an entry that was changed, removed, inserted, moved, doubled or set back in time, and name the first."""
    place, merchant = manifest["from"], manifest["merchant"]
    seen: dict[str, int] = {}
    views = {name: view_rows(folder / name) for name in manifest["files"].keys() & VIEWS}
    with (folder / "entries.jsonl").open("rb") as file:
        for line in file:
            if line != WITHHELD or (merchant is None and place >= manifest["pruned"]):
                index = place - manifest["from"]
                check_leaf(line, place, hashes[index : index + 2])
                entry = json.loads(line)
                at = check_event(entry, merchant, seen, place)
                tally.count(place, at, entry["event"])
                for name, rows in views.items():
                    if next(rows, None) != (place, line[:-1]):
                        raise Invalid(f"entry {place}: {name} says something else")
            place += 1
    if place != manifest["to"] or tally.disclosed != manifest["disclosed"]:
        raise Invalid(f"entry {place}: it is missing, or withheld although it belongs to the merchant")
    for name, rows in views.items():
        if next(rows, None) is not None:
            raise Invalid(f"{name}: it has more rows than there are entries")


def check_leaf(line: bytes, place: int, hashes: Sequence[bytes]) -> None:
    """Refuse a line that is not what was logged in its place; `hashes` are that of the place and the one behind."""
    if not hashes:
        raise Invalid(f"entry {place}: it was added behind the last one")
    actual = hashlib.sha256(b"\x00" + line.removesuffix(b"\n")).digest()
    if actual != hashes[0] or not line.endswith(b"\n"):
        missing = actual in hashes[1:]
        raise Invalid(f"entry {place}: " + ("it is missing" if missing else "it is not what was logged there"))


def check_event(entry: dict[str, Any], merchant: str | None, seen: dict[str, int], place: int) -> datetime:
    """Refuse an entry that is no event of a vault, another merchant's, or a copy; give its time."""
    event = entry.get("event")
    if set(entry) != {"at", "event"} or not isinstance(event, dict) or event.get("schema") != EVENT_SCHEMA:
        raise Invalid(f"entry {place}: it was logged, but no vault has written it")
    if merchant is not None and event["merchant"] != merchant:
        raise Invalid(f"entry {place}: it belongs to another merchant")
    if (first := seen.setdefault(event["id"], place)) != place:
        raise Invalid(f"entry {place}: it is a copy of entry {first}")
    return datetime.fromisoformat(entry["at"])


def kept(note: bytes, key: PinnedKey) -> Head:
    """Read a checkpoint that somebody else has kept; a bad one says nothing of the export."""
    try:
        return Head.read(note, key)
    except Invalid as wrong:
        raise Unusable(f"a checkpoint that was kept cannot be used: {wrong}") from None


def anchored(path: Path | None, key: PinnedKey) -> Iterator[Head]:
    """Give an epoch's checkpoints of an anchor file; a line that a crash has cut short is passed over."""
    for note in notes_in(path):
        name = note.partition(b"\n")[0].decode(errors="replace")
        if name == key.name or EPOCH.sub("", name) != EPOCH.sub("", key.name):
            yield kept(note, key)


def notes_in(path: Path | None) -> Iterator[bytes]:
    """Give the notes of a file of lines of JSON."""
    for line in path.read_bytes().splitlines() if path else []:
        with suppress(json.JSONDecodeError):
            yield json.loads(line)["note"].encode()


@dataclass(frozen=True)
class Verdict:
    """The exit code and what to say; of an export that was checked to the end, also what it is."""

    code: int
    said: str
    facts: Mapping[str, str] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)


def check(options: argparse.Namespace) -> Verdict:
    """Check everything; raises `Invalid` and `Unusable`."""
    manifest, key = read_manifest(options.folder, PinnedKey.read(options.key))
    head = Head.read((options.folder / "checkpoint").read_bytes(), key)
    if (head.size, head.root) != (manifest["size"], digest(manifest["root"])):
        raise Invalid("checkpoint: it is not the one that the export was made from")
    octets = (options.folder / "hashes.bin").read_bytes()
    hashes = [octets[start : start + HASH] for start in range(0, len(octets), HASH)]
    previous = kept(options.previous.read_bytes(), key) if options.previous else None
    earlier = [*anchored(options.anchor, key), *([previous] if previous else [])]
    roots = roots_of(manifest, hashes, {each.size for each in earlier})
    check_roots(roots, manifest["from"], [*earlier, head])
    tally = Tally(shown=options.html is not None)
    check_entries(options.folder, manifest, hashes, tally)
    if previous and previous.size < head.size and previous.size not in roots:
        raise Unusable(f"the previous checkpoint has size {previous.size}: export a range that begins at or before it")
    said = f"valid: {tally.disclosed} entries at places {manifest['from']} to {manifest['to'] - 1} of {head.size}"
    if manifest["pruned"] > manifest["from"]:
        said += f", those before {manifest['pruned']} pruned"
    stale = staleness(options, head, previous, tally)
    facts = facts_of(options, manifest, sum(each.size in roots for each in earlier), tally)
    return Verdict(3 if stale else 0, f"{said}; stale: {stale}" if stale else said, facts, tally)


def staleness(options: argparse.Namespace, head: Head, previous: Head | None, tally: Tally) -> str:
    """Say why an export is not the newest that there could be, if so."""
    if previous and previous.size > head.size:
        return f"the previous checkpoint has size {previous.size}"
    age = (datetime.now(UTC) - tally.newest).total_seconds() if tally.newest else 0.0
    return f"the newest entry is {age:.0f} s old" if options.max_age is not None and age > options.max_age else ""


def facts_of(options: argparse.Namespace, manifest: dict[str, Any], agreeing: int, tally: Tally) -> dict[str, str]:
    """Name what was checked, for a report."""
    span = f"{tally.oldest:%Y-%m-%d %H:%M:%S} to {tally.newest:%Y-%m-%d %H:%M:%S} UTC" if tally.oldest else "none"
    return {
        "Log": manifest["origin"],
        "Verification key": options.key,
        "Places": f"{manifest['from']} to {manifest['to'] - 1}, of {manifest['size']} in the log",
        "Entries shown": f"{tally.disclosed}; of the others the hashes",
        "Merchant": manifest["merchant"] or "all, and the installation",
        "First and last": span,
        "Root hash of the log": manifest["root"],
        "Checkpoints from elsewhere that agree": str(agreeing),
        **{name: f"SHA-256 {file['sha256']}" for name, file in sorted(manifest["files"].items())},
    }


STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1b1f24;max-width:62rem;margin:2rem auto;padding:0 1rem}
header{border-left:.6rem solid;padding:.2rem 1.2rem;background:#f6f7f9}h1{margin:.3rem 0}h2{margin:2rem 0 .5rem}
.c0{border-color:#1a7f37}.c0 h1{color:#1a7f37}.c1,.c3{border-color:#9a6700}.c1 h1,.c3 h1{color:#9a6700}
.c2{border-color:#c4161c}.c2 h1{color:#c4161c}table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.2rem .6rem;border-bottom:1px solid #d9dde3;vertical-align:top;overflow-wrap:anywhere}
.n{text-align:right;font-variant-numeric:tabular-nums;width:6rem}.b{width:45%}
i{display:block;height:.9rem;margin:.25rem 0;background:#4969b8;print-color-adjust:exact}
@media print{body{margin:0;max-width:none;font-size:11px}tr{break-inside:avoid}h2{break-after:avoid}}
"""
MEANINGS = {
    0: ("Valid", "Every entry is what the log has signed, in its place: none is missing, added, changed or moved."),
    1: (
        "It cannot be told",
        "Something that is needed is missing or cannot be used. The export may be right or wrong.",
    ),
    2: ("Invalid", "This is not what the log has signed. None of it can be relied on, so none of it is shown here."),
    3: ("Valid, and stale", "Every entry is what the log has signed, but there is, or should be, a newer export."),
}


def page(verdict: Verdict) -> str:
    """Give a report for people: one file of HTML without a script, and with nothing from anywhere else."""
    tally, (title, meaning) = verdict.tally, MEANINGS[verdict.code]
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Audit log: {title}</title>',
        f'<style>{STYLE}</style></head><body><header class="c{verdict.code}"><h1>{title}</h1>',
        f"<p><b>{html.escape(verdict.said)}</b></p><p>{meaning}</p></header>",
    ]
    if verdict.facts:
        parts.append(table("What was checked", verdict.facts.items()))
        parts.append(bars("Outcomes", tally.outcomes.most_common()))
        parts.append(bars("Events", tally.types.most_common()))
        parts.append(bars("Days", sorted(tally.days.items())))
        headings = ("Place", "Time (UTC)", "Event", "Outcome", "Reason", "Who", "From where")
        parts.append(table(f"What failed or was denied, at most {MOST_UNWELL}", tally.unwell, headings))
    return "".join([*parts, f"<p>Checked at {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC.</p></body></html>\n"])


def table(title: str, rows: Iterable[Sequence[str]], headings: Sequence[str] = ()) -> str:
    """Give rows of texts as a table; an empty one is left out."""
    lines = ["".join(f"<td>{html.escape(each)}</td>" for each in row) for row in rows]
    first = "".join(f"<th>{each}</th>" for each in headings)
    body = "".join(f"<tr>{line}</tr>" for line in (first, *lines) if line)
    return f"<h2>{title}</h2><table>{body}</table>" if lines else ""


def bars(title: str, counted: Sequence[tuple[str, int]]) -> str:
    """Give counts as a table with a bar for each."""
    most = max((count for _, count in counted), default=1)
    cell = '<tr><td>{}</td><td class="n">{}</td><td class="b"><i style="width:{:.1f}%"></i></td></tr>'
    rows = (cell.format(html.escape(name), count, 100 * count / most) for name, count in counted)
    return f"<h2>{title}</h2><table>{''.join(rows)}</table>"


def judged(options: argparse.Namespace) -> Verdict:
    """Check everything, and say what is wrong where something is."""
    try:
        return check(options)
    except (Unusable, OSError) as error:
        return Verdict(1, f"unusable: {error}")
    except Invalid as wrong:
        return Verdict(2, f"INVALID: {wrong}")
    except (*MISREAD, csv.Error):
        return Verdict(2, "INVALID: a file is not of the format of exports")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the export that the arguments name and say what was found."""
    parser = argparse.ArgumentParser(
        prog="verify_audit.py",
        description="Check an export of the audit log offline. Exit codes: 0 valid, 1 unusable, 2 invalid, 3 stale.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder that cardvault audit export has made")
    parser.add_argument("--key", required=True, help="the log's key, from somebody you trust, or @FILE")
    parser.add_argument("--previous", type=Path, metavar="FILE", help="a checkpoint that you have kept")
    parser.add_argument("--anchor", type=Path, metavar="FILE", help="the file of CARDVAULT_AUDIT_ANCHOR")
    parser.add_argument("--max-age", type=float, metavar="SECONDS", help="the newest entry may be so old")
    parser.add_argument("--html", type=Path, metavar="FILE", help="where to write a report for people")
    try:
        options = parser.parse_args(arguments)
    except SystemExit as stopped:
        return 1 if stopped.code else 0
    verdict = judged(options)
    try:
        if options.html:
            options.html.write_text(page(verdict), encoding="utf-8")
    except OSError as error:
        verdict = Verdict(1, f"unusable: the report cannot be written: {error}")
    (sys.stdout if verdict.code in {0, 3} else sys.stderr).write(verdict.said + "\n")
    return verdict.code


if __name__ == "__main__":
    sys.exit(main())

"""Checks an export of the audit log, offline: this file, Python 3.11 and `cryptography` are all that it needs.

It refuses to know the vault, a network and a database. Invariant: nothing of an export is believed before a signature
of the pinned key, or a hash under one, has been checked. Exit codes: 0 valid, 1 it cannot be told (usage, unreadable
files), 2 invalid, 3 valid but stale. Source: audit-log.md 3.10 I, docs/audit-log.md.
"""

import argparse
import base64
import binascii
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SCHEMA = "cardvault.audit-export/1"
EVENT_SCHEMA = "cardvault.audit/1"
HASH, KEY_ID, CHECKPOINT_LINES = 32, 4, 3
TOLERANCE = timedelta(minutes=15)  # by which an entry's time may lie before that of an earlier entry
MANIFEST_FIELDS = {
    *("schema", "origin", "epoch", "size", "root", "from", "to", "merchant", "disclosed", "before", "after", "files"),
}


class Unusable(Exception):
    """It cannot be told whether the export is valid."""


class Invalid(Exception):
    """The export is not what the log has signed; the text names the first thing that is wrong."""


@dataclass(frozen=True)
class PinnedKey:
    """The log's key as the auditor was given it."""

    name: str
    key_id: bytes
    public: bytes

    @classmethod
    def read(cls, text: str) -> "PinnedKey":
        """Read `name+id+base64`; a leading @ names a file that holds it."""
        vkey = Path(text[1:]).read_text().strip() if text.startswith("@") else text
        name, key_id, encoded = (*vkey.split("+", 2), "", "")[:3]
        octets = from_base64(encoded)
        expected = hashlib.sha256(name.encode() + b"\n" + octets).digest()[:KEY_ID]
        if octets[:1] != b"\x01" or len(octets) != 1 + HASH or expected.hex() != key_id:
            raise Unusable("the key is not a log's key: name, id and base64 of an Ed25519 key, joined by +")
        return cls(name, expected, octets[1:])

    def signed(self, text: bytes, lines: bytes) -> None:
        """Refuse a text whose signature lines hold none of this key, or a wrong one."""
        found = False
        for line in lines.decode(errors="replace").removesuffix("\n").split("\n"):
            dash, name, encoded = (*line.split(" ", 2), "", "")[:3]
            octets = from_base64(encoded)
            if dash != "\u2014" or len(octets) <= KEY_ID or not lines.endswith(b"\n"):
                raise Invalid("a signature line is malformed")
            if name == self.name and octets[:KEY_ID] == self.key_id:
                try:
                    Ed25519PublicKey.from_public_bytes(self.public).verify(octets[KEY_ID:], text)
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


def read_manifest(folder: Path, key: PinnedKey) -> dict[str, Any]:
    """Read what the export says of itself, once its signature is checked."""
    text = (folder / "manifest.json").read_bytes()
    try:
        key.signed(text, (folder / "manifest.sig").read_bytes())
    except Invalid as wrong:
        raise Invalid(f"manifest.json: {wrong}") from None
    manifest: dict[str, Any] = json.loads(text)
    if set(manifest) != MANIFEST_FIELDS or manifest["schema"] != SCHEMA or manifest["origin"] != key.name:
        raise Invalid("manifest.json: it is not of this log, or of a version that this file does not know")
    for name, file in manifest["files"].items():
        with (folder / Path(name).name).open("rb") as opened:
            if name != "entries.jsonl" and hashlib.file_digest(opened, "sha256").hexdigest() != file["sha256"]:
                raise Invalid(f"{name}: it is not the file that was exported")
    return manifest


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


def check_entries(folder: Path, manifest: dict[str, Any], hashes: Sequence[bytes]) -> tuple[int, datetime | None]:
    """Refuse an entry that was changed, removed, inserted, moved, doubled or set back in time, and name the first."""
    place, disclosed, newest = manifest["from"], 0, None
    seen: dict[str, int] = {}
    with (folder / "entries.jsonl").open("rb") as file:
        for line in file:
            index = place - manifest["from"]
            if index >= len(hashes):
                raise Invalid(f"entry {place}: it was added behind the last one")
            if line == b"null\n" and manifest["merchant"] is not None:
                place += 1
                continue
            actual = hashlib.sha256(b"\x00" + line.removesuffix(b"\n")).digest()
            if actual != hashes[index] or not line.endswith(b"\n"):
                missing = actual in hashes[index + 1 : index + 2]
                raise Invalid(f"entry {place}: " + ("it is missing" if missing else "it is not what was logged there"))
            at = check_event(json.loads(line), manifest["merchant"], seen, place)
            if newest is not None and at < newest - TOLERANCE:
                raise Invalid(f"entry {place}: its time lies before that of earlier entries")
            newest = max(at, newest or at)
            disclosed += 1
            place += 1
    if place != manifest["to"] or disclosed != manifest["disclosed"]:
        raise Invalid(f"entry {place}: it is missing, or withheld although it belongs to the merchant")
    return disclosed, newest


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
    """Give the checkpoints of an anchor file; a line that a crash has cut short is passed over."""
    for line in path.read_bytes().splitlines() if path else []:
        with suppress(json.JSONDecodeError):
            yield kept(json.loads(line)["note"].encode(), key)


def check(options: argparse.Namespace) -> tuple[int, str]:
    """Check everything; gives the exit code and what to say. Raises `Invalid` and `Unusable`."""
    key = PinnedKey.read(options.key)
    manifest = read_manifest(options.folder, key)
    head = Head.read((options.folder / "checkpoint").read_bytes(), key)
    if (head.size, head.root) != (manifest["size"], digest(manifest["root"])):
        raise Invalid("checkpoint: it is not the one that the export was made from")
    octets = (options.folder / "hashes.bin").read_bytes()
    hashes = [octets[start : start + HASH] for start in range(0, len(octets), HASH)]
    previous = kept(options.previous.read_bytes(), key) if options.previous else None
    earlier = [*anchored(options.anchor, key), *([previous] if previous else [])]
    roots = roots_of(manifest, hashes, {each.size for each in earlier})
    check_roots(roots, manifest["from"], [*earlier, head])
    disclosed, newest = check_entries(options.folder, manifest, hashes)
    said = f"valid: {disclosed} entries at places {manifest['from']} to {manifest['to'] - 1} of {head.size}"
    if previous and previous.size < head.size and previous.size not in roots:
        raise Unusable(f"the previous checkpoint has size {previous.size}: export a range that begins at or before it")
    if previous and previous.size > head.size:
        return 3, f"{said}; stale: the previous checkpoint has size {previous.size}"
    age = (datetime.now(UTC) - newest).total_seconds() if newest else 0.0
    if options.max_age is not None and age > options.max_age:
        return 3, f"{said}; stale: the newest entry is {age:.0f} s old"
    return 0, said


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
    try:
        code, said = check(parser.parse_args(arguments))
    except SystemExit as stopped:
        return 1 if stopped.code else 0
    except (Unusable, OSError) as error:
        code, said = 1, f"unusable: {error}"
    except Invalid as wrong:
        code, said = 2, f"INVALID: {wrong}"
    except (ValueError, KeyError, TypeError, AttributeError):
        code, said = 2, "INVALID: a file is not of the format of exports"
    (sys.stdout if code in {0, 3} else sys.stderr).write(said + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())

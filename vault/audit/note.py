"""Signed notes and the checkpoints in them (c2sp.org/signed-note, c2sp.org/tlog-checkpoint): write, read, verify.

It refuses to know who holds keys and where notes are kept. Invariants: a note that is not exactly of the format is
refused, never repaired; unknown signatures are passed over, one of a known key has to verify; nothing of a note is
believed before that. Source: audit-log.md 3.1 and 3.2.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

from keys.signing import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, Signer, is_signed
from vault.audit.merkle import HASH_BYTES, Tree

LONGEST_NOTE: Final = 65_536
_MOST_SIGNATURES: Final = 64
_ED25519: Final = b"\x01"
_KEY_ID_BYTES: Final = 4
_DASH: Final = "\u2014 "
_SIZE: Final = re.compile("0|[1-9][0-9]{0,18}")
_KEY_ID: Final = re.compile("[0-9a-f]{8}")
_CONTROL: Final = re.compile("[\x00-\x09\x0b-\x1f]")
_CHECKPOINT_LINES: Final = 3


class NoteInvalid(Exception):
    """Bytes that are not a note, a key or a checkpoint of ours; the text says what is wrong and repeats nothing."""


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A named Ed25519 key that signatures are checked with."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        if len(self.public) != PUBLIC_KEY_BYTES or not _is_name(self.name):
            raise NoteInvalid("a key has a name without spaces and plus signs, and 32 octets")

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """Read the text that `str` gives, such as `vault.example/audit+99f33cb1+AQ…`; raises `NoteInvalid`."""
        name, _, rest = vkey.partition("+")
        key_id, _, encoded = rest.partition("+")
        kind_and_key = _decoded(encoded)
        if not kind_and_key.startswith(_ED25519):
            raise NoteInvalid("the key is not an Ed25519 key")
        key = cls(name, kind_and_key[1:])
        if not _KEY_ID.fullmatch(key_id) or bytes.fromhex(key_id) != key.key_id:
            raise NoteInvalid("the key's id is not that of its name and octets")
        return key

    @property
    def key_id(self) -> bytes:
        """The four octets by which a signature names its key."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_KEY_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{_encoded(_ED25519 + self.public)}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself: its name, and the tree that it stands by."""

    origin: str
    tree: Tree

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a note's text; `NoteInvalid` unless it is exactly a checkpoint without extensions."""
        lines = text.split("\n")
        if len(lines) != _CHECKPOINT_LINES + 1 or lines.pop():
            raise NoteInvalid("a checkpoint has three lines")
        origin, size, root = lines
        if not _is_name(origin) or not _SIZE.fullmatch(size):
            raise NoteInvalid("a checkpoint's lines are its origin, its size and its root")
        tree = Tree(int(size), _decoded(root))
        if len(tree.root) != HASH_BYTES:
            raise NoteInvalid("a checkpoint's root is 32 octets")
        return cls(origin, tree)

    def __str__(self) -> str:
        return f"{self.origin}\n{self.tree.size}\n{_encoded(self.tree.root)}\n"


def sign(text: str, name: str, *signers: Signer) -> str:
    """Give the note of a text that ends in a newline, signed under a name."""
    return f"{text}\n" + "".join(_line(text, name, signer) for signer in signers)


def _line(text: str, name: str, signer: Signer) -> str:
    signature = _encoded(NoteKey(name, signer.public).key_id + signer.sign(text.encode()))
    return f"{_DASH}{name} {signature}\n"


def verified_text(note: bytes, keys: Sequence[NoteKey]) -> str:
    """Give the text of a note that at least one of the keys has signed, and none of them wrongly; or `NoteInvalid`."""
    text, lines = _taken_apart(note)
    verified = 0
    for line in lines:
        name, key_id, signature = _signature(line)
        for key in keys:
            if (key.name, key.key_id) == (name, key_id):
                if len(signature) != SIGNATURE_BYTES or not is_signed(text.encode(), signature, key.public):
                    raise NoteInvalid("a signature of a known key does not verify")
                verified += 1
    if not verified:
        raise NoteInvalid("no known key has signed the note")
    return text


def verified_checkpoint(note: bytes, *keys: NoteKey) -> Checkpoint:
    """Give the checkpoint of a log from a note that one of the log's keys has signed; raises `NoteInvalid`."""
    checkpoint = Checkpoint.parse(verified_text(note, keys))
    if checkpoint.origin != keys[0].name:
        raise NoteInvalid("the checkpoint is of another log")
    return checkpoint


def _taken_apart(note: bytes) -> tuple[str, list[str]]:
    """Give the signed text and the signature lines."""
    if len(note) > LONGEST_NOTE:
        raise NoteInvalid("the note is too long")
    try:
        whole = note.decode()
    except UnicodeDecodeError:
        raise NoteInvalid("the note is not UTF-8") from None
    text, separator, signatures = whole.rpartition("\n\n")
    lines = signatures.split("\n")
    if not separator or not text or lines.pop() or not lines or _CONTROL.search(whole):
        raise NoteInvalid("a note is a text, an empty line and signatures, each line with its end")
    if len(lines) > _MOST_SIGNATURES:
        raise NoteInvalid("the note has too many signatures")
    return text + "\n", lines


def _signature(line: str) -> tuple[str, bytes, bytes]:
    """Give a signature line's name, key id and signature."""
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    octets = _decoded(encoded)
    if not line.startswith(_DASH) or not _is_name(name) or len(octets) <= _KEY_ID_BYTES:
        raise NoteInvalid("a signature line is a dash, a name, and a key id with a signature")
    return name, octets[:_KEY_ID_BYTES], octets[_KEY_ID_BYTES:]


def _is_name(name: str) -> bool:
    return bool(name) and name.isprintable() and not any(char.isspace() or char == "+" for char in name)


def _encoded(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def _decoded(text: str) -> bytes:
    """Read base64 of exactly one spelling."""
    try:
        octets = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        octets = b""
    if not octets or _encoded(octets) != text:
        raise NoteInvalid("base64 is written in its one standard form")
    return octets

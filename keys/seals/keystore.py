"""The keystore file of the local seal: its format, its limits, and how it reaches the disk.

Refuses to know what the key inside is for. Invariants: the stored key is random and only wrapped by the passphrase,
never derived from it (KEY-5); every header field is authenticated together with it; parameters outside the accepted
range are refused before any work is done with them; an existing file is never replaced, and an exposed one never used.
"""

import json
import os
import secrets
import stat
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from argon2.low_level import ARGON2_VERSION, Type, hash_secret_raw

from keys.envelope import KEY_ID_BYTES, Context, open_envelope, seal
from keys.errors import (
    CannotOpen,
    PassphraseTooWeak,
    SealFileExists,
    SealFileExposed,
    SealFileInaccessible,
    SealFileInvalid,
    SealFileMissing,
    WrongPassphrase,
)
from keys.rootkey import key_material
from keys.sealed import KEY_BYTES, KeyMaterial, Sealed

FORMAT: Final = "cardvault-keystore"
VERSION: Final = 1
MAX_FILE_BYTES: Final = 4096
MIN_PASSPHRASE: Final = 12
MAX_PASSPHRASE: Final = 1024
MIN_DISTINCT: Final = 5

# RFC 9106 section 4, second recommended option, which is also the floor (CRY-10, CRY-11); the ceiling keeps an altered
# file from taking all memory or minutes of time.
_TIME: Final = range(3, 11)
_MEMORY_KIB: Final = range(65_536, 1_048_577)
_LANES: Final = range(4, 17)


class Passphrase(Sealed[str]):
    """What a person or a secret store supplies to open a keystore; line ends at its end do not belong to it.

    PassphraseTooWeak below 12 or above 1024 characters, or with fewer than 5 different ones.
    """

    __slots__ = ()

    def __init__(self, value: str) -> None:
        super().__init__(unicodedata.normalize("NFC", value.rstrip("\r\n")))
        if not MIN_PASSPHRASE <= len(self.reveal()) <= MAX_PASSPHRASE or len(set(self.reveal())) < MIN_DISTINCT:
            raise PassphraseTooWeak("a passphrase has 12 to 1024 characters, at least 5 of them different")


@dataclass(frozen=True, slots=True)
class Stretch:
    """The argon2id parameters of one keystore (RFC 9106); `salt` is 16 octets."""

    time: int
    memory_kib: int
    lanes: int
    salt: bytes

    @classmethod
    def fresh(cls) -> Self:
        """Return the default parameters with a new salt."""
        return cls(_TIME.start, _MEMORY_KIB.start, _LANES.start, os.urandom(KEY_ID_BYTES))

    @classmethod
    def parse(cls, kdf: dict[str, Any]) -> Self:
        """Read the parameters as a file holds them; whoever reads checks that nothing else is there, and the range."""
        return cls(kdf["time"], kdf["memoryKiB"], kdf["lanes"], bytes.fromhex(kdf["salt"]))

    def document(self) -> dict[str, Any]:
        """Return the parameters as a file holds them."""
        return {
            "name": "argon2id",
            "algorithmVersion": ARGON2_VERSION,
            "time": self.time,
            "memoryKiB": self.memory_kib,
            "lanes": self.lanes,
            "salt": self.salt.hex(),
        }

    def acceptable(self) -> bool:
        """Tell whether the parameters are whole numbers within the accepted range."""
        numbers = ((self.time, _TIME), (self.memory_kib, _MEMORY_KIB), (self.lanes, _LANES))
        return len(self.salt) == KEY_ID_BYTES and all(type(n) is int and n in accepted for n, accepted in numbers)

    def key_from(self, passphrase: Passphrase) -> KeyMaterial:
        """Return the stretched passphrase; takes a tenth of a second and 64 MiB by design."""
        return KeyMaterial(
            hash_secret_raw(
                passphrase.reveal().encode(),
                self.salt,
                time_cost=self.time,
                memory_cost=self.memory_kib,
                parallelism=self.lanes,
                hash_len=KEY_BYTES,
                type=Type.ID,
            )
        )


@dataclass(frozen=True, slots=True)
class Keystore:
    """The content of one keystore file; `key_id` names the key inside."""

    key_id: bytes
    stretch: Stretch
    sealed_key: bytes = field(repr=False)

    @classmethod
    def around(cls, key_id: bytes, key: KeyMaterial, passphrase: Passphrase) -> Self:
        """Seal a key under a passphrase."""
        stretch = Stretch.fresh()
        # The stretched key is one of a kind, like its salt, which therefore serves as its id.
        sealed_key = seal(stretch.key_from(passphrase), stretch.salt, key, _context(key_id, stretch))
        return cls(key_id, stretch, sealed_key)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the file's octets; SealFileInvalid for anything but exactly the fields of a version 1 keystore."""
        try:
            document = json.loads(data)
            keystore = cls(
                bytes.fromhex(document["keyId"]),
                Stretch.parse(document["kdf"]),
                bytes.fromhex(document["sealedKey"]),
            )
            exact = canonical(document) == canonical(keystore._document())
        except (ValueError, TypeError, KeyError, RecursionError):
            raise SealFileInvalid("the file is not a keystore") from None
        if not exact or len(keystore.key_id) != KEY_ID_BYTES:
            raise SealFileInvalid("the file is not a keystore of version 1")
        if not keystore.stretch.acceptable():
            raise SealFileInvalid("the keystore's argon2id parameters are outside the accepted range")
        return keystore

    def render(self) -> bytes:
        """Return the file's octets."""
        return json.dumps(self._document(), indent=2).encode() + b"\n"

    def open(self, passphrase: Passphrase) -> KeyMaterial:
        """Return the key inside, or raise WrongPassphrase."""
        context = _context(self.key_id, self.stretch)
        try:
            return key_material(open_envelope(self.stretch.key_from(passphrase), self.sealed_key, context))
        except CannotOpen:
            raise WrongPassphrase("the passphrase does not open the keystore, or the file was altered") from None

    def _document(self) -> dict[str, Any]:
        return {**_header(self.key_id, self.stretch), "sealedKey": self.sealed_key.hex()}


def read(path: Path) -> bytes:
    """Return the content of a private regular file; a SealFile… error otherwise."""
    try:
        with open(path, "rb", opener=_without_blocking) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise SealFileInvalid(f"not a regular file: {path}")
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise SealFileExposed(f"open to group or others, set its mode to 600: {path}")
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise SealFileMissing(f"there is no file: {path}") from None
    except OSError as error:
        raise SealFileInaccessible(f"cannot read ({error.strerror}): {path}") from None
    if len(data) > MAX_FILE_BYTES:
        raise SealFileInvalid(f"too large: {path}")
    return data


def write_new(path: Path, data: bytes) -> None:
    """Create a file of mode 600 with this content, whole or not at all, and only where there is none."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write_synced(temporary, data)
        # Unlike a rename, a link never replaces what is already there.
        os.link(temporary, path)
        temporary.unlink()
        _sync_folder(path.parent)
    except FileExistsError:
        raise SealFileExists(f"a file is already there: {path}") from None
    except OSError as error:
        raise SealFileInaccessible(f"cannot write ({error.strerror}): {path}") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def shred(path: Path) -> None:
    """Overwrite a file and remove it, which also removes one that is gone already; SealFileInaccessible.

    What a journal, a snapshot or a worn flash cell has kept is out of reach from here.
    """
    try:
        with path.open("r+b") as file:
            file.write(os.urandom(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
        _sync_folder(path.parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise SealFileInaccessible(f"cannot destroy ({error.strerror}): {path}") from None


def _without_blocking(path: str, flags: int) -> int:
    # A pipe in the file's place must not hold the process.
    return os.open(path, flags | os.O_NONBLOCK)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _write_synced(path: Path, data: bytes) -> None:
    with open(path, "xb", opener=_private) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _header(key_id: bytes, stretch: Stretch) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "keyId": key_id.hex(),
        "kdf": stretch.document(),
    }


def canonical(document: object) -> str:
    """Return the one text that a document's header is authenticated and compared as."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def _context(key_id: bytes, stretch: Stretch) -> Context:
    # One keystore may serve several environments; what it wraps is bound to one each.
    return Context("any", "", "keystore", canonical(_header(key_id, stretch)), "key")

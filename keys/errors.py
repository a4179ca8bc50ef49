"""Everything that can go wrong with keys, as one tree.

This module knows no reasons beyond its classes: a message is fixed text or the name of a file, never the content
of an envelope, a key or a passphrase. Invariant: whoever catches `KeysError` has caught every failure of this package.

    KeysError
    ├── CannotOpen                   an envelope that does not parse or open, whatever the reason
    ├── PlaintextTooLarge            more octets than an envelope may hold
    ├── KeyUnknown                   no key has this id
    ├── KeyUnavailable               no active key, a destroyed one, or one whose root key is not loaded
    ├── KeyExhausted                 the key has been used as often as it may be
    ├── SelfTestFailed               a primitive does not give its known answer
    └── SealError
        ├── PassphraseTooWeak        too short, too uniform, or absurdly long
        ├── SealFileMissing          no keystore file at this path
        ├── SealFileExists           creation would overwrite a keystore
        ├── SealFileInaccessible     the file cannot be read, or none can be written there
        ├── SealFileExposed          others than the owner may read or write the file
        ├── SealFileInvalid          not a keystore this version reads, or one with unacceptable parameters
        ├── WrongPassphrase          the passphrase does not open the file, or the file was altered
        └── RootKeyMismatch          the root key opens, but is not the one that was expected
"""

from typing import ClassVar


class KeysError(Exception):
    """Any failure of this package."""


class _Fixed(KeysError):
    """A failure about which there is nothing to say beyond its class."""

    message: ClassVar[str]

    def __init__(self) -> None:
        super().__init__(self.message)


class CannotOpen(_Fixed):
    """An envelope does not open: malformed, altered, moved, or sealed under another key. Deliberately one error."""

    message = "the envelope does not open"


class PlaintextTooLarge(_Fixed):
    """The plaintext exceeds what an envelope may hold (`docs/envelope-v1.md`, limits)."""

    message = "the plaintext is too large for an envelope"


class KeyUnknown(_Fixed):
    """No key with this id exists, also not after the rows were read again."""

    message = "no key has this id"


class KeyUnavailable(_Fixed):
    """The key exists in no usable form: none active, destroyed, or wrapped by a root key that is not loaded."""

    message = "no usable key"


class KeyExhausted(_Fixed):
    """The key has reached its limit of uses; rotate it (CRY-2)."""

    message = "the key has reached its limit of uses"


class SelfTestFailed(KeysError):
    """A primitive gave another answer than the published one; the process must not serve (CRY-14)."""

    def __init__(self, primitive: str) -> None:
        super().__init__(f"known-answer test failed: {primitive}")


class SealError(KeysError):
    """The seal that guards the root key cannot be created or used."""


class PassphraseTooWeak(SealError):
    """The passphrase is too short, too uniform or too long."""


class SealFileMissing(SealError):
    """There is no keystore file at the path."""


class SealFileExists(SealError):
    """A file is already there, and a keystore is never overwritten."""


class SealFileInaccessible(SealError):
    """The operating system does not let us read the file, or write one in its folder."""


class SealFileExposed(SealError):
    """The file's mode lets group or others in."""


class SealFileInvalid(SealError):
    """The file is not a keystore that this version reads, or asks for unacceptable parameters."""


class WrongPassphrase(SealError):
    """The keystore does not open: wrong passphrase, or an altered file. The two cannot be told apart."""


class RootKeyMismatch(SealError):
    """The unwrapped root key has another check value than the one on record (KEY-12)."""

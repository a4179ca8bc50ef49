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
        ├── RootKeyMismatch          the root key opens, but is not the one that was expected
        ├── SealAddressInvalid       what should name a seal does not
        ├── SealNotInstalled         the libraries of this kind of seal are not installed
        ├── SealUnreachable          the token or the service does not answer, or cannot work now
        ├── SealRefused              the token or the service answers, and refuses
        ├── SealKeyMissing           the token has no such key
        ├── SealKeyExists            the token has such a key, and a key is never replaced
        ├── SealKeyUnfit             the token's key could leave it, or is of another kind
        ├── SealUnknown              the seal opens, but guards no root key of this installation
        └── ShareError
            ├── ShareMistyped        the words are not a share
            ├── ShareUnknown         a share of another installation, or of another set
            ├── ShareRepeated        the same share twice
            ├── SharesTooFew         fewer than it takes
            └── SharesDisagree       what they make is not the key on record
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


class SealAddressInvalid(SealError, ValueError):
    """The text is not the address of a seal; the message says what one looks like and repeats nothing of it."""


class SealNotInstalled(SealError):
    """This kind of seal needs libraries that are not installed."""


class SealUnreachable(SealError):
    """The token or the service that holds the seal's key does not answer, or not now."""


class SealRefused(SealError):
    """The token or the service refuses: wrong PIN, key disabled, no permission."""


class SealKeyMissing(SealError):
    """The token holds no key of this name."""


class SealKeyExists(SealError):
    """The token holds a key of this name, and a key is never replaced."""


class SealKeyUnfit(SealError):
    """The token's key is not an AES-256 key that never leaves the token (KEY-1, KEY-2)."""


class SealUnknown(SealError):
    """The seal can be used, but no root key of this installation is wrapped by it."""


class ShareError(SealError):
    """Something is wrong with a custodian's share; no message repeats a word of it."""


class ShareMistyped(ShareError):
    """The words are not a share: one is not in the list, one is missing, or they do not belong together."""


class ShareUnknown(ShareError):
    """The share is none of this installation, or not of the set that the others belong to."""


class ShareRepeated(ShareError):
    """The same share was given twice."""


class SharesTooFew(ShareError):
    """Fewer shares than the set asks for."""


class SharesDisagree(ShareError):
    """The shares make a key, but not the one on record."""

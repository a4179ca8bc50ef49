"""From a seal's address to the seal, each time from scratch: file, token or service, and the secret that opens it.

Refuses to know root keys and wraps. Invariants: nothing opened is remembered here, so that whoever opens again has
proven it; the libraries of a kind of seal are loaded when an address names one, and only then.
"""

import importlib
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol, assert_never

from keys.errors import SealFileInaccessible, SealNotInstalled
from keys.seals.address import AwsKmsAddress, LocalAddress, Pkcs11Address, SealAddress
from keys.seals.keystore import Passphrase, shred
from keys.seals.local import LocalSeal
from keys.seals.seal import Seal


class _Token(Protocol):
    """What `keys.seals.pkcs11` offers."""

    def load(self, address: Pkcs11Address) -> Seal:
        """Find the key in the token."""

    def create(self, address: Pkcs11Address) -> Seal:
        """Make the key in the token."""

    def destroy(self, address: Pkcs11Address) -> None:
        """Destroy the key in the token."""


class _Service(Protocol):
    """What `keys.seals.awskms` offers."""

    def load(self, address: AwsKmsAddress) -> Seal:
        """Make a client for the key."""

    def destroy(self, address: AwsKmsAddress) -> datetime | None:
        """Have the key deleted."""


_PIECES: Final = {"pkcs11": "keys.seals.pkcs11", "awskms": "keys.seals.awskms"}


def load(address: SealAddress) -> Seal:
    """Open a seal; raises a SealError."""
    match address:
        case LocalAddress():
            return LocalSeal.load(address.path, _passphrase(address))
        case Pkcs11Address():
            return _pkcs11().load(address)
        case AwsKmsAddress():
            return _awskms().load(address)
        case _:
            assert_never(address)


def create(address: SealAddress) -> Seal:
    """Make a keystore file, or a key in a token, that is not there yet; a key of AWS KMS is made at AWS, and loaded."""
    match address:
        case LocalAddress():
            return LocalSeal.create(address.path, _passphrase(address))
        case Pkcs11Address():
            return _pkcs11().create(address)
        case AwsKmsAddress():
            return _awskms().load(address)
        case _:
            assert_never(address)


def destroy(address: SealAddress) -> datetime | None:
    """Destroy what a seal opens with, for good; also when it is gone already. Raises a SealError.

    Gives the moment when it will be gone, or None where it is gone now: AWS KMS keeps a key for a week, in which it
    opens nothing and its deletion can be taken back.
    """
    match address:
        case LocalAddress():
            shred(address.path)
        case Pkcs11Address():
            _pkcs11().destroy(address)
        case AwsKmsAddress():
            return _awskms().destroy(address)
        case _:
            assert_never(address)
    return None


def passphrase_in(path: Path) -> Passphrase:
    """Read a file that holds a passphrase alone; SealFileInaccessible or PassphraseTooWeak."""
    try:
        return Passphrase(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SealFileInaccessible(f"cannot read the passphrase ({error.strerror}): {path}") from None
    except UnicodeDecodeError:
        raise SealFileInaccessible(f"not a text in UTF-8: {path}") from None


def _passphrase(address: LocalAddress) -> Passphrase:
    if address.passphrase_file is None:
        raise SealFileInaccessible(f"no file with its passphrase is named: {address}")
    return passphrase_in(address.passphrase_file)


def _pkcs11() -> _Token:
    module: _Token = _module("pkcs11")  # type: ignore[assignment]  # a module is what its functions are
    return module


def _awskms() -> _Service:
    module: _Service = _module("awskms")  # type: ignore[assignment]  # as above
    return module


def _module(kind: str) -> object:
    try:
        return importlib.import_module(_PIECES[kind])
    except ModuleNotFoundError:
        raise SealNotInstalled(f"the libraries for {kind} seals are missing: install cardvault[{kind}]") from None

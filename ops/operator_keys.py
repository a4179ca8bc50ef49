"""The key files of operators: where they are, and where their passphrases come from.

It refuses to know what is signed. Invariant: a passphrase comes from a file or is asked for at a terminal, never from
the command line, and no key is opened before it is needed.
"""

import asyncio
import base64
import getpass
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keys.errors import SealError
from keys.operatorkey import PUBLIC_KEY_BYTES, OperatorKey
from keys.seals.keystore import Passphrase
from ops.refusal import Refused
from vault.settings import Settings

_NOBODY: Final = "this is under dual control: name your operator's key file in CARDVAULT_OPERATOR_KEY_FILE"
_NO_TERMINAL: Final = (
    "there is no terminal to ask for the passphrase of the key file: put it into a file, and name that"
)
_DIFFERENT: Final = "the two passphrases differ: nothing was made"


class NoOperator(Refused):
    """Nobody is named who could ask for approval."""


async def open_operator_key(settings: Settings) -> OperatorKey:
    """Open the key of whoever runs the command; raises `Refused`."""
    if settings.operator_key_file is None:
        raise NoOperator(_NOBODY)
    return await asyncio.to_thread(_open, settings.operator_key_file, settings.operator_passphrase_file)


@dataclass(frozen=True, slots=True)
class OwnKey:
    """The key file of a future operator, which is made where there is none."""

    path: Path
    passphrase_file: Path | None

    async def public_key(self) -> bytes:
        """Open or make the file, and give the public key in it; raises `Refused`."""
        work = _open if await asyncio.to_thread(self.path.exists) else _make
        return (await asyncio.to_thread(work, self.path, self.passphrase_file)).public_key


def given_public_key(text: str | None) -> bytes:
    """Read a public key as it is shown; raises `Refused`."""
    try:
        key = base64.b64decode(text or "", validate=True)
    except ValueError:
        key = b""
    if len(key) != PUBLIC_KEY_BYTES:
        raise Refused("a public key is written as 44 characters of base64, as `operators create` shows it")
    return key


def _open(path: Path, passphrase_file: Path | None) -> OperatorKey:
    try:
        return OperatorKey.load(path, _passphrase(passphrase_file, f"Passphrase of {path}: "))
    except SealError as error:
        raise Refused(f"the operator's key file cannot be used: {error}") from None


def _make(path: Path, passphrase_file: Path | None) -> OperatorKey:
    try:
        passphrase = _passphrase(passphrase_file, f"New passphrase for {path}: ")
        if passphrase_file is None and passphrase != _passphrase(None, "The same passphrase again: "):
            raise Refused(_DIFFERENT)
        return OperatorKey.create(path, passphrase)
    except SealError as error:
        raise Refused(f"the operator's key file cannot be made: {error}") from None


def _passphrase(path: Path | None, question: str) -> Passphrase:
    if path is not None:
        return Passphrase(path.read_text())
    if not _at_a_terminal():
        raise Refused(_NO_TERMINAL)
    return Passphrase(getpass.getpass(question))


def _at_a_terminal() -> bool:
    return sys.stdin.isatty()

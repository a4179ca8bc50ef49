"""The key files of operators: where they are, and where their passphrases come from.

It refuses to know what is signed. Invariant: a passphrase comes from a file or is asked for at a terminal, never from
the command line, and no key is opened before it is needed.
"""

import asyncio
import getpass
import sys
from pathlib import Path
from typing import Final

from keys.errors import SealError
from keys.operatorkey import OperatorKey
from keys.seals.keystore import Passphrase
from ops.refusal import Refused
from vault.settings import Settings

_NOBODY: Final = "this is under dual control: name your operator's key file in CARDVAULT_OPERATOR_KEY_FILE"
_NO_TERMINAL: Final = (
    "there is no terminal to ask for the passphrase of the key file: put it into a file, and name that"
)
_DIFFERENT: Final = "the two passphrases differ: nothing was made"


async def open_operator_key(settings: Settings) -> OperatorKey:
    """Open the key of whoever runs the command; raises `Refused`."""
    if settings.operator_key_file is None:
        raise Refused(_NOBODY)
    return await asyncio.to_thread(_open, settings.operator_key_file, settings.operator_passphrase_file)


async def open_or_make(path: Path, passphrase_file: Path | None) -> OperatorKey:
    """Open the key file of a future operator, or make it where there is none; raises `Refused`."""
    return await asyncio.to_thread(lambda: (_open if path.exists() else _make)(path, passphrase_file))


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

"""Custodians at a ceremony: how their shares come in and go out, as files, on paper, at a terminal.

It refuses to know commands and the database. Invariants: a share is asked for without an echo and named at once when
something is wrong with it, by its place or its file and never by a word of it; no file is ever replaced.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keys.errors import SealError, ShareError
from keys.seals import opening
from keys.seals.keystore import Passphrase, read, write_new
from keys.seals.share_file import ShareFile
from keys.seals.shares import ShareWords, require_one_set
from ops.refusal import Refused
from vault.shares import IssuedShare

Ask = Callable[[str], str]
Say = Callable[[str], None]
SHARE_SUFFIX: Final = ".share"


@dataclass(frozen=True, slots=True)
class Given:
    """Which files shares come from, and which files hold their passphrases, in the same order; none: they are asked."""

    files: Sequence[str] = ()
    passphrase_files: Sequence[str] = ()

    def passphrase(self, place: int, whose: str, ask: Ask) -> Passphrase:
        """Give the passphrase of one share."""
        if self.passphrase_files:
            return opening.passphrase_in(Path(self.passphrase_files[place]))
        return Passphrase(ask(f"Passphrase of {whose}"))


def read_shares(given: Given, ask: Ask, say: Say) -> list[ShareWords]:
    """Read shares from their files, or ask for as many as it takes; raises `Refused` naming the file that is wrong."""
    if not given.files:
        return _asked(ask, say)
    if given.passphrase_files and len(given.passphrase_files) != len(given.files):
        raise Refused("give --passphrase-file once for each --share, in the same order, or not at all")
    return [_in_file(place, given, ask) for place in range(len(given.files))]


def ask_share(number: int, ask: Ask, say: Say) -> ShareWords:
    """Ask until what was typed is a share."""
    while True:
        try:
            return _words(ask(f"Share {number}, its words"))
        except ShareError as error:
            say(f"Not accepted: {error}. Type this share again.")


def _asked(ask: Ask, say: Say) -> list[ShareWords]:
    shares: list[ShareWords] = []
    while not shares or len(shares) < shares[0].threshold:
        share = ask_share(len(shares) + 1, ask, say)
        try:
            require_one_set([*shares, share])
        except ShareError as error:
            say(f"Not accepted: {error}.")
        else:
            shares.append(share)
    return shares


def _in_file(place: int, given: Given, ask: Ask) -> ShareWords:
    path = Path(given.files[place])
    try:
        data = read(path)
        if not data.lstrip().startswith(b"{"):
            return _words(data.decode(errors="replace"))
        file = ShareFile.parse(data)
        return file.open(given.passphrase(place, file.custodian, ask))
    except SealError as error:
        raise Refused(f"{path}: {error}") from None


def _words(text: str) -> ShareWords:
    # What a terminal could not decode would otherwise raise with the text in it.
    return ShareWords(text.encode(errors="replace").decode())


class ShareFiles:
    """Writes each share into a file of its custodian's, sealed under their passphrase."""

    def __init__(self, folder: Path, passphrases: dict[str, Passphrase]) -> None:
        self._passphrases = passphrases
        self.paths = {name: folder / f"{name}{SHARE_SUFFIX}" for name in passphrases}
        for path in self.paths.values():
            if path.exists():
                raise Refused(f"a file is already there: {path}")

    def __call__(self, share: IssuedShare) -> None:
        """Write one."""
        file = ShareFile.around(share.set_id, share.custodian, share.words, self._passphrases[share.custodian])
        write_new(self.paths[share.custodian], file.render())


def numbered(words: str) -> str:
    """Lay a share out for copying by hand, five words a line."""
    listed = [f"{place:>2} {word:<9}" for place, word in enumerate(words.split(), 1)]
    return "\n".join("  ".join(listed[start : start + 5]).rstrip() for start in range(0, len(listed), 5))

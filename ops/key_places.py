"""Looks where the things are that open the root key together, and says which of them lie too close (controls.md KEY-3).

It refuses to open any of them. Invariant: what cannot be seen from here is not guessed.
"""

from collections.abc import Iterator
from pathlib import Path


def too_close(keystore: Path, passphrase: Path | None, database: Path | None) -> Iterator[str]:
    """Say what lies beside what: the keystore file, its passphrase, and the database's folder as far as it is known.

    The database holds the wraps; a copy of its folder, or a backup of one volume, must not open them.
    """
    if passphrase is not None and _folder(keystore) == _folder(passphrase):
        yield "the keystore and its passphrase are in one folder"
    if database is None or not database.is_dir():
        return
    for name, path in (("the keystore", keystore), ("the passphrase", passphrase)):
        if path is None or not path.exists():
            continue
        if path.resolve().is_relative_to(database.resolve()):
            yield f"{name} is inside the database's folder"
        elif path.stat().st_dev == database.stat().st_dev:
            yield f"{name} is on the database's volume"


def _folder(path: Path) -> Path:
    return path.resolve().parent

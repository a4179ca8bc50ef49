"""Decides who may run a server in a folder: the account, the way to the folder, and that nobody else is in there.

It refuses to know how PostgreSQL is started. Invariant: permissions are given to folders made here and to no other; a
lock file is removed only when no process works in the data folder and this supervisor holds the folder's own lock.
"""

import fcntl
import os
import pwd
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Self

from ops.embedded_errors import FolderInUse, FolderUnreachable

_UNPRIVILEGED = "nobody"
_VACANT_SECONDS = 10.0
_POLL_SECONDS = 0.005
_SHARED: Final = ("/var/tmp", "/tmp")  # noqa: S108 - a fresh folder is made in one of them


@dataclass(frozen=True, slots=True)
class Account:
    """The account a server runs as; `switch` says that the supervisor is root and has to change to it."""

    uid: int
    gid: int
    switch: bool

    @classmethod
    def for_data(cls, data: Path) -> Self:
        """Choose the account: our own, or for root the one that owns the data, `nobody` where there is none yet."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), switch=False)
        if data.exists():
            return cls(data.stat().st_uid, data.stat().st_gid, switch=True)
        entry = pwd.getpwnam(_UNPRIVILEGED)
        return cls(entry.pw_uid, entry.pw_gid, switch=True)

    def may_enter(self, folder: Path) -> bool:
        """Tell whether the folder's permission bits let the account through."""
        status = folder.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & 0o100)
        if status.st_gid == self.gid:
            return bool(status.st_mode & 0o010)
        return bool(status.st_mode & 0o001)


def blocking_folder(folder: Path, account: Account) -> Path | None:
    """Find the outermost existing folder on the way to `folder` that the account may not enter."""
    way = [each for each in (*reversed(folder.parents), folder) if each.exists()]
    return next((each for each in way if not account.may_enter(each)), None)


def temporary_place() -> str | None:
    """Choose a folder for temporary files that the server's account may enter; None for the system's own choice."""
    account = Account.for_data(Path(tempfile.gettempdir()) / "none")
    places = (tempfile.gettempdir(), *_SHARED)
    return next((place for place in places if blocking_folder(Path(place), account) is None), None)


def prepare_folder(root: Path, data: Path, account: Account) -> None:
    """Make `root` where it is missing, and refuse it where the account could not work; raises `FolderUnreachable`."""
    if (blocked := blocking_folder(root, account)) is not None:
        raise FolderUnreachable(
            f"{blocked} is closed to the account with id {account.uid}, as which PostgreSQL would run: choose a data "
            "folder whose parents everybody may enter, for example below /var/lib, or start as the folder's owner, "
            "but not as root"
        )
    if data.exists() and data.stat().st_uid != account.uid:
        raise FolderUnreachable(f"{data} belongs to another account: start as that account, or as root")
    for folder in [each for each in (*reversed(root.parents), root) if not each.exists()]:
        folder.mkdir()
        folder.chmod(0o711)


def lock_folder(root: Path) -> IO[bytes]:
    """Take the folder for this supervisor; closing the file, or dying, gives it back. Raises `FolderInUse`."""
    lock = (root / "supervisor.lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise FolderInUse(f"{root} is in use by another supervisor: stop it, or use another folder") from None
    return lock


def await_vacancy(data: Path) -> None:
    """Let an orphaned server finish its shutdown, then drop a lock file that no process stands behind.

    PostgreSQL trusts the process id in that file, which in a container may by now belong to a stranger or a zombie.
    Call it with the folder locked. Raises `FolderInUse` when a server stays.
    """
    if sys.platform != "linux":
        return
    deadline = time.monotonic() + _VACANT_SECONDS
    while _is_worked_in(data):
        if time.monotonic() > deadline:
            raise FolderInUse(f"a PostgreSQL server is running on {data}: stop it, or use another folder")
        time.sleep(_POLL_SECONDS)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _is_worked_in(folder: Path) -> bool:
    """Tell whether a living process has the folder as its working directory, as every PostgreSQL process has."""
    processes = (entry for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return any(_working_directory(entry) == folder for entry in processes)


def _working_directory(process: Path) -> Path | None:
    try:
        return (process / "cwd").readlink()
    except OSError:
        return None

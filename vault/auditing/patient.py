"""Work that may hang, a file's or a network's: in a thread of its own, one at a time, waited for so long and no longer.

It refuses to know what the work is. Invariant: whatever hangs keeps one thread and nothing else; trouble has a name
from a closed list and says nothing of what was written or where (controls.md AUD-6).
"""

import asyncio
import errno
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import Final, TypeVar

from vault.audit.note import NoteInvalid

_T = TypeVar("_T")


class Trouble(StrEnum):
    """What keeps something outside of the database from being written."""

    FULL = "full"
    FORBIDDEN = "forbidden"
    HANGING = "hanging"
    NO_SUCH_HOST = "no_such_host"
    CERTIFICATE = "certificate"
    TLS = "tls"
    CUT_OFF = "cut_off"
    UNREACHABLE = "unreachable"
    FOREIGN = "foreign"


_BY_NUMBER: Final = {
    errno.ENOSPC: Trouble.FULL,
    errno.EDQUOT: Trouble.FULL,
    errno.EFBIG: Trouble.FULL,
    errno.EACCES: Trouble.FORBIDDEN,
    errno.EPERM: Trouble.FORBIDDEN,
    errno.EROFS: Trouble.FORBIDDEN,
    errno.ECONNRESET: Trouble.CUT_OFF,
    errno.EPIPE: Trouble.CUT_OFF,
    errno.ENOTCONN: Trouble.CUT_OFF,
}
# The more special ones first.
_BY_KIND: Final[tuple[tuple[type[OSError], Trouble], ...]] = (
    (TimeoutError, Trouble.HANGING),
    (socket.gaierror, Trouble.NO_SUCH_HOST),
    (ssl.SSLCertVerificationError, Trouble.CERTIFICATE),
    (ssl.SSLEOFError, Trouble.CUT_OFF),
    (ssl.SSLError, Trouble.TLS),
)


def trouble_of(error: OSError) -> Trouble:
    """Name what went wrong."""
    for kind, trouble in _BY_KIND:
        if isinstance(error, kind):
            return trouble
    return _BY_NUMBER.get(error.errno or 0, Trouble.UNREACHABLE)


class Patient:
    """Waits `patience` seconds for a piece of work. For one event loop."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._busy: Callable[[], bool] = lambda: False

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do something; raises its OSError or `NoteInvalid`, and TimeoutError while it or the one before it hangs."""
        if self._busy():
            raise TimeoutError
        future: asyncio.Future[_T | NoteInvalid | OSError] = asyncio.get_running_loop().create_future()
        self._busy = lambda: not future.done()
        threading.Thread(target=_run, args=(work, future), daemon=True).start()
        await asyncio.wait([future], timeout=self._patience)
        outcome = future.result() if future.done() else TimeoutError()
        if isinstance(outcome, OSError | NoteInvalid):
            raise outcome
        return outcome


def _run(work: Callable[[], _T], future: "asyncio.Future[_T | NoteInvalid | OSError]") -> None:
    outcome: _T | NoteInvalid | OSError
    try:
        outcome = work()
    except (OSError, NoteInvalid) as error:
        outcome = error
    with suppress(RuntimeError):  # the loop has ended without waiting
        future.get_loop().call_soon_threadsafe(future.set_result, outcome)

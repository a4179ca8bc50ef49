"""Keeps what is in a process's memory there: no core dump, and nothing for others of the same account to read.

It refuses to know what is in it. Invariants: after it was called a crash writes no file; on Linux neither `ptrace` nor
`/proc` shows memory and environment to anybody but the superuser (controls.md SAD-7); elsewhere only the first.
"""

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def keep_memory_private() -> None:
    """Switch core dumps and inspection off for this process; programs that it starts have to do so themselves."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if _PRCTL is not None:
        _PRCTL(_PR_SET_DUMPABLE, 0)

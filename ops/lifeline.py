"""Ties a process to the one that started it, so that nothing goes on alone after a kill.

It refuses to know what the processes do. Invariant: on Linux a tied process gets its signal when its parent ends, also
when the parent ended before the tie was made; elsewhere a tie does nothing.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def tie_to(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send `number` to this process when its parent, process `parent`, ends.

    To be called in the child before it runs its program. The tie holds to the parent's thread that started the child.
    """
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os._exit(1)

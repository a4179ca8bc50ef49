"""Runs one of our commands and notes, while asked to, where its processor time goes.

`python -m ops.bench.sampled serve …`: SIGUSR1 begins, SIGUSR2 ends and writes stacks with their counts to the file that
`BENCH_STACKS` names. It refuses to know what runs. Invariant: samples are taken by processor time, not by the clock, so
that waiting weighs nothing; a call into compiled code weighs on the function that makes it.
"""

import os
import signal
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Final

import orjson

from ops.cli import main

STACKS_FILE: Final = "BENCH_STACKS"
_INTERVAL: Final = 0.001
_stacks: Counter[tuple[str, ...]] = Counter()


def _note(_number: int, frame: FrameType | None) -> None:
    stack = []
    while frame is not None:
        stack.append(f"{frame.f_code.co_filename}:{frame.f_code.co_qualname}")
        frame = frame.f_back
    _stacks[tuple(stack)] += 1


def _begin(_number: int, _frame: FrameType | None) -> None:
    _stacks.clear()
    signal.setitimer(signal.ITIMER_PROF, _INTERVAL, _INTERVAL)


def _end(_number: int, _frame: FrameType | None) -> None:
    signal.setitimer(signal.ITIMER_PROF, 0)
    whole = Path(os.environ[STACKS_FILE])
    part = whole.with_suffix(".part")
    part.write_bytes(orjson.dumps(list(_stacks.items())))
    part.replace(whole)


if __name__ == "__main__":
    for number, handler in ((signal.SIGPROF, _note), (signal.SIGUSR1, _begin), (signal.SIGUSR2, _end)):
        signal.signal(number, handler)
        signal.siginterrupt(number, False)
    main(prog_name="cardvault")

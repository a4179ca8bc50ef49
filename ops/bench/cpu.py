"""Counts the processor time of processes with everything below them, from Linux's `/proc`.

It refuses to know what the processes do. Invariant: a child that ended meanwhile is still counted, with its parent.
"""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
# proc(5), numbered from what follows the name in brackets: the parent, and the times of the process and its children.
_PARENT: Final = 1
_TIMES: Final = slice(11, 15)


def cpu_seconds(roots: Iterable[int]) -> float:
    """Give the processor seconds that processes and all their descendants have used so far."""
    ticks: dict[int, int] = {}
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and (fields := _fields(entry)):
            ticks[int(entry.name)] = sum(map(int, fields[_TIMES]))
            children[int(fields[_PARENT])].append(int(entry.name))
    family: set[int] = set()
    waiting = list(roots)
    while waiting:
        family.add(pid := waiting.pop())
        waiting += children[pid]
    return sum(ticks.get(pid, 0) for pid in family) / _TICKS_A_SECOND


def _fields(entry: Path) -> list[str]:
    try:
        return (entry / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
        return []

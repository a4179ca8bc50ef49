"""Commands as processes of their own, and what is left of them afterwards."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

PATIENCE = 90.0


def start(arguments: list[str], log: IO[bytes], env: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
    """Start a command without the settings of this process."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CARDVAULT_")}
    command = [sys.executable, "-m", "ops.cli", *arguments]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**clean, **(env or {})})


def await_that(holds: Callable[[], object], running: "subprocess.Popen[bytes] | None" = None) -> None:
    """Wait until something holds, or fail; also when the process that should bring it about has ended."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it took too long"
        assert running is None or running.poll() is None, "the process has ended"
        time.sleep(0.05)


def read_state(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(path.read_text())
    return state


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def below(folder: Path) -> list[int]:
    """Find the processes that were given a folder or work in it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and entry.name != str(os.getpid()):
            try:
                words, place = (entry / "cmdline").read_bytes(), (entry / "cwd").readlink()
            except OSError:
                continue
            if str(folder).encode() in words or folder in (place, *place.parents):
                found.append(int(entry.name))
    return [pid for pid in found if is_alive(pid)]

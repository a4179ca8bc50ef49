"""Child processes that end with their supervisor, with their output in a file.

It refuses to know what the programs do. Invariant: a child that was started is either running or has been waited for,
and its output is appended to a file that only its owner can read.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from ops.lifeline import tie_to

_STOP_SECONDS: Final = 20.0
_LAST_WORDS: Final = 600
_COMMANDS: Final = "ops.cli"


class Process:
    """One `cardvault` command, or another module of ours, running as a child."""

    def __init__(
        self, name: str, arguments: Sequence[str], environ: Mapping[str, str], log: Path, *, module: str = _COMMANDS
    ) -> None:
        self.name = name
        self.log = log
        self.started_at = 0.0
        self._command = (sys.executable, "-P", "-m", module, *arguments)
        self._environ = dict(environ)
        self._child: subprocess.Popen[bytes] | None = None
        self._said = 0

    @property
    def pid(self) -> int:
        """The process id of the last start, 0 before."""
        return self._child.pid if self._child is not None else 0

    @property
    def running(self) -> bool:
        """Tell whether it runs."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Start it, from the main thread: the child ends with the thread that started it."""
        self.started_at = time.monotonic()
        self._said = self.log.stat().st_size if self.log.exists() else 0
        with os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            self._child = subprocess.Popen(  # noqa: S603 - our own program and arguments, no shell
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environ,
                start_new_session=True,
                preexec_fn=partial(tie_to, os.getpid()),  # noqa: PLW1509 - it calls the C library only
            )

    def ask_to_stop(self) -> None:
        """Send SIGTERM, if it runs."""
        if self._child is not None and self.running:
            self._child.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, in the middle of whatever it does."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def stop(self) -> None:
        """End it: politely, and after twenty seconds by force."""
        if self._child is None:
            return
        self.ask_to_stop()
        try:
            self._child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def said(self) -> str:
        """Give what it wrote since its last start."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(self._said)
            return log.read().decode(errors="replace")

    def last_words(self) -> str:
        """Give the end of what it wrote since its last start."""
        return self.said().strip()[-_LAST_WORDS:]

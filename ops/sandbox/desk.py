"""What every operation of the gateway works with, and what each of them gives back.

Only values. Refuses to know any operation. Invariant: a handler finishes without waiting for anything, so that each of
them is atomic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ops.sandbox.book import Book
from ops.sandbox.config import SandboxConfig
from ops.sandbox.engine import Engine
from ops.sandbox.notifier import Sends
from ops.sandbox.results import Json
from ops.sandbox.scenarios import HONEST, Scenario
from ops.sandbox.sessions import Sessions
from ops.sandbox.vaults import Vaults


@dataclass(frozen=True, slots=True)
class Desk:
    """The state of a sandbox and what changes it."""

    config: SandboxConfig
    book: Book
    engine: Engine
    sessions: Sessions
    vaults: Vaults


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer, what is to go wrong with it, and how to let go of what waits for it."""

    body: Json
    scenario: Scenario = HONEST
    release: Callable[[], Sends] | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: its name in the request log and its handler."""

    name: str
    handle: Callable[[Desk, str, Json], Outcome]

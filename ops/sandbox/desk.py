"""What every operation of the gateway works with, and what each of them gives back.

Only values. Refuses to know any operation. Invariant: a handler finishes without waiting for anything, so that each of
them is atomic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ops.sandbox.book import Book, Payment
from ops.sandbox.config import SandboxConfig
from ops.sandbox.engine import Engine
from ops.sandbox.ledger import Movement
from ops.sandbox.results import Json
from ops.sandbox.scenarios import HONEST, Scenario


@dataclass(frozen=True, slots=True)
class Desk:
    """The state of a sandbox and what changes it."""

    config: SandboxConfig
    book: Book
    engine: Engine


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer, what is to go wrong with it, and what was opened, whose notifications wait for it."""

    body: Json
    scenario: Scenario = HONEST
    opened: Payment | Movement | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: its name in the request log and its handler."""

    name: str
    handle: Callable[[Desk, str, Json], Outcome]

"""The trace that a request belongs to: read from its caller, told to whoever is called for it (W3C Trace Context).

It refuses to know spans and where they are collected. Invariants: what is not exactly a parent is as good as absent and
begins a trace of its own, without the state that came with it; neither header ever holds a card number (controls.md
API-6).
"""

import os
import re
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from vault.pan_detector import contains_pan

_PARENT: Final = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")
_STATE: Final = re.compile(r"[!-~]+=[ -~]*")
_LONGEST_STATE: Final = 512
_MOST_MEMBERS: Final = 32
_LETTERS: Final = {octets: int("a0000000" * (octets // 4), 16) for octets in (8, 16)}


@dataclass(slots=True)
class Passage:
    """A request's way through this process: its trace, and the seconds that it spent waiting for the gateway."""

    trace_id: str
    flags: str = "00"
    state: str = ""
    gateway_seconds: float = 0.0

    def headers(self) -> dict[str, str]:
        """Give what tells the next system of the trace; each call is a span of its own."""
        own = {"traceparent": f"00-{self.trace_id}-{_fresh(8)}-{self.flags}"}
        return {**own, "tracestate": self.state} if self.state else own


_passage: ContextVar[Passage | None] = ContextVar("passage", default=None)


def begin(parent: str = "", state: str = "") -> Token[Passage | None]:
    """Go on with the caller's trace, or begin one; the token is for `end`."""
    found = _PARENT.fullmatch(parent)
    if found is None or contains_pan(parent.replace("-", "x")):
        return _passage.set(Passage(_fresh(16)))
    return _passage.set(Passage(found[1], found[2], state if _may_go_on(state) else ""))


def of(uuid: UUID) -> Passage:
    """Give the trace of something that is sent again and again under one id."""
    return Passage(_fresh(16) if contains_pan(uuid.hex) else uuid.hex)


def end(token: Token[Passage | None]) -> None:
    """Leave the trace."""
    _passage.reset(token)


def current() -> Passage | None:
    """Give the passage that this task is part of."""
    return _passage.get()


def trace_id() -> str:
    """Give the id of the trace that this task is part of, or the empty text."""
    passage = _passage.get()
    return passage.trace_id if passage else ""


def outgoing() -> dict[str, str]:
    """Give the headers for a call to another system; none outside of a trace."""
    passage = _passage.get()
    return passage.headers() if passage else {}


def _fresh(octets: int) -> str:
    """Make an id; each eight of its digits begin with a letter, so that nobody can take them for a card number."""
    return f"{int.from_bytes(os.urandom(octets)) | _LETTERS[octets]:x}"


def _may_go_on(state: str) -> bool:
    members = state.split(",")
    return (
        len(state) <= _LONGEST_STATE
        and len(members) <= _MOST_MEMBERS
        and all(_STATE.fullmatch(member.strip()) for member in members)
        and not contains_pan(state)
    )

"""The trace that a request belongs to: read from its caller, told to whoever is called for it (W3C Trace Context).

It refuses to know where spans are sent. Invariants: what is not exactly a parent is as good as absent and begins a
trace of its own, without the state that came with it; neither header ever holds a card number (controls.md API-6);
without a collector nothing is made that only a collector wants.
"""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from enum import StrEnum
from random import random
from typing import Final, TypeAlias
from uuid import UUID

from vault.pan_detector import contains_pan

_PARENT: Final = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_STATE: Final = re.compile(r"[!-~]+=[ -~]*")
_LONGEST_STATE: Final = 512
_MOST_MEMBERS: Final = 32
_SAMPLED: Final = 1
_LETTERS: Final = {octets: int("a0000000" * (octets // 4), 16) for octets in (8, 16)}


class Side(StrEnum):
    """Whether a piece of work was asked of us, or asked by us of another system."""

    SERVER = "server"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of work that is over; times are in nanoseconds since 1970, `facts` ids of ours and closed sets."""

    side: Side
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    began: int
    ended: int
    failed: bool
    facts: Mapping[str, str | float | None]


Collect: TypeAlias = Callable[[Span], None]


class _Collector:
    """Who wants this process's spans, and the share of traces that begin here of which they are wanted."""

    __slots__ = ("collect", "share")

    def __init__(self) -> None:
        self.collect: Collect | None = None
        self.share = 0.0


_COLLECTOR: Final = _Collector()


@dataclass(slots=True)
class Passage:
    """A way through this process: its trace, and the seconds that it spent waiting for the gateway.

    `span_id` is empty where nobody collects this trace.
    """

    trace_id: str
    flags: str = "00"
    state: str = ""
    parent_id: str = ""
    span_id: str = ""
    gateway_seconds: float = 0.0

    def __post_init__(self) -> None:
        """Become a span where the trace is sampled and somebody collects."""
        if _COLLECTOR.collect is not None and int(self.flags, 16) & _SAMPLED:
            self.span_id = _fresh(8)

    def headers(self) -> dict[str, str]:
        """Give what tells the next system of the trace; where nobody collects, each call is a span of its own."""
        own = {"traceparent": f"00-{self.trace_id}-{self.span_id or _fresh(8)}-{self.flags}"}
        return {**own, "tracestate": self.state} if self.state else own


_passage: ContextVar[Passage | None] = ContextVar("passage", default=None)


def begin(parent: str = "", state: str = "") -> Token[Passage | None]:
    """Go on with the caller's trace, or begin one; the token is for `end`."""
    found = _PARENT.fullmatch(parent)
    if found is None or contains_pan(parent.replace("-", "x")):
        return _passage.set(_first())
    return _passage.set(Passage(found[1], found[3], state if _may_go_on(state) else "", found[2]))


@contextmanager
def call() -> Iterator[Passage | None]:
    """Make a call to another system a part of the trace of its own, and give the passage that it is part of.

    Outside of a trace it begins one, where somebody collects.
    """
    around = _passage.get()
    if around is not None:
        inner: Passage | None = Passage(around.trace_id, around.flags, around.state, around.span_id)
    else:
        inner = _first() if _COLLECTOR.collect is not None else None
    token = _passage.set(inner)
    try:
        yield around
    finally:
        _passage.reset(token)


@contextmanager
def collected(collect: Collect, share: float) -> Iterator[None]:
    """Give every piece of work of a sampled trace to `collect`, which must neither fail nor wait.

    Callers decide for their traces; of those that begin here `share` (0 to 1) are sampled.
    """
    before = _COLLECTOR.collect, _COLLECTOR.share
    _COLLECTOR.collect, _COLLECTOR.share = collect, share
    try:
        yield
    finally:
        _COLLECTOR.collect, _COLLECTOR.share = before


def over(side: Side, name: str, seconds: float, *, failed: bool, facts: Mapping[str, str | float | None]) -> None:
    """Say that the piece of work that this task is part of has ended, and took so long."""
    passage, collect = _passage.get(), _COLLECTOR.collect
    if passage is None or collect is None or not passage.span_id:
        return
    ended = time.time_ns()
    began = ended - round(seconds * 1e9)
    collect(Span(side, name, passage.trace_id, passage.span_id, passage.parent_id, began, ended, failed, facts))


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


def _first() -> Passage:
    """Begin a trace; whether it is sampled is decided here, for every system that it comes to."""
    sampled = _COLLECTOR.collect is not None and random() < _COLLECTOR.share  # noqa: S311 - no secret
    return Passage(_fresh(16), "01" if sampled else "00")


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

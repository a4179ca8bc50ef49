"""The steps of a payment, a capture or a refund at which a server can be made to stand still, and how.

It refuses to know who asks for it. Invariants: a server changed in this way does what it always does, up to one point;
what stands still there goes on only when it is told to.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, TypeAlias

from vault.gateway import client
from vault.payments.moving import Moving
from vault.payments.recording import Recorder
from vault.payments.sending import Sender
from vault.payments.writing_ahead import WriteAhead

Method: TypeAlias = Callable[..., Awaitable[Any]]
Wrapping: TypeAlias = Callable[["Brake", Any], Callable[..., Any]]


class Step(StrEnum):
    """Where something stands still: in the process that takes the request, or in the worker that asks about it."""

    BEFORE_WRITING = "before transaction 1"
    AFTER_WRITING = "after transaction 1"
    BEFORE_SENDING = "before the send"
    DURING_THE_CALL = "during the call"
    AFTER_THE_ANSWER = "after the answer"
    BEFORE_COMMIT = "before commit"
    BETWEEN_CHECK_AND_WRITE = "between check and write"
    AFTER_THE_INQUIRY = "after the inquiry"
    NEVER = "never"

    @property
    def works(self) -> bool:
        """Tell whether a server that stands still here is a worker as well."""
        return self in {Step.AFTER_THE_INQUIRY, Step.NEVER}

    @property
    def sends(self) -> bool:
        """Tell whether the gateway has the request at this step."""
        return self in {Step.DURING_THE_CALL, Step.AFTER_THE_ANSWER, Step.BEFORE_COMMIT}


class Brake:
    """Where requests wait; `tell` is called for each that has arrived."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self.released = asyncio.Event()

    async def hold(self) -> None:
        """Tell that a request is here, and keep it."""
        self._tell()
        await self.released.wait()

    def note(self) -> None:
        """Tell that a request is here, and let it go on."""
        self._tell()


def _holding_before(brake: Brake, method: Method) -> Method:
    async def held(*args: Any, **named: Any) -> Any:
        await brake.hold()
        return await method(*args, **named)

    return held


def _holding_after(brake: Brake, method: Method) -> Method:
    async def held(*args: Any, **named: Any) -> Any:
        outcome = await method(*args, **named)
        await brake.hold()
        return outcome

    return held


def _noting(brake: Brake, method: Method) -> Method:
    async def noted(*args: Any, **named: Any) -> Any:
        outcome = await method(*args, **named)
        brake.note()
        return outcome

    return noted


def _waiting_after(brake: Brake, method: Method) -> Method:
    async def waited(*args: Any, **named: Any) -> Any:
        outcome = await method(*args, **named)
        await brake.released.wait()
        return outcome

    return waited


def _stopping_the_process(_brake: Brake, method: Callable[..., None]) -> Callable[..., None]:
    """Stop the whole process once, where nothing may wait."""
    stops = iter((signal.SIGSTOP,))

    def stopped(*args: Any) -> None:
        method(*args)
        for number in stops:
            os.kill(os.getpid(), number)

    return stopped


_POINTS: dict[Step, tuple[tuple[Any, str, Wrapping], ...]] = {
    Step.BEFORE_WRITING: ((WriteAhead, "_begin", _holding_before), (Moving, "_begin", _holding_before)),
    Step.AFTER_WRITING: ((WriteAhead, "_begin", _holding_after), (Moving, "_begin", _holding_after)),
    Step.BEFORE_SENDING: ((client._OneShotBody, "write", _holding_before),),
    Step.DURING_THE_CALL: (
        (client._OneShotBody, "write", _noting),
        (client.GatewayClient, "_exchange", _waiting_after),
    ),
    Step.AFTER_THE_ANSWER: ((Sender, "send", _holding_after), (Sender, "move", _holding_after)),
    # What is recorded in one statement is held before it, the rest before its transaction is committed.
    Step.BEFORE_COMMIT: ((Recorder, "_settle", _holding_before), (Recorder, "_write", _holding_after)),
    Step.BETWEEN_CHECK_AND_WRITE: ((client._OneShotBody, "_claim", _stopping_the_process),),
    Step.AFTER_THE_INQUIRY: ((Sender, "inquire", _holding_after),),
    Step.NEVER: (),
}


def fit(step: Step, brake: Brake) -> None:
    """Build the brake into this process at a step."""
    for owner, name, wrapping in _POINTS[step]:
        setattr(owner, name, wrapping(brake, getattr(owner, name)))

"""Death inside a process that lives on: whatever reaches a doomed step ends there, as if its process had been killed.

Nothing after that point runs: no answer, no record, no repair; its transaction is rolled back, its connection is closed.
It refuses to know what is asked. Invariant: the doom strikes once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import pytest

from tests.faults.steps import Step
from vault.gateway.client import GatewayClient
from vault.payments.moving import Moving
from vault.payments.recording import Recorder
from vault.payments.sending import Sender
from vault.payments.writing_ahead import WriteAhead
from vault.store import vaultings
from vault.tokens import GatewayTokens
from vault.vaultings.calling import VaultCaller
from vault.vaultings.recording import VaultingRecorder

Method: TypeAlias = Callable[..., Awaitable[Any]]
STEPS = (
    Step.BEFORE_WRITING,
    Step.AFTER_WRITING,
    Step.BEFORE_SENDING,
    Step.DURING_THE_CALL,
    Step.AFTER_THE_ANSWER,
    Step.BEFORE_COMMIT,
    Step.AFTER_THE_INQUIRY,
)
_ON_THE_WIRE = 0.005


class Died(BaseException):
    """The end of what would have been a process; no handler of an error may catch it."""


class Doom:
    """Where the next one dies."""

    def __init__(self) -> None:
        self.at: Step | None = None
        self.deaths = 0

    def strikes(self, step: Step) -> bool:
        """Tell whether this is the end, once."""
        if self.at is not step:
            return False
        self.at = None
        self.deaths += 1
        return True


def _before(doom: Doom, step: Step, method: Method) -> Method:
    async def mortal(*args: Any, **named: Any) -> Any:
        if doom.strikes(step):
            raise Died
        return await method(*args, **named)

    return mortal


def _after(doom: Doom, step: Step, method: Method) -> Method:
    async def mortal(*args: Any, **named: Any) -> Any:
        outcome = await method(*args, **named)
        if doom.strikes(step):
            raise Died
        return outcome

    return mortal


def _meanwhile(doom: Doom, step: Step, method: Method) -> Method:
    async def mortal(*args: Any, **named: Any) -> Any:
        if not doom.strikes(step):
            return await method(*args, **named)
        going = asyncio.ensure_future(method(*args, **named))
        await asyncio.wait([going], timeout=_ON_THE_WIRE)
        going.cancel()
        raise Died

    return mortal


_POINTS: tuple[tuple[Any, str, Step, Callable[[Doom, Step, Method], Method]], ...] = (
    (WriteAhead, "_begin", Step.BEFORE_WRITING, _before),
    (Moving, "_begin", Step.BEFORE_WRITING, _before),
    (WriteAhead, "_begin", Step.AFTER_WRITING, _after),
    (Moving, "_begin", Step.AFTER_WRITING, _after),
    (GatewayClient, "_exchange", Step.BEFORE_SENDING, _before),
    (GatewayClient, "_exchange", Step.DURING_THE_CALL, _meanwhile),
    (Sender, "send", Step.AFTER_THE_ANSWER, _after),
    (Sender, "move", Step.AFTER_THE_ANSWER, _after),
    (Sender, "cancel", Step.AFTER_THE_ANSWER, _after),
    (Recorder, "_settle", Step.BEFORE_COMMIT, _before),
    (Recorder, "_write", Step.BEFORE_COMMIT, _after),
    (Sender, "inquire", Step.AFTER_THE_INQUIRY, _after),
    (Sender, "inquire_refund", Step.AFTER_THE_INQUIRY, _after),
    (vaultings, "begin", Step.BEFORE_WRITING, _before),
    (vaultings, "begin", Step.AFTER_WRITING, _after),
    (VaultCaller, "begin", Step.AFTER_THE_ANSWER, _after),
    (VaultCaller, "inquire", Step.AFTER_THE_INQUIRY, _after),
    (VaultingRecorder, "_write", Step.BEFORE_COMMIT, _after),
    (GatewayTokens, "_asked", Step.AFTER_THE_ANSWER, _after),
)


@contextmanager
def mortality() -> Iterator[Doom]:
    """Make every step of this process one at which things can die."""
    doom = Doom()
    with pytest.MonkeyPatch.context() as patch:
        for owner, name, step, ending in _POINTS:
            patch.setattr(owner, name, ending(doom, step, getattr(owner, name)))
        yield doom

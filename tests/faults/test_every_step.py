"""A server that is killed or stopped at each step of a payment, under everything that the gateway can do meanwhile."""

import asyncio
import itertools
import signal
from collections.abc import Sequence

import httpx2
import pytest

from tests.faults import verdict
from tests.faults.cases import Case, in_turn
from tests.faults.steps import Step
from tests.faults.stoppable import Stoppable
from tests.faults.trial import Trial

pytestmark = pytest.mark.anyio
_STEPS = (
    Step.BEFORE_WRITING,
    Step.AFTER_WRITING,
    Step.BEFORE_SENDING,
    Step.DURING_THE_CALL,
    Step.AFTER_THE_ANSWER,
    Step.BEFORE_COMMIT,
)
_KINDS = (signal.SIGKILL, signal.SIGSTOP)


@pytest.mark.parametrize(
    ("turn", "step", "kind"),
    [(turn, *fault) for turn, fault in enumerate(itertools.product(_STEPS, _KINDS))],
    ids=lambda value: value.name.lower() if isinstance(value, signal.Signals) else str(value).replace(" ", "-"),
)
async def test_whatever_happens_at_any_step_ends_in_one_known_outcome(
    trial: Trial, turn: int, step: Step, kind: signal.Signals
) -> None:
    """T-14: no payment stays open, none is authorised twice, none changes without an event."""
    cases = await trial.prepare(in_turn(turn))
    async with trial.server(step) as server:
        answers = [asyncio.create_task(trial.send(server.url, case)) for case in cases]
        await server.until_reached(answers)
        assert server.reached == len(cases)
        match kind:
            case signal.SIGKILL:
                await server.kill()
                await _recovered(trial, step, cases)
            case _:
                await server.pause()
                await _recovered(trial, step, cases)
                await _gone_on(trial, server, cases, answers)
    record = await verdict.settled(trial, cases)
    sent = sum(record.sent[case.request_id] for case in cases)
    assert sent == (len(cases) if step.sends or step is Step.BEFORE_WRITING else 0)


async def _recovered(trial: Trial, step: Step, cases: Sequence[Case]) -> None:
    """Do what the rest of the installation does without the server; what was not written is asked for again."""
    if step is Step.BEFORE_WRITING:
        await verdict.untouched(trial, cases)
        answers = await asyncio.gather(*(trial.insist(case) for case in cases))
        assert all(answer.status_code in {201, 202} for answer in answers)
        assert not any("Idempotent-Replayed" in answer.headers for answer in answers)
    await trial.work_until_final(cases)


async def _gone_on(
    trial: Trial, server: Stoppable, cases: Sequence[Case], answers: Sequence["asyncio.Task[httpx2.Response | None]"]
) -> None:
    """Let the stopped server go on, long after the others have settled everything: it must say what they say."""
    before = await verdict.recorded(trial, cases)
    server.let_go()
    for case, answer in zip(cases, await asyncio.gather(*answers), strict=True):
        assert answer is not None
        if answer.status_code < 400:
            assert answer.json()["paymentStatus"] == before.payments[case.request_id]["status"], case
        else:
            assert answer.status_code == 503, (case, answer.text)
    await trial.work_until_final(cases)

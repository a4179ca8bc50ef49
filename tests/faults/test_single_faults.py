"""Single faults: a late arrival, a dead or sleeping worker, a lost database, a lost reply, a drain, a client that leaves."""

import asyncio
import os
import signal
from collections.abc import Sequence

import httpx2
import pytest

from ops.embedded import EmbeddedPostgres
from tests.faults import verdict
from tests.faults.cases import NOT_STORING, STORING, Case, Flow, every
from tests.faults.proxy import wire_to
from tests.faults.steps import Step
from tests.faults.stoppable import Stoppable
from tests.faults.trial import Trial
from tests.faults.waiting import until

pytestmark = pytest.mark.anyio
_QUIET = ("", "NO_NOTIFICATION", "LOST_ANSWER+NO_NOTIFICATION")


def _sent(trial: Trial, server: Stoppable, cases: Sequence[Case]) -> list["asyncio.Task[httpx2.Response | None]"]:
    return [asyncio.create_task(trial.send(server.url, case)) for case in cases]


async def test_an_authorisation_that_arrives_after_the_payment_was_given_up_is_voided_and_alarmed(
    trial: Trial,
) -> None:
    cases = await trial.prepare(every(("NO_NOTIFICATION",), (Flow.STORE_IN_BOTH,)))
    async with trial.server(Step.BETWEEN_CHECK_AND_WRITE) as server:
        answers = _sent(trial, server, cases)
        await server.until_stopped()
        await trial.work_until_final()
        record = await verdict.recorded(trial, cases)
        assert record.payments[cases[0].request_id]["not_sent"]
        server.let_go()
        await asyncio.gather(*answers)
        async with trial.worker():
            await until(lambda: _cancelled(trial))
    record = await verdict.read(trial)
    verdict.a_story_without_holes(record)
    assert record.ledger == {cases[0].request_id: ["CANCELLED"]}
    assert record.credentials == {}
    assert await trial.database.fetchval("select array_agg(code) from vault.alarm") == ["late_authorisation"]
    assert await trial.database.fetchval("select count(*) from vault.payment_secret") == 0


async def _cancelled(trial: Trial) -> bool:
    status: str = await trial.database.fetchval("select status from vault.payment")
    return status == "CANCELLED"


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
async def test_a_worker_that_ends_or_sleeps_between_inquiry_and_record_leaves_its_work_to_others(
    trial: Trial, kind: signal.Signals
) -> None:
    cases = await trial.prepare(every(_QUIET))
    async with trial.server(Step.AFTER_THE_ANSWER) as server:
        answers = _sent(trial, server, cases)
        await server.until_reached(answers)
        await server.kill()
    async with trial.server(Step.AFTER_THE_INQUIRY) as worker:
        await worker.until_any_reached()
        await (worker.kill() if kind is signal.SIGKILL else worker.pause())
        await trial.work_until_final()
        if kind is signal.SIGSTOP:
            worker.let_go()
            await trial.work_until_final()
    await verdict.settled(trial, cases)


async def test_two_workers_at_once_do_nothing_twice(trial: Trial) -> None:
    cases = await trial.prepare(every(_QUIET))
    async with trial.server(Step.AFTER_THE_ANSWER) as server:
        answers = _sent(trial, server, cases)
        await server.until_reached(answers)
        await server.kill()
    async with trial.server(Step.AFTER_THE_INQUIRY) as worker:
        worker.let_go()
        await trial.work_until_final()
    await verdict.settled(trial, cases)


async def test_a_database_connection_that_is_lost_inside_transaction_2_leaves_the_answer_to_the_worker(
    trial: Trial,
) -> None:
    """T-16: the client is told to come again, and is told the truth then."""
    cases = await trial.prepare(every(_QUIET, STORING))
    async with trial.server(Step.BEFORE_COMMIT) as server:
        answers = _sent(trial, server, cases)
        await server.until_reached(answers)
        ended = await trial.database.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() "
            "and state like 'idle in transaction%'"
        )
        assert len(ended) >= len(cases)  # a notification may have had one open as well
        server.let_go()
        for answer in await asyncio.gather(*answers):
            assert answer is not None
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable"), answer.text
        await trial.work_until_final()
    await verdict.settled(trial, cases)


@pytest.mark.parametrize(
    ("step", "wanted", "last"),
    [
        (Step.BEFORE_WRITING, every(_QUIET), b"payment.created"),
        (Step.BEFORE_COMMIT, every(_QUIET, STORING), b"commit\0"),
        (Step.BEFORE_COMMIT, every(("NO_NOTIFICATION",), NOT_STORING), b"payment.changed"),
    ],
    ids=["transaction 1", "transaction 2", "the statement instead of transaction 2"],
)
async def test_a_commit_whose_reply_is_lost_is_neither_lost_nor_repeated(
    trial: Trial, step: Step, wanted: list[tuple[str, Flow]], last: bytes
) -> None:
    """T-15: committed, and the vault does not know it."""
    cases = await trial.prepare(wanted)
    async with wire_to(trial.database_url) as (wire, url), trial.server(step, database_url=url) as server:
        answers = _sent(trial, server, cases)
        await server.until_reached(answers)
        wire.cut_at = (last,)
        server.let_go()
        for answer in await asyncio.gather(*answers):
            assert answer is not None
            assert answer.status_code == 503, answer.text
        assert 0 < wire.cuts <= len(cases)  # several may share a statement
        await trial.work_until_final()
    record = await verdict.settled(trial, cases)
    assert sum(record.sent[case.request_id] for case in cases) == (len(cases) if step.sends else 0)


async def test_a_server_that_is_told_to_end_answers_what_it_has_begun(trial: Trial) -> None:
    """T-18: drained, nothing lost."""
    cases = await trial.prepare(every(_QUIET))
    async with trial.server(Step.DURING_THE_CALL) as server:
        answers = _sent(trial, server, cases)
        await server.until_reached(answers)
        server.signal(signal.SIGTERM)
        server.let_go()
        for answer in await asyncio.gather(*answers):
            assert answer is not None
            assert answer.status_code in {201, 202}, answer.text
        await asyncio.wait_for(server.gone.wait(), 60)
        await trial.work_until_final()
    await verdict.settled(trial, cases)


async def test_a_payment_is_recorded_for_a_client_that_has_left(trial: Trial) -> None:
    """T-28: nobody waits for the answer, and no worker runs."""
    cases = await trial.prepare(every(("NO_NOTIFICATION",)))
    async with trial.server(Step.DURING_THE_CALL) as server:
        answers = _sent(trial, server, cases)
        await server.until_reached(answers)
        for answer in answers:
            answer.cancel()
        await asyncio.gather(*answers, return_exceptions=True)
        server.let_go()
        await until(trial.nothing_is_open)
    await verdict.settled(trial, cases)


async def test_a_database_that_is_killed_during_the_calls_loses_nothing_that_was_acknowledged(
    trial_of_its_own: Trial, postgres_of_its_own: EmbeddedPostgres
) -> None:
    """T-16: with the write-ahead log on the disk, as in production."""
    trial = trial_of_its_own
    acknowledged = await trial.prepare(every(_QUIET))
    answers = await asyncio.gather(*(trial.insist(case) for case in acknowledged))
    said = {case.request_id: answer.json() for case, answer in zip(acknowledged, answers, strict=True)}
    during = await trial.prepare(every(_QUIET), first=len(acknowledged))
    async with trial.server(Step.DURING_THE_CALL) as server:
        calls = _sent(trial, server, during)
        await server.until_reached(calls)
        assert postgres_of_its_own.pid is not None
        os.kill(postgres_of_its_own.pid, signal.SIGKILL)
        server.let_go()
        for answer in await asyncio.gather(*calls):
            assert answer is not None
            assert answer.status_code in {201, 202, 503}, answer.text
        postgres_of_its_own.start()
        await trial.reconnect()
        await trial.work_until_final()
    record = await verdict.settled(trial, [*acknowledged, *during])
    for request_id, answer in said.items():
        assert record.payments[request_id]["id"] == answer["paymentId"]
        if answer["paymentStatus"] == "SUCCESS":
            assert record.payments[request_id]["status"] == "SUCCESS"

"""The worker's loops: they do what there is, survive what goes wrong, and end when told to, after the work in hand."""

import asyncio
import re
from pathlib import Path

import httpx2
import pytest

from ops import working
from tests.api.gateway import SUCCESS, courier
from tests.api.shop import Sql, paid, payment, shown, until
from tests.api.vaultings import keep, kept, looked_up
from tests.cluster import out_of_reach
from tests.database import Cluster
from tests.installation import Blueprint, Installation, installed
from vault.store.inquiries import Due
from vault.worker import loop
from vault.worker.heartbeat import heartbeat
from vault.worker.loop import Loop, Pulse, forgetting_attempts, orphanage, reconciliation, run, vaultings
from vault.worker.port import WorkerPort
from vault.worker.sequencing import audit_loops

pytestmark = pytest.mark.anyio
ALERTS = Path(working.__file__).parent / "deploy" / "monitoring" / "alerts.yaml"


async def test_a_payment_whose_answer_was_lost_is_resolved_by_the_running_worker(vault: Installation) -> None:
    body = payment()
    await vault.arm(body["paymentRequestId"], "LOST_ANSWER+NO_NOTIFICATION")
    view = await paid(vault, body, status=202)
    stop = asyncio.Event()
    working = asyncio.create_task(run((reconciliation(vault.services.reconciler, idle=0.05),), stop))

    async def settled() -> bool:
        return bool((await shown(vault, view["paymentId"]))["paymentStatus"] == "SUCCESS")

    await until(settled)
    stop.set()
    await working


async def test_a_card_whose_answer_was_lost_is_found_by_the_running_worker(vault: Installation) -> None:
    body = keep()
    await vault.arm(body["vaultingRequestId"], "LOST_ANSWER+NO_NOTIFICATION")
    await kept(vault, body, status=202)
    stop = asyncio.Event()
    working = asyncio.create_task(run((vaultings(vault.services.vaulting_follower, idle=0.05),), stop))

    async def found() -> bool:
        return bool((await looked_up(vault, body["vaultingRequestId"]))["vaultingStatus"] == "SUCCESS")

    await until(found)
    stop.set()
    await working


async def test_a_capture_without_a_payment_is_looked_after_by_the_running_worker(
    vault: Installation, blueprint: Blueprint, sql: Sql
) -> None:
    ids = {"paymentId": "nobodys", "captureRequestId": "c.1", "captureId": "1"}
    told = {"notifyType": "CAPTURE_RESULT", "result": SUCCESS, "captureAmount": {"currency": "EUR", "value": "1"}} | ids
    await courier(vault, blueprint).bring(told)
    await sql.change("update vault.orphan_capture set created_at = now() - interval '1 hour'")
    stop = asyncio.Event()
    working = asyncio.create_task(run((orphanage(vault.services.orphans, idle=0.05),), stop))
    await until(sql.alarms)
    stop.set()
    await working


async def test_declines_that_no_rule_looks_at_are_deleted_by_the_running_worker(
    blueprint: Blueprint, onboarded_url: str, sql: Sql
) -> None:
    async with installed(blueprint, onboarded_url, retry_guard=True) as vault:
        body = payment()
        await vault.arm(body["paymentRequestId"], "DECLINE:DO_NOT_HONOR")
        await paid(vault, body)
        await sql.change("update vault.card_attempt set declined_at = now() - interval '31 days'")
        stop = asyncio.Event()
        working = asyncio.create_task(run((forgetting_attempts(vault.services.retry_guard),), stop))

        async def forgotten() -> bool:
            return not await sql.count("card_attempt")

        await until(forgotten)
        stop.set()
        await working


async def test_one_payments_trouble_keeps_no_other_waiting(
    vault: Installation, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = []
    for _ in range(2):
        body = payment()
        await vault.arm(body["paymentRequestId"], "LOST_ANSWER+NO_NOTIFICATION")
        views.append(await paid(vault, body, status=202))
    resolve = vault.services.reconciler.resolve

    async def stumbling(due: Due) -> object:
        if due.object_id == views[0]["paymentId"]:
            raise RuntimeError
        return await resolve(due)

    monkeypatch.setattr(vault.services.reconciler, "resolve", stumbling)
    await sql.change("update vault.payment_inquiry set next_at = now() - interval '1 second'")
    assert await reconciliation(vault.services.reconciler, idle=0.05).once() is True
    assert (await shown(vault, views[1]["paymentId"]))["paymentStatus"] == "SUCCESS"
    assert await reconciliation(vault.services.reconciler, idle=0.05).once() is False


async def test_a_loop_goes_on_after_a_failure_and_ends_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_AFTER_FAILURE", 0.01)
    stop, rounds = asyncio.Event(), 0

    async def once() -> bool:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise RuntimeError
        if rounds == 4:
            stop.set()
        return rounds == 2

    await run((Loop("test", once, idle=0.01),), stop)
    assert rounds == 4


async def test_pauses_double_with_each_failure_in_a_row_up_to_a_limit() -> None:
    pulse = loop.Pulse("test")
    assert [pulse.failed() for _ in range(6)] == [1, 2, 4, 8, 15, 15]
    pulse.done()
    assert pulse.failed() == 1


async def test_a_loop_that_cannot_finish_keeps_no_other_from_finishing() -> None:
    stop, finished = asyncio.Event(), asyncio.Event()
    stop.set()

    async def nothing() -> bool:
        raise AssertionError

    async def cannot() -> None:
        raise RuntimeError

    async def can() -> None:
        finished.set()

    await run((Loop("a", nothing, 1.0, cannot), Loop("b", nothing, 1.0, can)), stop)
    assert finished.is_set()


async def test_two_loops_of_one_name_do_not_start() -> None:
    async def nothing() -> bool:
        raise AssertionError

    with pytest.raises(ValueError, match="same name"):
        await run((Loop("a", nothing, 1.0), Loop("a", nothing, 1.0)), asyncio.Event())


async def test_a_worker_with_many_receivers_beats_for_each_loop(vault: Installation, sql: Sql, tmp_path: Path) -> None:
    receivers = "syslog+tcp://127.0.0.1:1,syslog+tcp://127.0.0.1:2"
    values = {"audit_anchor": f"file:{tmp_path}/anchor,{receivers}", "audit_stream": receivers}
    object.__setattr__(vault.services, "settings", vault.settings.model_copy(update=values))
    async with audit_loops(vault.services) as auditing, working._sender(vault.settings) as sender:
        webhooks = working._webhook_loops(vault.services, sender)
        loops = (*working._loops(vault.services), *webhooks, *auditing)
        names = {each.name for each in loops}
        await heartbeat(vault.services.database, [Pulse(each.name) for each in loops]).once()
    assert names >= {f"ship.{told}.{place}" for told in ("events", "checkpoints") for place in (1, 2)}
    assert {row["loop"] for row in await sql.rows("select loop from vault.worker_loop")} == names
    seldom = {each.name for each in loops if each.idle > 300}
    [excused] = re.findall(r'\{loop!~"([^"]+)"\}', ALERTS.read_text())
    assert seldom < set(excused.split("|")) < names


async def test_a_worker_answers_monitoring_at_its_port(vault: Installation) -> None:
    transport = httpx2.ASGITransport(WorkerPort(vault.services))
    async with httpx2.AsyncClient(transport=transport, base_url="http://worker") as monitoring:
        assert (await monitoring.get("/healthz")).json() == {"status": "ok"}
        ready = await monitoring.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (200, True)
        assert "cardvault_payments_open" in (await monitoring.get("/metrics")).text
        assert (await monitoring.get("/v1/cards")).status_code == 404
        assert (await monitoring.post("/metrics")).status_code == 404
        elsewhere = {"x-forwarded-for": "203.0.113.9"}
        assert (await monitoring.get("/metrics", headers=elsewhere)).status_code == 404


async def test_a_worker_that_is_not_ready_says_so(vault: Installation, onboarded_url: str, postgres: Cluster) -> None:
    transport = httpx2.ASGITransport(WorkerPort(vault.services))
    async with (
        out_of_reach(postgres.url, onboarded_url.rpartition("/")[2]),
        httpx2.AsyncClient(transport=transport, base_url="http://worker") as monitoring,
    ):
        answer = await monitoring.get("/readyz")
    assert (answer.status_code, answer.json()["database"], answer.json()["loops"]) == (503, False, {})


async def test_a_worker_that_holds_expiry_leaves_out_what_is_done_for_age_alone(vault: Installation) -> None:
    """T-35."""
    async with working._sender(vault.settings) as sender:
        loops = (*working._loops(vault.services), *working._webhook_loops(vault.services, sender))
    held = {each.name for each in loops} - {each.name for each in working._ageless(loops)}
    assert held == {"attempts", "counting", "event_purge", "expiry", "keys", "retention"}

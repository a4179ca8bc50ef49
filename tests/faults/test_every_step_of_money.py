"""A server that is killed at each step of a capture or a refund, under everything that the gateway can do meanwhile."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
import orjson
import pytest

from tests.faults.cases import payment_body, typed_card
from tests.faults.steps import Step
from tests.faults.trial import Trial
from tests.faults.waiting import until

pytestmark = pytest.mark.anyio
_STEPS = tuple(step for step in Step if step is not Step.BETWEEN_CHECK_AND_WRITE and not step.works)
_SCENARIOS = (
    "",
    "DECLINE:PROCESS_FAIL",
    "SLOW:300",
    "LOST_ANSWER",
    "LOST_ANSWER+NO_NOTIFICATION",
    "RESET",
    "BAD_SIGNATURE",
    "HTTP_500+NO_NOTIFICATION",
    "RATE_LIMIT",
    "NOTIFY_FIRST",
    "DUPLICATE_NOTIFICATIONS",
    "LATE_SUCCESS",
)
_KINDS = ("capture", "refund")
_OPEN = "select count(*) from vault.movement where status in ('CREATED', 'PENDING')"


@dataclass(frozen=True, slots=True)
class Move:
    """One capture or refund of a payment that has no other of its kind."""

    kind: str
    scenario: str
    payment_id: str
    body: dict[str, Any] = field(repr=False)

    @property
    def path(self) -> str:
        """Where it is asked for."""
        return f"/v1/payments/{self.payment_id}/{self.kind}s"

    @property
    def request_id(self) -> str:
        """The merchant's id of it."""
        return str(self.body[f"{self.kind}RequestId"])

    def outcome(self, sent: int) -> str:
        """Say how it must end, given how often the gateway had it."""
        refused = {"DECLINE", "RESET", "RATE_LIMIT"} & set(self.scenario.partition(":")[0].split("+"))
        return "SUCCESS" if sent and not refused else "FAIL"


@pytest.mark.parametrize("step", _STEPS, ids=lambda step: str(step).replace(" ", "-"))
async def test_a_capture_or_refund_that_dies_at_any_step_ends_in_one_known_outcome(trial: Trial, step: Step) -> None:
    """T-14: nothing is taken or given back twice, or stays open, or changes without an event."""
    moves = await asyncio.gather(*(_prepared(trial, *each) for each in enumerate(_in_turn(_STEPS.index(step)))))
    mark = await trial.database.fetchval("select max(ord) from vault.audit_pending")
    async with trial.server(step) as server:
        answers = [asyncio.create_task(_send(trial, server.url, move)) for move in moves]
        await server.until_reached(answers)
        assert server.reached == len(moves)
        await server.kill()
        assert not any(await asyncio.gather(*answers))
    if step is Step.BEFORE_WRITING:
        assert await trial.database.fetchval("select count(*) from vault.movement") == len(moves) // 2
        for answer in await asyncio.gather(*(_insist(trial, move) for move in moves)):
            assert answer.status_code in {201, 202}
            assert "Idempotent-Replayed" not in answer.headers
    await _known(trial)
    sent = await _judged(trial, moves)
    assert sum(sent.values()) == (len(moves) if step.sends or step is Step.BEFORE_WRITING else 0)
    await _told_without_holes(trial, mark)


def _in_turn(turn: int) -> list[tuple[str, str]]:
    """Give every scenario with one of the kinds; two turns meet both."""
    return [(scenario, _KINDS[(place + turn) % 2]) for place, scenario in enumerate(_SCENARIOS)]


async def _prepared(trial: Trial, number: int, wanted: tuple[str, str]) -> Move:
    """Authorise a payment, capture it where it is to be refunded, and tell the gateway what to do then."""
    scenario, kind = wanted
    body = payment_body(f"paid-{number}", f"buyer-{number}") | {"card": typed_card(), "captureMode": "MANUAL"}
    view = (await trial.ask("POST", "/v1/payments", json=body)).json()
    assert view["paymentStatus"] == "SUCCESS"
    if kind == "refund":
        first = Move("capture", "", view["paymentId"], _moving("capture", f"first-{number}", "1250"))
        assert (await _insist(trial, first)).json()["status"] == "SUCCESS"
    move = Move(kind, scenario, view["paymentId"], _moving(kind, f"{kind}-{number}", "800"))
    if scenario:
        await trial.vault.arm(move.request_id, scenario)
    return move


def _moving(kind: str, request_id: str, value: str) -> dict[str, Any]:
    return {f"{kind}RequestId": request_id, f"{kind}Amount": {"currency": "EUR", "value": value}}


async def _send(trial: Trial, url: str, move: Move) -> httpx2.Response | None:
    try:
        return await trial.client.post(url.rstrip("/") + move.path, json=move.body)
    except httpx2.TransportError:
        return None


async def _insist(trial: Trial, move: Move) -> httpx2.Response:
    return await trial.ask("POST", move.path, json=move.body)


async def _known(trial: Trial) -> None:
    """Let the time of the senders that died be over, and a worker run until nothing is open."""
    async with trial.database.transaction():
        await trial.database.execute("set local session_replication_role = replica")
        await trial.database.execute("update vault.movement set send_deadline = now() - interval '1 hour'")
        await trial.database.execute("update vault.payment_inquiry set next_at = now()")

    async def known() -> bool:
        return not await trial.database.fetchval(_OPEN)

    async with trial.worker():
        await until(known)


async def _judged(trial: Trial, moves: Sequence[Move]) -> Counter[str]:
    """Compare both books, ask for everything once more, and compare again; gives how often the gateway had each."""
    sent, books = await _sent(trial), await _books(trial)
    for move in moves:
        status, moved = books[move.request_id]
        assert sent[move.request_id] <= 1, move
        assert status == move.outcome(sent[move.request_id]), move
        assert moved == (status == "SUCCESS"), move
    for move, again in zip(moves, await asyncio.gather(*(_insist(trial, move) for move in moves)), strict=True):
        assert again.status_code == 201, again.text
        assert again.headers["Idempotent-Replayed"] == "true", move
        assert again.json()["status"] == books[move.request_id][0], move
    assert (await _sent(trial), await _books(trial)) == (sent, books)
    assert await trial.database.fetchval("select count(*) from vault.alarm") == 0
    await until(trial.nobody_waits_in_a_transaction)
    return Counter({move.request_id: sent[move.request_id] for move in moves})


async def _sent(trial: Trial) -> Counter[str]:
    requests = (await trial.vault.sandbox_api.get("/_sandbox/requests")).json()
    return Counter(
        each["body"][f"{kind}RequestId"] for each in requests for kind in _KINDS if each["operation"] == kind
    )


async def _books(trial: Trial) -> dict[str, tuple[str, int]]:
    """Give each movement's state here, and how often money moved for it at the gateway."""
    rows = (await trial.vault.sandbox_api.get("/_sandbox/ledger")).json()
    moved = Counter(each[f"{kind}RequestId"] for row in rows for kind in _KINDS for each in row[f"{kind}s"])
    known = await trial.database.fetch("select request_id, status from vault.movement")
    assert moved.keys() <= {row["request_id"] for row in known}
    return {row["request_id"]: (row["status"], moved[row["request_id"]]) for row in known}


async def _told_without_holes(trial: Trial, mark: int) -> None:
    """Follow each capture and refund through its events, from its creation to the state it is in."""
    told: dict[str, str] = {}
    rows = await trial.database.fetch("select body from vault.audit_pending where ord > $1 order by ord", mark)
    for event in (orjson.loads(row["body"]) for row in rows):
        match event["type"].split("."):
            case [("capture" | "refund"), "created"]:
                assert event["objects"][0] not in told
                told[event["objects"][0]] = "CREATED"
            case [("capture" | "refund"), "recorded"]:
                assert event["details"]["from"] == told[event["objects"][0]], event
                told[event["objects"][0]] = event["details"]["to"]
    known = await trial.database.fetch("select id, status from vault.movement where request_id not like 'first-%'")
    assert told == {row["id"]: row["status"] for row in known}

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from ops.sandbox.book import ARMED_KEPT, Book
from ops.sandbox.clients import Clients
from ops.sandbox.control import Control
from ops.sandbox.scenarios import HONEST, Scenario
from tests.ops.sandbox.conftest import Start
from tests.ops.sandbox.signed_client import CANCEL, INQUIRE, PAY, VISA, Gateway, payment, public_text

pytestmark = pytest.mark.anyio
SLOW = Scenario(slow_ms=1)


async def refusal(gateway: Gateway, path: str, body: bytes) -> dict[str, Any]:
    async with gateway.session.post(f"{gateway.url}/_sandbox/{path}", data=body) as answer:
        assert answer.status == 400
        refused: dict[str, Any] = await answer.json()
    return refused


async def test_the_sandbox_tells_that_it_is_up(gateway: Gateway) -> None:
    async with gateway.session.get(f"{gateway.url}/_sandbox/health") as answer:
        assert answer.status == 200
        assert await answer.json() == {"status": "ok"}


async def test_the_ledger_has_one_row_per_decision_in_order(gateway: Gateway) -> None:
    first = await gateway.pay("pr-1")
    await gateway.pay("pr-2", paymentAmount={"currency": "EUR", "value": "9990005"})
    await gateway.pay("pr-3")
    await gateway.cancel("pr-3")
    await gateway.pay("pr-1")
    rows = await gateway.ledger()
    assert [(row["paymentRequestId"], row["status"]) for row in rows] == [
        ("pr-1", "AUTHORISED"),
        ("pr-2", "DECLINED"),
        ("pr-3", "CANCELLED"),
    ]
    assert rows[0] == {
        "paymentRequestId": "pr-1",
        "paymentId": first.json["paymentId"],
        "amount": {"currency": "EUR", "value": "2590"},
        "status": "AUTHORISED",
        "captures": [],
        "refunds": [],
    }


async def test_received_requests_are_shown_by_payment_as_they_came(gateway: Gateway) -> None:
    await gateway.arm("pr-1", "RATE_LIMIT")
    await gateway.pay("pr-1")
    paid = await gateway.pay("pr-1")
    await gateway.pay("pr-2")
    await gateway.inquire("pr-1")
    await gateway.call(CANCEL, {"paymentId": paid.json["paymentId"]})
    await gateway.call(INQUIRE, {"paymentId": "unknown"})
    received = await gateway.requests("pr-1")
    assert [item["operation"] for item in received] == ["pay", "pay", "inquiryPayment", "cancel"]
    assert received[0]["body"] == payment("pr-1")
    async with gateway.session.get(f"{gateway.url}/_sandbox/requests") as answer:
        assert len(await answer.json()) == 6


async def test_a_refused_request_is_shown_too(gateway: Gateway) -> None:
    await gateway.call(PAY, {"paymentRequestId": "pr-1", "paymentAmount": 7})
    assert await gateway.requests("pr-1") == [
        {"operation": "pay", "body": {"paymentRequestId": "pr-1", "paymentAmount": 7}}
    ]


async def test_a_request_with_odd_ids_is_remembered_without_them(gateway: Gateway) -> None:
    await gateway.call(INQUIRE, {"paymentRequestId": 7, "paymentId": ["x"]})
    assert await gateway.requests("7") == []


@pytest.mark.parametrize("remote", ["192.0.2.7", "2001:db8::1", "", None])
async def test_received_requests_are_not_shown_to_other_machines(remote: str | None) -> None:
    class Elsewhere:
        host = "127.0.0.1"

        def __init__(self) -> None:
            self.remote = remote
            self.query: dict[str, str] = {}

    control = Control(Book(), Clients(None), "")
    answer = await control.requests(Elsewhere())  # type: ignore[arg-type] # these fields are all that is read
    assert answer.status == 403
    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body)["error"] == "loopback_only"


@pytest.mark.parametrize(
    ("host", "status"),
    [("evil.example", 403), ("evil.example:80", 403), ("localhost:9", 200), ("127.0.0.1", 200), ("[::1]:9", 200)],
)
async def test_received_requests_are_not_shown_under_another_name(gateway: Gateway, host: str, status: int) -> None:
    async with gateway.session.get(f"{gateway.url}/_sandbox/requests", headers={"Host": host}) as answer:
        assert answer.status == status


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"paymentRequestId":7,"scenario":"RESET"}'])
async def test_a_scenario_without_a_request_id_is_refused(gateway: Gateway, body: bytes) -> None:
    assert (await refusal(gateway, "scenarios", body))["error"] == "invalid_payment_request_id"


def test_armed_scenarios_do_not_pile_up() -> None:
    book = Book()
    for i in range(ARMED_KEPT + 1):
        book.arm(f"pr-{i}", SLOW)
    assert book.disarm("pr-0") == HONEST
    assert book.disarm("pr-1") == SLOW


async def test_a_scenario_that_is_no_text_is_refused(gateway: Gateway) -> None:
    body = await refusal(gateway, "scenarios", b'{"paymentRequestId":"pr-1","scenario":["RESET"]}')
    assert body["error"] == "invalid_scenario"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"nonsense", "invalid_client_id"),
        (b"{}", "invalid_client_id"),
        (b'{"clientId":"","publicKey":"AAAA"}', "invalid_client_id"),
        (b'{"clientId":"a b","publicKey":"AAAA"}', "invalid_client_id"),
        (b'{"clientId":"5X1"}', "invalid_public_key"),
        (b'{"clientId":"5X1","publicKey":7}', "invalid_public_key"),
        (b'{"clientId":"5X1","publicKey":"AAAA"}', "invalid_public_key"),
        (b'{"clientId":"5X1","publicKey":"AAAA","keyVersion":2}', "invalid_key_version"),
        (b'{"clientId":"5X1","publicKey":"AAAA","keyVersion":"new"}', "invalid_key_version"),
    ],
)
async def test_an_unusable_registration_is_refused(gateway: Gateway, body: bytes, error: str) -> None:
    assert (await refusal(gateway, "clients", body))["error"] == error


async def test_registering_again_replaces_the_key(gateway: Gateway) -> None:
    fresh = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    renewed = await Gateway(gateway.url, fresh, gateway.client_id, gateway.session).register()
    assert (await renewed.pay("pr-1")).result == ("S", "SUCCESS")
    assert (await gateway.pay("pr-2")).result == ("F", "INVALID_SIGNATURE")


async def test_clients_and_gateway_key_outlive_the_process_and_nothing_else_does(
    start: Start, tmp_path: Path, merchant_key: rsa.RSAPrivateKey
) -> None:
    kept = {"state_directory": tmp_path / "state", "gateway_key_file": tmp_path / "state" / "gateway.pem"}
    first = await start(**kept)
    await first.pay("pr-1")
    second = await start(**kept)
    again = Gateway(second.url, merchant_key, first.client_id, first.session, first.gateway_key)
    assert (await again.inquire("pr-1")).result == ("F", "ORDER_NOT_EXIST")
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["clients.json", "gateway.pem"]
    assert (tmp_path / "state" / "gateway.pem").stat().st_mode & 0o777 == 0o600
    clients = (tmp_path / "state" / "clients.json").read_text(encoding="utf-8")
    assert json.loads(clients) == {first.client_id: {"1": public_text(merchant_key)}}
    assert VISA not in clients


async def test_a_folder_of_before_there_were_versions_is_read(
    start: Start, tmp_path: Path, merchant_key: rsa.RSAPrivateKey
) -> None:
    (tmp_path / "clients.json").write_text(json.dumps({"SANDBOX_OLD": public_text(merchant_key)}))
    running = await start(state_directory=tmp_path)
    old = Gateway(running.url, merchant_key, "SANDBOX_OLD", running.session, running.gateway_key)
    assert (await old.inquire("pr-1")).result == ("F", "ORDER_NOT_EXIST")

"""What the client puts on the wire, and what it refuses to."""

import pytest

from tests.vault.gateway.calls import CANARY, NOW_MS, SENT, assert_holds_no_data, client_for, pay
from tests.vault.gateway.doubles import CLIENT_ID, PAY_PATH, Reply, answering, credentials, raw_gateway, rsa_key
from vault.gateway.client import GatewayClient
from vault.gateway.errors import NotSent, NotSentReason
from vault.gateway.limits import Deadline
from vault.gateway.operations import Operation
from vault.gateway.signing import verify

pytestmark = pytest.mark.anyio


async def test_exactly_the_signed_bytes_are_sent() -> None:
    async with raw_gateway() as gateway, client_for(gateway.url) as client:
        await pay(client)
    [request] = gateway.requests
    assert (request.target, request.body) == (PAY_PATH, SENT)
    message = f"POST {PAY_PATH}\n{CLIENT_ID}.{NOW_MS}.".encode() + SENT
    verify({"1": rsa_key("merchant").public_key()}, request.headers["signature"], message)


async def test_it_carries_the_gateways_headers_and_no_more_than_needed() -> None:
    async with raw_gateway() as gateway, client_for(gateway.url) as client:
        await pay(client)
    [request] = gateway.requests
    assert {name: value for name, value in request.headers.items() if name != "signature"} == {
        "host": f"127.0.0.1:{gateway.port}",
        "user-agent": "cardvault",
        "accept": "*/*",
        "accept-encoding": "identity",
        "content-type": "application/json; charset=UTF-8",
        "content-length": str(len(SENT)),
        "client-id": CLIENT_ID,
        "request-time": str(NOW_MS),
    }


async def test_the_time_is_the_present_in_milliseconds_unless_told_otherwise() -> None:
    async with raw_gateway() as gateway, GatewayClient(gateway.url, allow_plain_http=True) as client:
        await pay(client)
    assert len(gateway.requests[0].headers["request-time"]) == 13


async def test_a_live_client_calls_and_signs_the_live_path() -> None:
    path, client_id = "/ams/api/v1/payments/cancel", "5YLIVE0001"
    reply = Reply(client_id=client_id, signature=Reply().signed_for(path, client_id=client_id))
    async with raw_gateway(answering(reply.render())) as gateway, client_for(gateway.url) as client:
        await client.call(credentials(client_id), Operation.CANCEL, {}, Deadline.after(30))
    [request] = gateway.requests
    assert (request.target, request.body) == (path, b"{}")
    message = f"POST {path}\n{client_id}.{NOW_MS}.{{}}".encode()
    verify({"1": rsa_key("merchant").public_key()}, request.headers["signature"], message)


@pytest.mark.parametrize("value", [float("nan"), CANARY + "\ud800", object()], ids=["nan", "surrogate", "object"])
async def test_a_body_that_json_cannot_say_is_neither_sent_nor_kept(value: object) -> None:
    async with raw_gateway() as gateway, client_for(gateway.url) as client:
        with pytest.raises(NotSent) as caught:
            await client.call(credentials(), Operation.PAY, {"a": CANARY, "b": value}, Deadline.after(30))
    assert caught.value.reason is NotSentReason.NOT_ENCODABLE
    assert_holds_no_data(caught.value)
    assert gateway.connections == []


async def test_a_proxy_in_the_environment_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_gateway() as proxy, raw_gateway() as gateway:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.upper(), proxy.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        async with client_for(gateway.url) as client:
            await pay(client)
        assert proxy.connections == []
        assert len(gateway.requests) == 1


async def test_a_cookie_is_not_sent_back() -> None:
    script = answering(Reply(extra=("set-cookie: a=b",)).render())
    async with raw_gateway(script) as gateway, client_for(gateway.url) as client:
        await pay(client)
        await pay(client)
    assert ["cookie" in request.headers for request in gateway.requests] == [False, False]


async def test_a_client_that_is_not_open_sends_nothing() -> None:
    async with raw_gateway() as gateway:
        client = client_for(gateway.url)
        with pytest.raises(RuntimeError, match="not open"):
            await pay(client)
        async with client:
            pass
        with pytest.raises(RuntimeError, match="not open"):
            await pay(client)
        await client.__aexit__(None, None, None)
        assert gateway.connections == []


def test_a_plain_http_gateway_needs_permission() -> None:
    with pytest.raises(ValueError, match="https"):
        GatewayClient("http://127.0.0.1:1")

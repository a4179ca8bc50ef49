"""How connections are shared and lost, and that a request leaves at most once."""

import asyncio
import socket
from ipaddress import ip_network
from typing import cast

import aiohttp
import pytest
from aiohttp.abc import AbstractStreamWriter

from tests.vault.gateway.calls import client_for, not_sent, pay, unknown
from tests.vault.gateway.doubles import Reply, Request, answering, raw_gateway
from vault import metrics
from vault.gateway import client as client_module
from vault.gateway.client import _OneShotBody
from vault.gateway.endpoint import Connections
from vault.gateway.errors import NotSent, NotSentReason, OutcomeUnknown, UnknownReason
from vault.gateway.limits import Deadline

pytestmark = pytest.mark.anyio


async def test_one_connection_serves_many_calls_in_a_row() -> None:
    async with raw_gateway() as gateway, client_for(gateway.url) as client:
        for _ in range(3):
            await pay(client)
    assert (len(gateway.connections), len(gateway.requests)) == (1, 3)


async def test_no_more_connections_are_opened_than_allowed() -> None:
    async with raw_gateway() as gateway, client_for(gateway.url, connections=Connections(2)) as client:
        await asyncio.gather(*(pay(client) for _ in range(10)))
    assert (len(gateway.connections), len(gateway.requests)) == (2, 10)


@pytest.mark.parametrize(
    ("networks", "reached"),
    [((), True), (("127.0.0.0/8",), True), (("10.0.0.0/8", "::1/128"), False)],
    ids=["any", "its own", "others"],
)
async def test_no_connection_leaves_the_gateways_networks(networks: tuple[str, ...], *, reached: bool) -> None:
    """NET-2: the address counts, not the name; what was not connected to was not sent to."""
    connections = Connections(networks=[ip_network(each) for each in networks])
    async with raw_gateway() as gateway, client_for(gateway.url, connections=connections) as client:
        if reached:
            await pay(client)
        else:
            assert await not_sent(client) is NotSentReason.CONNECT_FAILED
    assert len(gateway.requests) == int(reached)


async def test_a_call_after_a_closed_connection_opens_a_new_one() -> None:
    async with raw_gateway(answering(Reply().render(), close=True)) as gateway, client_for(gateway.url) as client:
        await pay(client)
        await asyncio.sleep(0.05)
        await pay(client)
    assert (len(gateway.connections), len(gateway.requests)) == (2, 2)


async def test_a_request_on_a_kept_connection_that_is_dropped_is_not_sent_again() -> None:
    async def drop_the_second(_request: Request, writer: asyncio.StreamWriter) -> None:
        if len(gateway.requests) == 2:
            writer.transport.abort()
        else:
            writer.write(Reply().render())

    async with raw_gateway(drop_the_second) as gateway, client_for(gateway.url) as client:
        await pay(client)
        assert await unknown(client) is UnknownReason.CONNECTION_LOST
        await asyncio.sleep(0.05)
        assert (len(gateway.connections), len(gateway.requests)) == (1, 2)


async def test_an_answer_that_was_there_before_the_request_is_not_taken_for_its_answer() -> None:
    """A stale answer carries a valid signature: the signed string does not name the request."""
    twice = answering(Reply().render(), Reply().render(), pause=0.02)
    async with raw_gateway(twice) as gateway, client_for(gateway.url) as client:
        await pay(client)
        await asyncio.sleep(0.1)
        assert await not_sent(client) is NotSentReason.CONNECTION_LOST
        assert len(gateway.requests) == 1
        await pay(client)
        assert len(gateway.requests) == 2


async def test_an_answer_that_comes_before_the_body_was_handed_over_is_not_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def write_unclaimed(body: _OneShotBody, writer: AbstractStreamWriter) -> None:
        await writer.write(body._raw)

    monkeypatch.setattr(_OneShotBody, "write", write_unclaimed)
    async with raw_gateway() as gateway, client_for(gateway.url) as client:
        assert await not_sent(client) is NotSentReason.CONNECTION_LOST


async def test_a_call_cancelled_just_after_its_answer_leaves_the_connection_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    received = client_module._received

    async def received_and_cancelled(response: aiohttp.ClientResponse) -> None:
        await received(response)
        raise asyncio.CancelledError

    async with raw_gateway() as gateway, client_for(gateway.url) as client:
        with monkeypatch.context() as patched:
            patched.setattr(client_module, "_received", received_and_cancelled)
            with pytest.raises(asyncio.CancelledError):
                await pay(client)
        await pay(client)
    assert (len(gateway.connections), len(gateway.requests)) == (1, 2)


async def test_a_cancelled_call_counts_as_one_of_unknown_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(outcome: str, reason: str) -> float:
        labels = {"operation": "pay", "outcome": outcome, "reason": reason}
        return metrics.OWN.get_sample_value("cardvault_gateway_calls_total", labels) or 0.0

    async def cancelled(_response: aiohttp.ClientResponse) -> None:
        raise asyncio.CancelledError

    before = counted("answered", ""), counted("unknown", "cancelled")
    async with raw_gateway() as gateway, client_for(gateway.url) as client:
        monkeypatch.setattr(client_module, "_received", cancelled)
        with pytest.raises(asyncio.CancelledError):
            await pay(client)
    assert (counted("answered", ""), counted("unknown", "cancelled")) == (before[0], before[1] + 1)


async def test_a_loop_in_debug_mode_logs_nothing_of_the_body(caplog: pytest.LogCaptureFixture) -> None:
    """T-36: the loop then writes a line for every step that it takes; a fixture searches them all."""

    async def reset(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0
    async with raw_gateway(reset) as gateway, client_for(gateway.url) as client:
        assert await unknown(client) is UnknownReason.CONNECTION_LOST
    assert any(record.name == "asyncio" for record in caplog.records)


async def test_a_port_that_nobody_listens_on_means_not_sent() -> None:
    async with raw_gateway() as gateway:
        url = gateway.url
    async with client_for(url) as client:
        assert await not_sent(client) is NotSentReason.CONNECT_FAILED


async def test_a_name_that_does_not_resolve_means_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nowhere(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "no such host")

    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", nowhere)
    async with client_for("http://gateway.invalid:1") as client:
        assert await not_sent(client) is NotSentReason.NAME_NOT_RESOLVED


class Writer:
    """Just what a body sees of the library's writer."""

    def __init__(self, transport: object) -> None:
        self.transport = transport
        self.written: list[bytes] = []

    async def write(self, chunk: bytes) -> None:
        self.written.append(chunk)

    async def drain(self) -> None:
        pass


class Transport:
    """Just what a body sees of a transport."""

    def __init__(self, *, closing: bool = False) -> None:
        self.closing = closing
        self.aborted = False

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.aborted = True


async def write(body: _OneShotBody, writer: Writer) -> None:
    await body.write(cast("AbstractStreamWriter", writer))


class TestBody:
    """The rule itself, on whatever version of the library and in whatever order it calls."""

    def body(self, *, seconds: float = 30) -> _OneShotBody:
        return _OneShotBody(b"{}", Deadline.after(seconds), patience=1)

    async def test_it_is_written_once(self) -> None:
        body, writer = self.body(), Writer(Transport())
        with body:
            await write(body, writer)
            with pytest.raises(NotSent):
                await write(body, writer)
        assert writer.written == [b"{}"]
        assert isinstance(body.verdict(OSError()), OutcomeUnknown)

    async def test_it_is_not_written_after_its_deadline(self) -> None:
        body, writer = self.body(seconds=-1), Writer(Transport())
        with body, pytest.raises(NotSent) as caught:
            await write(body, writer)
        assert caught.value.reason is NotSentReason.DEADLINE_PASSED
        assert writer.written == []

    async def test_it_is_not_written_after_the_call_has_ended(self) -> None:
        body, writer = self.body(), Writer(Transport())
        with body:
            pass
        with pytest.raises(NotSent):
            await write(body, writer)
        assert writer.written == []
        assert isinstance(body.verdict(OSError()), NotSent)

    @pytest.mark.parametrize("transport", [None, Transport(closing=True)], ids=["gone", "closing"])
    async def test_a_connection_that_is_gone_gets_nothing_and_nothing_counts_as_sent(self, transport: object) -> None:
        body, writer = self.body(), Writer(transport)
        with body, pytest.raises(NotSent):
            await write(body, writer)
        assert writer.written == []
        verdict = body.verdict(OSError())
        assert isinstance(verdict, NotSent)
        assert verdict.reason is NotSentReason.CONNECTION_LOST

    @pytest.mark.parametrize(("answered", "aborted"), [(False, True), (True, False)])
    async def test_a_failed_call_cuts_its_connection_unless_others_may_use_it(
        self, *, answered: bool, aborted: bool
    ) -> None:
        async def fail() -> None:
            with body:
                await write(body, Writer(transport))
                if answered:
                    body.answered()
                raise RuntimeError

        body, transport = self.body(), Transport()
        with pytest.raises(RuntimeError):
            await fail()
        assert transport.aborted is aborted

    async def test_it_cannot_be_read_back(self) -> None:
        with pytest.raises(TypeError):
            await self.body().as_bytes()
        assert "{}" not in repr(self.body())

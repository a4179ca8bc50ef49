"""Stalls of every kind: what is not sent in time is never sent, what is not answered in time is unknown."""

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.vault.gateway.calls import BODY, BRIEF, client_for, not_sent, pay, unknown
from tests.vault.gateway.doubles import Reply, Request, Script, answering, credentials, raw_gateway
from vault.gateway.endpoint import Connections
from vault.gateway.errors import NotSentReason, OutcomeUnknown, UnknownReason
from vault.gateway.limits import Deadline, Timeouts
from vault.gateway.operations import Operation

pytestmark = pytest.mark.anyio

SENDER = Path(__file__).with_name("stopped_sender.py")


class Clock:
    """A clock that a test sets, or that jumps by itself after some readings."""

    def __init__(self, *, readings: int | None = None) -> None:
        self.now = 0.0
        self.readings = readings

    def __call__(self) -> float:
        if self.readings is not None:
            self.readings -= 1
            if self.readings < 0:
                self.now = 1000.0
        return self.now


def held_back(release: asyncio.Event) -> Script:
    async def script(_request: Request, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(Reply().render())

    return script


class TestDeadline:
    async def test_nothing_is_even_connected_once_it_has_passed(self) -> None:
        async with raw_gateway() as gateway, client_for(gateway.url) as client:
            assert await not_sent(client, deadline=Deadline.after(0)) is NotSentReason.DEADLINE_PASSED
        assert gateway.connections == []

    @pytest.mark.parametrize("kept", [False, True], ids=["new connection", "kept connection"])
    async def test_not_one_byte_is_written_when_it_passes_after_connecting(self, *, kept: bool) -> None:
        async with raw_gateway() as gateway, client_for(gateway.url) as client:
            if kept:
                await pay(client)
            before = gateway.received
            deadline = Deadline(100.0, Clock(readings=2))
            assert await not_sent(client, deadline=deadline) is NotSentReason.DEADLINE_PASSED
            await asyncio.sleep(0.05)
            assert len(gateway.connections) == 1
            assert gateway.received == before

    async def test_a_sender_that_waited_for_a_connection_past_it_sends_nothing(self) -> None:
        release, clock = asyncio.Event(), Clock()
        async with (
            raw_gateway(held_back(release)) as gateway,
            client_for(gateway.url, connections=Connections(1)) as client,
        ):
            first = asyncio.create_task(pay(client))
            await gateway.arrived.wait()
            second = asyncio.create_task(not_sent(client, deadline=Deadline.after(100, clock=clock)))
            await asyncio.sleep(0.05)
            clock.now = 101.0
            release.set()
            await first
            assert await second is NotSentReason.DEADLINE_PASSED
            await asyncio.sleep(0.05)
            assert len(gateway.requests) == 1
            assert gateway.received.count(b"POST") == 1

    async def test_it_ends_the_wait_for_a_connection(self) -> None:
        release, patient = asyncio.Event(), Timeouts(connect=3600, total=3600)
        async with (
            raw_gateway(held_back(release)) as gateway,
            client_for(gateway.url, connections=Connections(1), timeouts=patient) as client,
        ):
            first = asyncio.create_task(pay(client))
            await gateway.arrived.wait()
            await not_sent(client, deadline=Deadline.after(0.1))
            assert not first.done()
            release.set()
            await first
            assert len(gateway.requests) == 1

    async def test_a_sender_that_was_stopped_past_it_sends_nothing(self) -> None:
        """A process that is frozen (SIGSTOP, a paused machine) between connecting and writing wakes up too late."""
        release = asyncio.Event()
        async with raw_gateway(held_back(release)) as gateway:
            sender = await asyncio.create_subprocess_exec(
                sys.executable, str(SENDER), gateway.url, stdout=asyncio.subprocess.PIPE
            )
            await gateway.arrived.wait()
            os.kill(sender.pid, signal.SIGSTOP)
            await asyncio.sleep(1.2)
            release.set()
            await asyncio.sleep(0.1)
            os.kill(sender.pid, signal.SIGCONT)
            output, _ = await sender.communicate()
        assert output.split() == [b"first", b"signature_mismatch", b"second", b"deadline_passed"]
        assert len(gateway.requests) == 1
        assert gateway.received.count(b"POST") == 1


class TestPhases:
    async def test_a_wait_for_a_free_connection_is_limited(self) -> None:
        release = asyncio.Event()
        async with (
            raw_gateway(held_back(release)) as gateway,
            client_for(gateway.url, connections=Connections(1), timeouts=Timeouts(connect=0.1, tls=0.1)) as client,
        ):
            first = asyncio.create_task(pay(client))
            await gateway.arrived.wait()
            assert await not_sent(client) is NotSentReason.CONNECT_TIMEOUT
            release.set()
            await first

    @pytest.mark.parametrize(
        "pieces",
        [(), (b"HTTP/1.1 200 OK\r\n",), (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{",)],
        ids=["before the answer", "in the headers", "in the body"],
    )
    async def test_a_gateway_that_falls_silent_is_an_unknown_outcome(self, pieces: tuple[bytes, ...]) -> None:
        async with raw_gateway(answering(*pieces)) as gateway, client_for(gateway.url, timeouts=BRIEF) as client:
            assert await unknown(client) is UnknownReason.TIMEOUT

    async def test_a_gateway_that_is_never_quite_silent_is_limited_too(self) -> None:
        drip = answering(*[bytes([byte]) for byte in Reply().render()], pause=0.05)
        async with raw_gateway(drip) as gateway, client_for(gateway.url, timeouts=Timeouts(total=0.5)) as client:
            assert await unknown(client) is UnknownReason.TIMEOUT

    async def test_a_stopped_gateway_is_an_unknown_outcome(self) -> None:
        listen = "import socket,signal; s=socket.create_server(('127.0.0.1',0)); print(s.getsockname()[1],flush=True); signal.pause()"
        gateway = await asyncio.create_subprocess_exec(sys.executable, "-c", listen, stdout=asyncio.subprocess.PIPE)
        assert gateway.stdout is not None
        port = int(await gateway.stdout.readline())
        os.kill(gateway.pid, signal.SIGSTOP)
        try:
            async with client_for(f"http://127.0.0.1:{port}", timeouts=BRIEF) as client:
                assert await unknown(client) is UnknownReason.TIMEOUT
        finally:
            os.kill(gateway.pid, signal.SIGKILL)
            await gateway.communicate()

    async def test_what_the_network_has_not_taken_in_time_is_not_sent_later(self) -> None:
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        huge = {**BODY, "filler": "x" * 30_000_000}
        received = 0
        with listener:
            async with client_for(f"http://127.0.0.1:{listener.getsockname()[1]}", timeouts=BRIEF) as client:
                with pytest.raises(OutcomeUnknown) as caught:
                    await client.call(credentials(), Operation.PAY, huge, Deadline.after(30))
                assert caught.value.reason is UnknownReason.TIMEOUT
                peer, _ = await loop.sock_accept(listener)
                with peer, suppress(ConnectionResetError):
                    while chunk := await loop.sock_recv(peer, 1_000_000):
                        received += len(chunk)
        assert 0 < received < 30_000_000

    async def test_a_cancelled_call_is_not_sent_later(self) -> None:
        release = asyncio.Event()
        async with (
            raw_gateway(held_back(release)) as gateway,
            client_for(gateway.url, connections=Connections(1)) as client,
        ):
            first = asyncio.create_task(pay(client))
            await gateway.arrived.wait()
            second = asyncio.create_task(pay(client))
            await asyncio.sleep(0.05)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            release.set()
            await first
            await asyncio.sleep(0.05)
            assert len(gateway.requests) == 1

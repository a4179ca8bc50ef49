"""NET-2: a gateway that cannot prove who it is gets nothing, and there is no switch for that."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.serving import conversing
from tests.vault.gateway.calls import BRIEF, client_for, not_sent, pay, unknown
from tests.vault.gateway.certificates import DAY, NOW, Authority, self_signed_server
from tests.vault.gateway.doubles import Request, raw_gateway
from vault.gateway.errors import NotSentReason, UnknownReason
from vault.gateway.limits import Deadline

pytestmark = pytest.mark.anyio

Maker = Callable[[Authority, Path], ssl.SSLContext]


@pytest.fixture
def authority() -> Authority:
    return Authority.new()


async def test_a_gateway_of_a_trusted_authority_is_believed(authority: Authority, tmp_path: Path) -> None:
    trusted = authority.trust_file(tmp_path)
    async with (
        raw_gateway(tls=authority.server(tmp_path)) as gateway,
        client_for(gateway.url, ca_file=trusted) as client,
    ):
        await pay(client)
        await pay(client)
    assert (len(gateway.connections), len(gateway.requests)) == (1, 2)


async def test_an_authority_that_was_not_given_is_not_trusted(authority: Authority, tmp_path: Path) -> None:
    async with raw_gateway(tls=authority.server(tmp_path)) as gateway, client_for(gateway.url) as client:
        assert await not_sent(client) is NotSentReason.TLS_FAILED
    assert gateway.received == b""


@pytest.mark.parametrize(
    "make",
    [
        lambda _authority, folder: self_signed_server(folder),
        lambda _authority, folder: Authority.new().server(folder),
        lambda authority, folder: authority.server(folder, host="127.0.0.2"),
        lambda authority, folder: authority.server(folder, until=NOW - DAY),
    ],
    ids=["self-signed", "another authority", "wrong host", "expired"],
)
async def test_a_gateway_that_cannot_prove_who_it_is_gets_nothing(
    make: Maker, authority: Authority, tmp_path: Path
) -> None:
    trusted = authority.trust_file(tmp_path)
    async with (
        raw_gateway(tls=make(authority, tmp_path)) as gateway,
        client_for(gateway.url, ca_file=trusted) as client,
    ):
        assert await not_sent(client) is NotSentReason.TLS_FAILED
    assert gateway.received == b""


async def test_a_server_that_does_not_speak_tls_gets_nothing(authority: Authority, tmp_path: Path) -> None:
    async def banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        heard.append(await reader.read())
        over.set()

    heard: list[bytes] = []
    over = asyncio.Event()
    async with (
        conversing(banner) as port,
        client_for(f"https://127.0.0.1:{port}", ca_file=authority.trust_file(tmp_path)) as client,
    ):
        assert await not_sent(client) is NotSentReason.TLS_FAILED
        await over.wait()
    assert b"POST" not in b"".join(heard)


@asynccontextmanager
async def relay(port: int, opened: asyncio.Event) -> AsyncIterator[str]:
    """Accept at once, but pass bytes on only once `opened` is set: a handshake that hangs."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await opened.wait()
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer), return_exceptions=True)
        finally:
            far_writer.transport.abort()

    async with conversing(serve) as near:
        yield f"https://127.0.0.1:{near}"
        opened.set()
        await asyncio.sleep(0.05)


async def test_a_handshake_that_hangs_is_limited(authority: Authority, tmp_path: Path) -> None:
    opened = asyncio.Event()
    async with (
        raw_gateway(tls=authority.server(tmp_path)) as gateway,
        relay(gateway.port, opened) as url,
        client_for(url, ca_file=authority.trust_file(tmp_path), timeouts=BRIEF) as client,
    ):
        assert await not_sent(client) is NotSentReason.CONNECT_TIMEOUT
    assert gateway.received == b""


async def test_a_handshake_that_ends_after_the_deadline_is_followed_by_nothing(
    authority: Authority, tmp_path: Path
) -> None:
    opened, now = asyncio.Event(), [0.0]
    async with (
        raw_gateway(tls=authority.server(tmp_path)) as gateway,
        relay(gateway.port, opened) as url,
        client_for(url, ca_file=authority.trust_file(tmp_path)) as client,
    ):
        deadline = Deadline.after(100, clock=lambda: now[0])
        call = asyncio.create_task(not_sent(client, deadline=deadline))
        await asyncio.sleep(0.1)
        now[0] = 101.0
        opened.set()
        assert await call is NotSentReason.DEADLINE_PASSED
        await asyncio.sleep(0.05)
        assert len(gateway.connections) == 1
        assert gateway.received == b""


async def test_a_connection_cut_after_the_request_is_an_unknown_outcome(authority: Authority, tmp_path: Path) -> None:
    async def cut(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    trusted = authority.trust_file(tmp_path)
    async with (
        raw_gateway(cut, tls=authority.server(tmp_path)) as gateway,
        client_for(gateway.url, ca_file=trusted) as client,
    ):
        assert await unknown(client) is UnknownReason.CONNECTION_LOST
    assert len(gateway.requests) == 1

"""Connections as the server takes them: slow ones, one too many, and over TLS (NET-1)."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from keys.certificates import read
from ops import protocol
from ops.protocol import ServerConfig
from tests.installation import listening, secured
from tests.vault.gateway.certificates import Authority
from vault.tls import server_context

pytestmark = pytest.mark.anyio
_GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def _fingerprint(scope: Any, _receive: object, send: Any) -> None:
    """Answer with the certificate that the caller showed."""
    body = (scope["state"]["client_certificate"] or b"").hex().encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(context: ssl.SSLContext | None = None, *, most: int = 100) -> AsyncIterator[int]:
    factory = (lambda *_: context) if context else None
    config = ServerConfig(
        _fingerprint, max_connections=most, ssl_context_factory=factory, lifespan="off", log_config=None
    )
    async with listening(config) as port:
        yield port


@pytest.fixture
def authority() -> Authority:
    return Authority.new()


def caller(folder: Path, authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=authority.trust_file(folder))
    return context


async def answer(port: int, tls: ssl.SSLContext | None = None, sent: bytes = _GET) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        writer.write(sent)
        return await asyncio.wait_for(reader.read(10_000), 10)
    finally:
        writer.close()


@pytest.mark.parametrize("sent", [b"", b"GET / HTT", _GET + b"GET /"], ids=["nothing", "half", "half of the second"])
async def test_who_takes_too_long_over_a_head_is_left(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.05)
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        answered = await asyncio.wait_for(reader.read(), 10)
        writer.close()
    assert answered.count(b"200 OK") == sent.count(_GET)


async def test_one_connection_too_many_is_told_to_come_again() -> None:
    async with serving(most=1) as port:
        first, held = await asyncio.open_connection("127.0.0.1", port)
        held.write(_GET)
        assert b"200 OK" in await first.read(10_000)
        refused = await answer(port)
        held.close()
        await held.wait_closed()
        assert b" 503 " in refused.splitlines()[0]
        assert b"retry-after: 1" in refused
        assert refused.endswith(b"}")
        assert refused.count(b"HTTP/1.1") == 1


async def test_who_never_begins_the_handshake_is_left(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.05)

    def held() -> bytes:
        with asyncio.Runner(loop_factory=protocol.PatientLoop) as runner:
            return runner.run(silent())

    async def silent() -> bytes:
        async with serving(server_context(secured(tmp_path, authority))) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                return await asyncio.wait_for(reader.read(), 10)
            finally:
                writer.close()

    assert await asyncio.to_thread(held) == b""


async def test_only_new_versions_and_good_suites_are_spoken(tmp_path: Path, authority: Authority) -> None:
    async with serving(server_context(secured(tmp_path, authority))) as port:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            modern = caller(tmp_path, authority)
            modern.minimum_version = modern.maximum_version = version
            assert b"200 OK" in await answer(port, modern)
        weak = caller(tmp_path, authority)
        weak.maximum_version = ssl.TLSVersion.TLSv1_2
        weak.set_ciphers("ECDHE-ECDSA-AES128-SHA256:AES128-SHA:@SECLEVEL=0")
        with pytest.raises(OSError):  # noqa: PT011 - an alert, or a connection that ends
            await answer(port, weak)
        with suppress(ConnectionError):
            assert b"HTTP" not in await answer(port)


async def test_a_certificate_that_was_verified_is_told_and_no_other_gets_in(
    tmp_path: Path, authority: Authority
) -> None:
    trusted = secured(tmp_path, authority, tls_client_ca_file=authority.trust_file(tmp_path))
    identity = authority.identity(tmp_path, "client")
    foreign = Authority.new().identity(tmp_path, "foreign")
    async with serving(server_context(trusted)) as port:
        known, unknown = caller(tmp_path, authority), caller(tmp_path, authority)
        known.load_cert_chain(identity)
        assert (await answer(port, known)).endswith(read(identity).fingerprint.hex().encode())
        assert (await answer(port, caller(tmp_path, authority))).endswith(b"\r\n\r\n")
        unknown.maximum_version = ssl.TLSVersion.TLSv1_2
        unknown.load_cert_chain(foreign)
        with pytest.raises(OSError):  # noqa: PT011 - an alert, or a connection that ends, as the moment wants it
            await answer(port, unknown)

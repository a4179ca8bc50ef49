"""A gateway over raw sockets that behaves exactly as a test tells it, and the keys that go with it.

Signs on its own, without the code under test, so that both check each other.
"""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import quote

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.serving import conversing
from vault.gateway.signing import GatewayCredentials

CLIENT_ID = "SANDBOX_5YTESTCLIENT0001"
PAY_PATH = "/ams/sandbox/api/v1/payments/pay"
ANSWERED_AT = "2026-01-01T00:00:01Z"
SUCCESS = b'{"result":{"resultCode":"SUCCESS","resultStatus":"S","resultMessage":"success."}}'


@cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Make one key per name and process: generating them is slow."""
    assert name
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def credentials(client_id: str = CLIENT_ID) -> GatewayCredentials:
    return GatewayCredentials(
        client_id=client_id,
        key_version="1",
        private_key=rsa_key("merchant"),
        public_keys={"1": rsa_key("gateway").public_key()},
    )


def signature_bytes(key: rsa.RSAPrivateKey, message: bytes) -> bytes:
    return key.sign(message, padding.PKCS1v15(), hashes.SHA256())


def signature_text(key: rsa.RSAPrivateKey, message: bytes) -> str:
    return quote(base64.b64encode(signature_bytes(key, message)).decode(), safe="")


def private_der(key: rsa.RSAPrivateKey, layout: serialization.PrivateFormat) -> bytes:
    return key.private_bytes(serialization.Encoding.DER, layout, serialization.NoEncryption())


@dataclass(frozen=True)
class Request:
    """One request as it came over the wire."""

    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """One answer; None leaves a header out, a tuple sends it as often as it has members."""

    body: bytes = SUCCESS
    status: str = "200 OK"
    client_id: str | tuple[str, ...] | None = CLIENT_ID
    response_time: str | None = ANSWERED_AT
    signature: str | None = "right"
    extra: tuple[str, ...] = ()

    def signed_for(self, path: str, *, client_id: str = CLIENT_ID) -> str:
        message = f"POST {path}\n{client_id}.{self.response_time}.".encode() + self.body
        return f"algorithm=RSA256,keyVersion=1,signature={signature_text(rsa_key('gateway'), message)}"

    def render(self, path: str = PAY_PATH) -> bytes:
        signature = self.signed_for(path) if self.signature == "right" else self.signature
        lines = [f"HTTP/1.1 {self.status}", f"content-length: {len(self.body)}", *self.extra]
        ids = self.client_id if isinstance(self.client_id, tuple) else (self.client_id,)
        headers = [
            *(("client-id", value) for value in ids),
            ("response-time", self.response_time),
            ("signature", signature),
        ]
        lines += [f"{name}: {value}" for name, value in headers if value is not None]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


Script = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


async def answer_well(_request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(Reply().render())


def answering(*pieces: bytes, pause: float = 0.0, close: bool = False) -> Script:
    """Answer every request with these bytes, slowly if wanted."""

    async def script(_request: Request, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
        if close:
            writer.close()

    return script


@dataclass
class RawGateway:
    """What arrived: connections, every byte of each, and the requests that were complete."""

    script: Script = answer_well
    url: str = ""
    port: int = 0
    connections: list[bytearray] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def received(self) -> bytes:
        return b"".join(self.connections)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen = bytearray()
        self.connections.append(seen)
        try:
            while not writer.is_closing():
                request = await self._request(reader, seen)
                self.requests.append(request)
                self.arrived.set()
                await self.script(request, writer)
        except (OSError, EOFError):
            pass  # the client has left, or never began to speak TLS
        finally:
            writer.transport.abort()

    async def _request(self, reader: asyncio.StreamReader, seen: bytearray) -> Request:
        head = await _keeping(seen, reader.readuntil(b"\r\n\r\n"))
        first, *lines = head.decode().removesuffix("\r\n\r\n").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await _keeping(seen, reader.readexactly(int(headers["content-length"])))
        return Request(first.split(" ")[1], headers, body)


async def _keeping(seen: bytearray, read: Awaitable[bytes]) -> bytes:
    try:
        data = await read
    except asyncio.IncompleteReadError as error:
        seen += error.partial
        raise
    seen += data
    return data


@asynccontextmanager
async def raw_gateway(script: Script = answer_well, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawGateway]:
    gateway = RawGateway(script)
    async with conversing(gateway.serve, tls) as port:
        gateway.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        gateway.port = port
        yield gateway

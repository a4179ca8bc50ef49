from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import sys
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from ops.sandbox.config import ProductionRefused, SandboxConfig, refuse_production
from ops.sandbox.server import Sandbox, serve
from tests.ops.sandbox.conftest import Start
from tests.ops.sandbox.signed_client import Gateway

pytestmark = pytest.mark.anyio
PROGRAM = """
import asyncio
from ops.sandbox.config import SandboxConfig
from ops.sandbox.server import serve
asyncio.run(serve(SandboxConfig(), lambda url: print(url, flush=True)))
"""
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", ["production", "PRODUCTION", " production "])
def test_production_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProductionRefused):
        refuse_production({"CARDVAULT_ENVIRONMENT": name})
    monkeypatch.setenv("CARDVAULT_ENVIRONMENT", name)
    with pytest.raises(ProductionRefused):
        Sandbox(SandboxConfig())


@pytest.mark.parametrize("environ", [{}, {"CARDVAULT_ENVIRONMENT": "development"}])
def test_other_environments_are_welcome(environ: dict[str, str]) -> None:
    refuse_production(environ)


async def test_a_process_of_its_own_stops_at_a_signal() -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CARDVAULT_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", PROGRAM,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT, env=environ,
    )  # fmt: skip
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    async with aiohttp.ClientSession() as session, session.get(f"{url}/_sandbox/health") as answer:
        assert answer.status == 200
    process.send_signal(signal.SIGTERM)
    _, errors = await process.communicate()
    assert process.returncode == 0
    assert errors == b""


async def test_serving_ends_when_cancelled(gateway_key_file: Path) -> None:
    ready: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.create_task(serve(SandboxConfig(gateway_key_file=gateway_key_file), ready.put_nowait))
    url = await ready.get()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"{url}/_sandbox/health")


async def test_a_taken_port_is_an_error_that_leaves_nothing_behind(gateway_key_file: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = SandboxConfig(port=taken.getsockname()[1], gateway_key_file=gateway_key_file)
        with pytest.raises(OSError, match="address"):
            await Sandbox(config).__aenter__()


async def test_stopping_drops_what_was_still_to_come(gateway_key_file: Path, merchant_key: rsa.RSAPrivateKey) -> None:
    config = SandboxConfig(gateway_key_file=gateway_key_file, late_after=60, capture_delay=60)
    async with aiohttp.ClientSession() as session:
        async with Sandbox(config) as sandbox:
            gateway = await Gateway(sandbox.url, merchant_key, "5X1", session).register()
            await gateway.arm("pr-1", "LATE_SUCCESS")
            await gateway.pay("pr-1")
            await gateway.pay("pr-2", paymentFactor={}, paymentNotifyUrl="http://127.0.0.1:9/nobody")
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(sandbox.url)


def written(directory: Path) -> dict[str, bool]:
    """Tell which files are there, and which of them hold a private key."""
    return {path.name: b"PRIVATE" in path.read_bytes() for path in directory.iterdir()}


async def test_tls_can_be_verified_with_the_written_certificate(start: Start, tmp_path: Path) -> None:
    """Also in the strict mode of newer Pythons; a client that does not know the certificate refuses it."""
    gateway_key = tmp_path / "key.pem"
    async with Sandbox(SandboxConfig(tls=True, tls_directory=tmp_path, gateway_key_file=gateway_key)) as sandbox:
        assert sandbox.url.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=tmp_path / "certificate.pem")
        trusting.verify_flags |= ssl.VERIFY_X509_STRICT
        async with aiohttp.ClientSession() as session:
            for url in (sandbox.url, sandbox.url.replace("127.0.0.1", "localhost")):
                async with session.get(f"{url}/_sandbox/health", ssl=trusting) as answer:
                    assert answer.status == 200
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(f"{sandbox.url}/_sandbox/health")
    assert written(tmp_path) == {"certificate.pem": False, "key.pem": True}


async def test_tls_works_without_a_directory_and_resets_connections_too(merchant_key: rsa.RSAPrivateKey) -> None:
    async with (
        Sandbox(SandboxConfig(tls=True)) as sandbox,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as session,
    ):
        gateway = await Gateway(sandbox.url, merchant_key, "5X1", session).register()
        for scenario in ("RESET", "LOST_ANSWER"):
            await gateway.arm(scenario, scenario)
            with pytest.raises(aiohttp.ClientError):
                await gateway.pay(scenario)
        assert [row["paymentRequestId"] for row in await gateway.ledger()] == ["LOST_ANSWER"]


async def test_links_carry_the_public_address(start: Start) -> None:
    gateway = await start(public_url="https://bank.example/")
    answer = await gateway.pay("pr-1", metadata={"is3DSAuthentication": True})
    assert answer.json["normalUrl"].startswith("https://bank.example/checkout/3ds/")


async def test_an_ending_sandbox_cuts_a_slow_answer_short(
    gateway_key_file: Path, merchant_key: rsa.RSAPrivateKey
) -> None:
    async with aiohttp.ClientSession() as session:
        async with Sandbox(SandboxConfig(gateway_key_file=gateway_key_file)) as sandbox:
            gateway = await Gateway(sandbox.url, merchant_key, "5X1", session).register()
            await gateway.arm("pr-1", "SLOW:60000")
            waiting = asyncio.create_task(gateway.pay("pr-1"))
            for _ in range(500):
                if await gateway.ledger():
                    break
                await asyncio.sleep(0.01)
        with pytest.raises(aiohttp.ClientError):
            await waiting

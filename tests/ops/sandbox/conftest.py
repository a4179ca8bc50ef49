from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from ops.sandbox.config import SandboxConfig
from ops.sandbox.server import Sandbox
from tests.ops.sandbox.signed_client import Gateway, Merchant

Start = Callable[..., Coroutine[Any, Any, Gateway]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def merchant_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def gateway_key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gateway") / "key.pem"


@pytest.fixture
async def start(merchant_key: rsa.RSAPrivateKey, gateway_key_file: Path) -> AsyncIterator[Start]:
    """Start sandboxes with changed settings; each comes with a registered client."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())

        async def begin(**settings: Any) -> Gateway:
            chosen: dict[str, Any] = {
                "gateway_key_file": gateway_key_file,
                "notification_scale": 0.0001,
                "capture_delay": 0.01,
                "late_after": 0.5,
                **settings,
            }
            sandbox = await stack.enter_async_context(Sandbox(SandboxConfig(**chosen)))
            return await Gateway(sandbox.url, merchant_key, "SANDBOX_5X0001", session).register()

        yield begin


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    return await start()


@pytest.fixture
async def merchant() -> AsyncIterator[Merchant]:
    async with Merchant() as merchant:
        yield merchant

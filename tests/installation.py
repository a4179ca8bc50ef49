"""A whole vault for tests: an onboarded database, the sandbox gateway, the application on a real socket, a worker at hand.

It refuses mocks: everything between the test and PostgreSQL is the product.
"""

import asyncio
import base64
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from fastapi import FastAPI

from ops.sandbox.config import SandboxConfig
from ops.sandbox.server import Sandbox
from tests.serving import close_the_door
from tests.vault.gateway.certificates import Authority
from vault import custody
from vault.app import create_app
from vault.audit.events import ActorKind, Origin
from vault.auth import Scope
from vault.db import Database
from vault.directory import GatewayKeys
from vault.merchant import MerchantSettings
from vault.onboarding import NewClient, NewMerchant, Onboarding
from vault.payment import Payment
from vault.roles import OPERATOR
from vault.services import Services
from vault.settings import Settings

OPERATOR_ORIGIN = Origin(ActorKind.OPERATOR, "tests")
PASSPHRASE = "correct horse battery staple"
REDIRECT = "https://shop.example/back"
_SCHEMA: dict[str, Any] = {}
_WEBHOOKS = {"webhook_networks": "127.0.0.1/32", "webhook_timeout": 5.0, "webhook_retries": "0.05,0.05,0.1"}


@dataclass(frozen=True, slots=True)
class Tenant:
    """A merchant of the test installation with one client that may do everything."""

    merchant_id: str
    gateway_client_id: str
    client_id: str
    api_key: str
    public_key: str
    private_key: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"}


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What every test database of one worker has in common."""

    template: str
    folder: Path
    tenants: tuple[Tenant, ...]


def settings_for(folder: Path, database_url: str, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "environment": "development",
        "database_url": database_url,
        "seal": f"local:{folder / 'keystore.json'}",
        "seal_passphrase_file": folder / "passphrase",
        "gateway_url": "http://127.0.0.1:9",
        "public_url": "http://127.0.0.1:9",
        "sender_deadline": 5.0,
        "not_sent_grace": 0.2,
        "inquiry_first": 0.1,
        "inquiry_max": 1.0,
        "pool_size": 8,
        "retry_guard": False,
    }
    return Settings(**(values | changes))


def secured(folder: Path, authority: Authority, **changes: Any) -> Settings:
    """Make settings of a server that speaks TLS with a certificate of this authority."""
    identity = authority.identity(folder)
    files = {"tls_certificate_file": identity, "tls_key_file": identity}
    return settings_for(folder, "postgresql://nobody@127.0.0.1/none", **(files | changes))


def key_pair() -> tuple[str, str]:
    """Give a fresh RSA key pair as bare base64: PKCS#8 and SubjectPublicKeyInfo."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(private).decode(), base64.b64encode(public).decode()


async def onboard(folder: Path, database_url: str, gateway_public_key: str, count: int = 2) -> tuple[Tenant, ...]:
    """Make the keys, merchants and clients of an installation."""
    (folder / "passphrase").write_text(PASSPHRASE)
    settings = settings_for(folder, database_url)
    database = Database(database_url, role=OPERATOR, pool_size=4)
    try:
        await custody.initialise(settings, database, OPERATOR_ORIGIN)
        roots = await custody.open_roots(settings, database)
        keyring = await custody.open_keyring(settings, database)
        onboarding = Onboarding(settings, database, roots, keyring, OPERATOR_ORIGIN)
        return tuple([await _tenant(onboarding, number, gateway_public_key) for number in range(count)])
    finally:
        await database.close()


async def _tenant(onboarding: Onboarding, number: int, gateway_public_key: str) -> Tenant:
    private, public = key_pair()
    gateway_client = f"SANDBOX_TEST{number:04}"
    merchant = await onboarding.create_merchant(
        NewMerchant(
            f"Shop {number}",
            gateway_client,
            GatewayKeys(private, "1", {"1": gateway_public_key}),
            MerchantSettings.model_validate(
                {"paymentRedirectUrl": REDIRECT, "settlementStrategy": {"settlementCurrency": "EUR"}}
            ),
        )
    )
    client, secret = await onboarding.create_client(NewClient(merchant.id, "everything", [s.value for s in Scope]))
    return Tenant(merchant.id, gateway_client, client.id, secret.reveal(), public, private)


@dataclass(slots=True)
class Installation:
    """A running vault with its gateway."""

    settings: Settings
    services: Services
    sandbox: Sandbox
    sandbox_api: httpx2.AsyncClient
    api: httpx2.AsyncClient
    tenants: tuple[Tenant, ...]
    app: FastAPI

    async def arm(self, request_id: str, scenario: str) -> None:
        """Make the sandbox misbehave for the first call of a request id."""
        body = {"paymentRequestId": request_id, "scenario": scenario}
        answer = await self.sandbox_api.post("/_sandbox/scenarios", json=body)
        assert answer.status_code < 300, answer.text

    async def ledger(self, request_id: str) -> list[dict[str, Any]]:
        """Give the authorisation decisions of one request id."""
        rows = (await self.sandbox_api.get("/_sandbox/ledger")).json()
        return [row for row in rows if row["paymentRequestId"] == request_id]

    async def sent(self, request_id: str, operation: str = "pay") -> list[dict[str, Any]]:
        """Give the bodies that the sandbox received for one request id."""
        rows = (await self.sandbox_api.get("/_sandbox/requests", params={"paymentRequestId": request_id})).json()
        return [row["body"] for row in rows if row["operation"] == operation]

    async def work(self) -> list[Payment | None]:
        """Do what a worker would do now."""
        for due in await self.services.vaulting_follower.claim(100):
            await self.services.vaulting_follower.resolve(due)
        await self.services.tokens.delete_due()
        dues = await self.services.reconciler.claim(100)
        return [await self.services.reconciler.resolve(due) for due in dues]

    async def settle(self, payment_id: str, *statuses: str, seconds: float = 10.0) -> dict[str, Any]:
        """Work until a payment has one of the states, and give its view."""
        wanted = statuses or ("SUCCESS", "FAIL", "CANCELLED")
        async with asyncio.timeout(seconds):
            while True:
                await self.work()
                view: dict[str, Any] = (await self.api.get(f"/v1/payments/{payment_id}")).json()
                if view["paymentStatus"] in wanted:
                    return view
                await asyncio.sleep(0.05)


@asynccontextmanager
async def installed(blueprint: Blueprint, database_url: str, **changes: Any) -> AsyncIterator[Installation]:
    """Start gateway and vault on a database made from the blueprint's template."""
    async with AsyncExitStack() as stack:
        config = SandboxConfig(gateway_key_file=blueprint.folder / "gateway.pem", **changes.pop("sandbox", {}))
        sandbox = await stack.enter_async_context(Sandbox(config))
        sandbox_api = await stack.enter_async_context(httpx2.AsyncClient(verify=False, base_url=sandbox.url))
        for tenant in blueprint.tenants:
            body = {"clientId": tenant.gateway_client_id, "publicKey": tenant.public_key}
            (await sandbox_api.post("/_sandbox/clients", json=body)).raise_for_status()
        values = {"gateway_url": sandbox.url} | changes
        app, url = await stack.enter_async_context(served(blueprint, database_url, **values))
        services: Services = app.state.services
        api = await stack.enter_async_context(
            httpx2.AsyncClient(verify=False, base_url=url, headers=blueprint.tenants[0].headers, timeout=30)
        )
        yield Installation(services.settings, services, sandbox, sandbox_api, api, blueprint.tenants, app)


@asynccontextmanager
async def served(blueprint: Blueprint, database_url: str, **changes: Any) -> AsyncIterator[tuple[FastAPI, str]]:
    """Serve the application on a socket of its own until the block ends; gives it and its address."""
    listener = free_listener()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = settings_for(blueprint.folder, database_url, **({"public_url": url, **_WEBHOOKS} | changes))
    app = create_app(settings)
    app.openapi_schema = _schema(app)
    logging.getLogger("uvicorn.access").disabled = True  # as the product's own log does at the start
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", proxy_headers=False)
    async with listening(config, listener):
        yield app, url


@asynccontextmanager
async def listening(config: uvicorn.Config, listener: socket.socket | None = None) -> AsyncIterator[int]:
    """Serve on a socket, or on a free port, until the block ends; gives the port."""
    listener = listener or free_listener()
    server = _PromptServer(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            if task.done():
                task.result()
            await asyncio.sleep(0.005)
        yield listener.getsockname()[1]
    finally:
        server.stopping.set()
        await task


class _PromptServer(uvicorn.Server):
    """The server without its pauses: it looks ten times a second whether to stop, and then waits as long again.

    Two thirds of what a test waited for was that.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stopping = asyncio.Event()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await close_the_door(self.servers)
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.002)
        await self.lifespan.shutdown()


def free_listener() -> socket.socket:
    """Bind a free port.

    The protocol is named, or asyncio would not switch Nagle's algorithm off: each answer on a connection that is kept
    would wait 40 ms for an acknowledgement. (The product's own loop switches it off always.)
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    return listener


def _schema(app: FastAPI) -> dict[str, Any]:
    """Give the application's description, made once: it takes longer than anything else at the start."""
    if not _SCHEMA:
        _SCHEMA.update(app.openapi())
    return _SCHEMA

"""Puts a sandbox together and serves it.

`Sandbox` for tests in the same process, `serve` for a process of its own. Refuses to know any rule of the gateway.
Invariant: when it ends, nothing of it goes on: no timer, no notification, no connection.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from aiohttp import web

from ops.sandbox.book import Book
from ops.sandbox.certificate import server_context
from ops.sandbox.challenge_page import ChallengePage
from ops.sandbox.checkout_page import CheckoutPage
from ops.sandbox.clients import Clients
from ops.sandbox.config import SandboxConfig, refuse_production
from ops.sandbox.control import Control
from ops.sandbox.desk import Desk
from ops.sandbox.engine import Engine
from ops.sandbox.frontdoor import FrontDoor
from ops.sandbox.notifier import Notifier
from ops.sandbox.sessions import Sessions
from ops.sandbox.signing import keep_private_key, write_public_key
from ops.sandbox.timers import Timers
from ops.sandbox.vaults import Vaults
from ops.sandbox.visits import Pages

LARGEST_BODY = 1024 * 1024
SHUTDOWN_SECONDS = 0.5
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class NoDetails(logging.Filter):
    """Keeps request data out of the server's error log: of an exception only its type stays."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Strip a record."""
        kind = record.exc_info[0] if record.exc_info else None
        record.exc_info = None
        record.msg, record.args = "request failed: %s", (kind.__name__ if kind else "unknown",)
        return True


def quiet_logger() -> logging.Logger:
    """Return a logger for the HTTP server that names failures without their data."""
    logger = logging.getLogger("ops.sandbox.http")
    if not logger.filters:
        logger.addFilter(NoDetails())
    return logger


class Sandbox:
    """One running sandbox: `async with Sandbox(config) as sandbox: sandbox.url`."""

    def __init__(self, config: SandboxConfig) -> None:
        refuse_production(os.environ)
        self.config = config
        self.url = ""
        self.book = Book()
        self._key = keep_private_key(config.gateway_key_file)
        self._clients = Clients(config.state_directory)
        self._tls = server_context(config.tls_directory) if config.tls else None
        self.gateway_public_key = write_public_key(self._key.public_key())

    async def __aenter__(self) -> Self:
        """Start to serve."""
        async with AsyncExitStack() as stack:
            book, timers, notifier = self.book, Timers(), Notifier(self.config, self._key)
            # Closed in reverse: first the door, then the clock, then the post.
            stack.push_async_callback(notifier.close)
            stack.callback(timers.close)
            pages = Pages()
            engine = Engine(self.config, book, notifier, timers, pages)
            desk = Desk(
                self.config,
                book,
                engine,
                Sessions(self.config, book, engine, pages),
                Vaults(self.config, book, pages, timers, notifier),
            )
            runner = web.AppRunner(
                self._application(desk, pages),
                access_log=None,
                logger=quiet_logger(),
                shutdown_timeout=SHUTDOWN_SECONDS,
            )
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, self.config.host, self.config.port, ssl_context=self._tls).start()
            scheme = "http" if self._tls is None else "https"
            self.url = f"{scheme}://{self.config.host}:{runner.addresses[0][1]}"
            pages.public_url = (self.config.public_url or self.url).rstrip("/")
            self._running = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop everything."""
        await self._running.aclose()

    def _application(self, desk: Desk, pages: Pages) -> web.Application:
        front_door = FrontDoor(desk, self._clients, self._key)
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_route("*", "/ams/{tail:.*}", front_door.answer)
        app.router.add_routes(Control(desk.book, self._clients, self.gateway_public_key).routes())
        app.router.add_routes(ChallengePage(pages).routes())
        app.router.add_routes(CheckoutPage(pages).routes())
        return app


async def serve(config: SandboxConfig, ready: Callable[[str], None] | None = None) -> None:
    """Run a sandbox until cancelled, SIGTERM or SIGINT; `ready` gets its URL once it accepts connections."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    try:
        async with Sandbox(config) as sandbox:
            if ready is not None:
                ready(sandbox.url)
            await stop.wait()
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)

"""Runs the worker's loops in a process of its own, and answers monitoring beside them where it is given a port.

It refuses to know what the loops do. Invariant: SIGTERM and SIGINT end it after the work in hand.
"""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import uvicorn

from ops.memory import keep_memory_private
from ops.presence import on_record
from ops.protocol import ServerConfig
from ops.serving import listener_for, proxy_options
from vault.logs import configure
from vault.services import Services, running_services
from vault.settings import Settings, load_settings
from vault.worker.delivering import Deliverer, webhook_loops
from vault.worker.heartbeat import heartbeat
from vault.worker.keys import key_loops
from vault.worker.loop import (
    Loop,
    Pulse,
    card_life,
    counting,
    forgetting_attempts,
    orphanage,
    reconciliation,
    run,
    token_deletions,
    vaultings,
)
from vault.worker.port import WorkerPort
from vault.worker.sequencing import audit_loops
from vault.worker.webhook_sender import WebhookSender

_LONGEST_IDLE: Final = 1.0


def run_worker(host: str = "127.0.0.1", port: int | None = None, *, hold_expiry: bool = False) -> None:
    """Work until SIGTERM or SIGINT; `hold_expiry` leaves out what is done to things for their age alone.

    Raises `Refused` for a port that is taken, and what keeps services from opening.
    """
    keep_memory_private()
    listener = listener_for(host, port) if port else None
    settings = load_settings(os.environ)
    configure(settings.log_format)
    asyncio.run(_work(settings, listener, hold_expiry=hold_expiry))


async def _work(settings: Settings, listener: socket.socket | None, *, hold_expiry: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with (
        running_services(settings) as services,
        _sender(settings) as sender,
        audit_loops(services) as auditing,
        _answering(services, listener),
        on_record(services.database, "worker"),
    ):
        pulses: list[Pulse] = []
        beating = heartbeat(services.database, pulses)
        loops = (beating, *_loops(services), *_webhook_loops(services, sender), *auditing)
        await run(_ageless(loops) if hold_expiry else loops, stop, pulses)


@asynccontextmanager
async def _answering(services: Services, listener: socket.socket | None) -> AsyncIterator[None]:
    """Answer at the port, if there is one, until the worker has ended."""
    if listener is None:
        yield
        return
    server = _SilentServer(_port_config(services.settings, WorkerPort(services)))
    answering = asyncio.create_task(server.serve([listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await answering


def _port_config(settings: Settings, application: object) -> ServerConfig:
    """Give the options of the port: whom it believes and how many it serves are as at the server."""
    return ServerConfig(
        application,
        max_connections=settings.max_connections,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        **proxy_options(settings),
    )


class _SilentServer(uvicorn.Server):
    """The server without its hold on signals: those are the worker's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def _sender(settings: Settings) -> WebhookSender:
    return WebhookSender(
        allowed=settings.webhook_networks, ca_file=settings.webhook_ca_file, timeout=settings.webhook_timeout
    )


def _webhook_loops(services: Services, sender: WebhookSender) -> tuple[Loop, ...]:
    idle = min(_LONGEST_IDLE, services.settings.webhook_retries[0])
    return webhook_loops(Deliverer(services, sender), idle=idle)


def _ageless(loops: tuple[Loop, ...]) -> tuple[Loop, ...]:
    return tuple(loop for loop in loops if not loop.by_time)


def _loops(services: Services) -> tuple[Loop, ...]:
    idle = min(_LONGEST_IDLE, services.settings.inquiry_first)
    return (
        reconciliation(services.reconciler, idle=idle),
        vaultings(services.vaulting_follower, idle=idle),
        token_deletions(services.tokens, idle=idle),
        orphanage(services.orphans, idle=idle),
        forgetting_attempts(services.retry_guard),
        *key_loops(
            services.reencryption, services.key_life, max_age_days=services.settings.key_max_age_days, idle=idle
        ),
        *card_life(services.expiry_sweep, services.retention, interval=services.settings.retention_interval),
        counting(services.database),
    )

"""Runs the HTTP API as one process or several, and a worker beside them where that is wanted.

It refuses to know routes and services. Invariants: what would keep the application from starting is found before a
process is started, with its mend; SIGTERM drains; no process of a server outlives it.
"""

import asyncio
import gc
import multiprocessing
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self

import uvicorn
from uvicorn.supervisors import Multiprocess

from ops.lifeline import tie_to
from ops.memory import keep_memory_private
from ops.presence import say_started, say_stopped
from ops.protocol import ServerConfig
from ops.refusal import Refused
from vault import metrics
from vault.app import from_environment
from vault.logs import configure, get_logger
from vault.services import running_services
from vault.setting_kinds import is_loopback
from vault.settings import Settings, load_settings
from vault.tls import server_context

_log = get_logger(__name__)
_BACKLOG: Final = 2048
_KEEP_ALIVE: Final = 75  # longer than balancers keep an idle connection: the side that sends has to close first
_COLLECTOR_ROUNDS: Final = (100_000, 50, 100)
_WORKER: Final = (sys.executable, "-P", "-m", "ops.cli", "worker")
_APPLICATION: Final = "ops.serving:application"


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where and how the server runs."""

    host: str
    port: int
    workers: int
    with_worker: bool


def application() -> object:
    """Make the application in a server process, and take what it is made of out of the collector's rounds.

    Nearly all that a request leaves behind is freed at once, without the collector: it comes round less often.
    """
    tie_to_manager()
    keep_memory_private()
    made = from_environment()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTOR_ROUNDS)
    return made


def tie_to_manager() -> None:
    """Tie a server process to the one that manages it, where there are several."""
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        tie_to(parent.pid)


def run_server(options: ServerOptions) -> None:
    """Serve until SIGTERM or SIGINT; raises what keeps the application from starting."""
    keep_memory_private()
    settings = load_settings(os.environ)
    server_context(settings)
    _refuse_plain_text_to_strangers(settings, options)
    with listener_for(options.host, options.port) as listener:
        asyncio.run(_rehearsed(settings))
        try:
            _serve(settings, options, listener)
        finally:
            asyncio.run(say_stopped(settings, "server"))


def _serve(settings: Settings, options: ServerOptions, listener: socket.socket) -> None:
    """Serve until a signal; raises `Refused` where application or worker failed."""
    configure(settings.log_format)
    # The server raises the signal again once it has drained; by then there is nothing left to interrupt.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    _log.info("server.starting", host=options.host, port=options.port, count=options.workers)
    with _counting_together(options.workers), _Companion(wanted=options.with_worker) as companion:
        serve_on(listener, uvicorn_config(settings, options), options.workers)
    if companion.failed:
        raise Refused("the worker beside the server ended; the log says why")


@contextmanager
def _counting_together(processes: int) -> Iterator[None]:
    """Give the processes of a server a folder to count in, so that each can tell what all have counted."""
    if processes == 1:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="cardvault-metrics-") as folder:
        os.environ[metrics.FOLDER] = folder
        yield


def _refuse_plain_text_to_strangers(settings: Settings, options: ServerOptions) -> None:
    """Raise `Refused` where card numbers would come over a network without TLS and without a proxy that ended it."""
    safe = settings.tls_certificate_file or settings.trusted_proxies or is_loopback(f"http://{options.host}")
    if settings.in_production and not safe:
        raise Refused(
            f"{options.host} would be plain HTTP: set CARDVAULT_TLS_CERTIFICATE_FILE and CARDVAULT_TLS_KEY_FILE, "
            "or name the proxy that ends TLS in CARDVAULT_TRUSTED_PROXIES"
        )


async def _rehearsed(settings: Settings) -> None:
    """Open what the application will open, so that a failure is one message and not a restart loop; say it starts."""
    async with running_services(settings) as services:
        await say_started(services.database, "server")


def listener_for(host: str, port: int) -> socket.socket:
    """Bind the address that a server's processes share; raises `Refused` where that cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        reason = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else "unknown host"
        raise Refused(
            f"{host} port {port}: {reason}; choose another with --host and --port, or stop what uses it"
        ) from None
    listener.set_inheritable(True)
    return listener


def uvicorn_config(settings: Settings, options: ServerOptions, application: str = _APPLICATION) -> ServerConfig:
    """Give the server's own options for an application, which is named as its processes import it."""
    return ServerConfig(
        application,
        max_connections=settings.max_connections,
        ssl_context_factory=_tls if settings.tls_certificate_file else None,
        factory=True,
        workers=options.workers,
        ws="none",
        lifespan="on",
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=round(settings.request_deadline) + 1,
        **proxy_options(settings),
    )


def proxy_options(settings: Settings) -> dict[str, Any]:
    """Give whose forwarded addresses are believed: the trusted proxies', whatever the environment says."""
    proxies = [str(network) for network in settings.trusted_proxies]
    return {"proxy_headers": bool(proxies), "forwarded_allow_ips": proxies}


def _tls(_config: uvicorn.Config, _usual: object) -> ssl.SSLContext:
    """Make the context in the process that uses it."""
    context = server_context(load_settings(os.environ))
    assert context is not None  # noqa: S101 - it is asked for where the settings name a certificate
    return context


def serve_on(listener: socket.socket, config: uvicorn.Config, workers: int) -> None:
    """Serve until a signal, in this process or in several; raises `Refused` when the application does not start."""
    if workers > 1:
        Multiprocess(config, [listener]).run()
        return
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):
        server.run([listener])
    if not server.started:
        raise Refused("the application did not start; the log says why")


class _Companion:
    """The worker beside a server: it ends with the server, and the server with it."""

    def __init__(self, *, wanted: bool) -> None:
        self.failed = False
        self._wanted = wanted
        self._stopping = False
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if self._wanted:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                _WORKER,
                preexec_fn=partial(tie_to, os.getpid(), signal.SIGTERM),  # noqa: PLW1509 - it calls the C library only
            )
            threading.Thread(target=self._watch, args=(self._process,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def _watch(self, process: "subprocess.Popen[bytes]") -> None:
        process.wait()
        if not self._stopping:
            self.failed = True
            os.kill(os.getpid(), signal.SIGTERM)


def _stop(_number: int, _frame: object) -> None:
    """Take the signal that the server has acted on."""

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
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, Self

import uvicorn
from uvicorn.supervisors import Multiprocess

from ops.draining import DrainingProtocol
from ops.lifeline import tie_to
from ops.refusal import Refused
from vault.app import from_environment
from vault.logs import configure, get_logger
from vault.services import running_services
from vault.settings import Settings, load_settings

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
    settings = load_settings(os.environ)
    asyncio.run(_rehearsed(settings))
    listener = listener_for(options)
    configure(settings.log_format)
    # The server raises the signal again once it has drained; by then there is nothing left to interrupt.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    _log.info("server.starting", host=options.host, port=options.port, count=options.workers)
    with _Companion(wanted=options.with_worker) as companion:
        serve_on(listener, uvicorn_config(settings, options), options.workers)
    if companion.failed:
        raise Refused("the worker beside the server ended; the log says why")


async def _rehearsed(settings: Settings) -> None:
    """Open what the application will open, so that a failure is one message and not a restart loop."""
    async with running_services(settings):
        pass


def listener_for(options: ServerOptions) -> socket.socket:
    """Bind the address that a server's processes share; raises `Refused` where that cannot be."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host, options.port))
    except OSError as error:
        listener.close()
        reason = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else "unknown host"
        raise Refused(
            f"{options.host} port {options.port}: {reason}; choose another with --host and --port, or stop what uses it"
        ) from None
    listener.set_inheritable(True)
    return listener


def uvicorn_config(settings: Settings, options: ServerOptions, application: str = _APPLICATION) -> uvicorn.Config:
    """Give the server's own options for an application, which is named as its processes import it."""
    proxies = [str(network) for network in settings.trusted_proxies]
    return uvicorn.Config(
        application,
        factory=True,
        workers=options.workers,
        loop="uvloop",
        http=DrainingProtocol,
        ws="none",
        lifespan="on",
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
        server_header=False,
        access_log=False,
        log_config=None,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        timeout_graceful_shutdown=round(settings.request_deadline) + 1,
    )


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

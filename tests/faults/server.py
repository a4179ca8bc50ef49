"""Vault servers that can be stopped, forked from a process that has imported everything already.

Each line of the standard input orders one server: JSON with `step`, `control` (the port that it reports to), `folder`,
`database_url` and `settings`. A server reports a line of JSON once it serves and `reached` for each request at its
step; a line from the other side lets them all go on. It refuses to know what is tested. Invariant: no server outlives
the process that forked it, which ends with its standard input.
"""

import asyncio
import ctypes
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import uvicorn

from tests.faults.steps import Brake, Step, fit
from tests.faults.waiting import until
from tests.installation import free_listener, settings_for
from vault.app import create_app
from vault.logs import configure
from vault.services import Services
from vault.worker.loop import orphanage, reconciliation, run, token_deletions, vaultings

_PR_SET_PDEATHSIG = 1
_PRCTL = ctypes.CDLL(None).prctl


async def _serve(order: dict[str, Any]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", order["control"])
    brake = Brake(lambda: writer.write(b"reached\n"))
    fit(Step(order["step"]), brake)
    settings = settings_for(Path(order["folder"]), order["database_url"], **order["settings"])
    configure(settings.log_format)
    app = create_app(settings)
    listener = free_listener()
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve(sockets=[listener]))

    async def under_way() -> bool:
        return server.started or serving.done()

    await until(under_way)
    if not serving.done():
        report = {"pid": os.getpid(), "url": f"http://127.0.0.1:{listener.getsockname()[1]}"}
        writer.write(orjson.dumps(report) + b"\n")
        beside = [asyncio.create_task(_let_go(reader, brake))]
        if Step(order["step"]).works:
            beside.append(asyncio.create_task(_work(app.state.services)))
        await serving
        for each in beside:
            each.cancel()
    writer.close()


async def _work(services: Services) -> None:
    """Be a worker too, whose claims do not last long."""
    services.reconciler._pace = replace(services.reconciler._pace, lease=1.0)
    loops = (
        reconciliation(services.reconciler, idle=0.05),
        vaultings(services.vaulting_follower, idle=0.05),
        token_deletions(services.tokens, idle=0.05),
        orphanage(services.orphans, idle=0.05),
    )
    await run(loops, asyncio.Event())


async def _let_go(reader: asyncio.StreamReader, brake: Brake) -> None:
    await reader.readline()
    brake.released.set()


def _start(order: dict[str, Any], parent: int) -> None:
    _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    asyncio.run(_serve(order))


def main() -> None:
    """Fork a server for each order until there are no more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getpid()
    while line := sys.stdin.buffer.readline():
        if os.fork() == 0:
            try:
                _start(orjson.loads(line), parent)
            except BaseException as error:  # noqa: BLE001 - a forked child must never return into the parent's loop
                os.write(2, f"{type(error).__name__}\n".encode())
            finally:
                os._exit(0)


if __name__ == "__main__":
    main()

"""Servers that are asked to stop while they are busy: `cardvault serve` as processes."""

import asyncio
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import pytest

from ops.local_http import is_up
from tests.endurance.load import Load
from tests.faults.cases import STORING
from tests.faults.trial import Trial
from tests.faults.verdict import recorded
from tests.faults.waiting import until
from tests.ops.processes import start

pytestmark = pytest.mark.anyio

IN_FLIGHT = 200


class Served:
    """A server at an address that stays the same."""

    def __init__(self, trial: Trial, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._log = log
        self._process: subprocess.Popen[bytes]
        values = {
            "ENVIRONMENT": "development",
            "DATABASE_URL": trial.database_url,
            "SEAL": trial.vault.settings.seal,
            "SEAL_PASSPHRASE_FILE": str(trial.vault.settings.seal_passphrase_file),
            "GATEWAY_URL": trial.vault.settings.gateway_url,
            "PUBLIC_URL": trial.url,
            "RETRY_GUARD": "off",
            "POOL_SIZE": "20",
        }
        self._variables = {f"CARDVAULT_{name}": value for name, value in values.items()}

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = start(["serve", "--port", str(self._port)], log, self._variables)
        await until(self._is_up)

    async def _is_up(self) -> bool:
        assert self._process.poll() is None, "the server has ended"
        return await asyncio.to_thread(is_up, self.url, "/readyz")

    def ask_to_stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        return await asyncio.to_thread(self._process.wait, 60)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def server_of(trial: Trial, log: Path) -> Iterator[Served]:
    served = Served(trial, log)
    try:
        yield served
    finally:
        served.end()


async def test_a_server_that_is_asked_to_stop_answers_all_that_it_has(trial: Trial, log_folder: Path) -> None:
    """SIGTERM with 200 payments in flight; on a machine that is too busy some are told to come again, and do."""
    cases = await trial.prepare([("SLOW:1500", STORING[1])] * IN_FLIGHT)
    with server_of(trial, log_folder / "draining.log") as server:
        await server.start()
        sending = [asyncio.create_task(trial.send(server.url, case)) for case in cases]

        async def arrived() -> bool:
            written: int = await trial.database.fetchval("select count(*) from vault.payment")
            return written + sum(each.done() for each in sending) >= IN_FLIGHT

        await until(arrived)
        server.ask_to_stop()
        answers = await asyncio.gather(*sending)
        assert await server.ended() == 0
    statuses = [answer.status_code if answer else None for answer in answers]
    assert set(statuses) <= {HTTPStatus.CREATED, HTTPStatus.SERVICE_UNAVAILABLE}, Counter(statuses)
    again = [case for case, status in zip(cases, statuses, strict=True) if status != HTTPStatus.CREATED]
    await asyncio.gather(*map(trial.insist, again))
    await trial.work_until_final()
    await recorded(trial, cases)


async def test_two_servers_are_replaced_one_by_one_and_nobody_notices(trial: Trial, log_folder: Path) -> None:
    """A balancer would only see that a process takes no new connections for a while."""
    with server_of(trial, log_folder / "first.log") as first, server_of(trial, log_folder / "second.log") as second:
        await asyncio.gather(first.start(), second.start())
        load = Load([first.url, second.url], trial.blueprint.tenants[0].api_key, buyers=12, rate=40.0)
        load.begin()
        for server in (first, second):
            server.ask_to_stop()
            assert await server.ended() == 0
            await server.start()
        await load.end()
        # 503 is what a machine that is too busy makes of it; a connection that is lost is another matter.
        assert {why for why in load.told.asked_again if not why.startswith("503")} <= {"ConnectError"}
        assert not load.told.refused
        for each in (first, second):
            each.ask_to_stop()
    await trial.work_until_final()
    ledger = (await trial.vault.sandbox_api.get("/_sandbox/ledger")).json()
    assert {row["paymentRequestId"] for row in ledger} == set(load.told.payments)
    assert len(ledger) == len(load.told.payments)

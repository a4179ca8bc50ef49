"""Every fault of what the vault stands on: the right status, nothing half done, and back without a restart (T-16, T-17).

Each row makes one fault and takes it away again. Meanwhile a card is stored and a payment is made with a stored card; both
are told to come again, and the same requests do, once the fault is gone. Faults of the gateway are in the second table,
those of a commit whose reply is lost in `tests/faults`.
"""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import asyncpg
import pytest

from keys.errors import SealFileMissing
from tests.api.shop import Sql, card_on_file, payment, problem, store, stored, until
from tests.cluster import out_of_reach
from tests.database import Cluster
from tests.installation import Blueprint, Installation, installed
from vault.services import running_services

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Ground:
    """What faults are made with: the vault, a superuser on its database, and one beside it."""

    vault: Installation
    sql: Sql
    postgres: Cluster
    name: str

    async def cut(self) -> None:
        """End the connections of the vault."""
        await self.sql.connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'"
        )


_TABLES = ("card", "payment")
Fault = Callable[[Ground], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def down(ground: Ground) -> AsyncIterator[None]:
    async with out_of_reach(ground.postgres.url, ground.name):
        yield


@asynccontextmanager
async def read_only(ground: Ground) -> AsyncIterator[None]:
    """What a former leader is after a switchover."""
    beside = await asyncpg.connect(ground.postgres.url, ssl=False)
    try:
        await beside.execute(f"alter database {ground.name} set default_transaction_read_only = on")
        await ground.cut()
        yield
        await beside.execute(f"alter database {ground.name} reset default_transaction_read_only")
        await ground.cut()
    finally:
        await beside.close()


@asynccontextmanager
async def exhausted(ground: Ground) -> AsyncIterator[None]:
    pool = ground.vault.services.database._pool
    pool._patience, patience = 0.2, pool._patience
    taken = [await pool.take() for _ in range(ground.vault.settings.pool_size)]
    yield
    for driver in taken:
        pool.give_back(driver)
    pool._patience = patience


@asynccontextmanager
async def failing_over(ground: Ground) -> AsyncIterator[None]:
    """The requests wait in the middle of their statement when the server goes."""
    async with ground.sql.connection.transaction():
        await ground.sql.connection.execute("lock table vault.card, vault.payment in access exclusive mode")
        cutting = asyncio.create_task(_cut_when_waiting(ground, 2))
        yield
        await cutting


async def _cut_when_waiting(ground: Ground, requests: int) -> None:
    beside = await asyncpg.connect(ground.postgres.url, ssl=False)
    waiting = "select count(*) from pg_stat_activity where datname = $1 and wait_event_type = 'Lock'"

    async def all_wait() -> bool:
        return int(await beside.fetchval(waiting, ground.name)) >= requests

    try:
        await until(all_wait)
        await beside.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and wait_event_type = 'Lock'",
            ground.name,
        )
    finally:
        await beside.close()


@asynccontextmanager
async def deadlock_victim(ground: Ground) -> AsyncIterator[None]:
    """The server says so itself: which of two it chooses in a real one is a matter of luck."""
    execute = ground.sql.connection.execute
    await execute(
        "create function vault.choose() returns trigger language plpgsql as $$ begin "
        "raise exception using errcode = '40P01'; end $$"
    )
    for table in _TABLES:
        await execute(
            f"create trigger fault before insert on vault.{table} for each row execute function vault.choose()"
        )
    yield
    await execute("drop function vault.choose() cascade")


@contextmanager
def file_system_of_a_megabyte(like: str) -> Iterator[Path]:
    """Mount one, and give a folder in it that belongs to whom the database's files belong."""
    place, owner = Path(mkdtemp(prefix="cardvault-full-")), Path(like).stat()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", str(place)], check=False)
    if mounted.returncode != 0:
        place.rmdir()
        pytest.skip("a small file system cannot be mounted here (root may), so a full disk is not tested")
    try:
        folder = place / "files"
        folder.mkdir(mode=0o700)
        shutil.chown(folder, owner.st_uid, owner.st_gid)
        place.chmod(0o755)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
        place.rmdir()


def _fill(file: Path) -> None:
    with suppress(OSError), file.open("wb", buffering=0) as filling:
        while filling.write(bytes(4096)):
            pass


@asynccontextmanager
async def disk_full(ground: Ground) -> AsyncIterator[None]:
    """The tables lie in a file system of one megabyte, and something else fills it."""
    connection, tiny = ground.sql.connection, f"tiny_{ground.name}"
    with file_system_of_a_megabyte(await ground.sql.value("show data_directory")) as folder:
        await connection.execute(f"create tablespace {tiny} location '{folder}'")
        await _move_tables(connection, tiny)
        _fill(folder.parent / "filler")
        yield
        (folder.parent / "filler").unlink()
        await _move_tables(connection, "pg_default")
        await connection.execute(f"drop tablespace {tiny}")


async def _move_tables(connection: "asyncpg.Connection[asyncpg.Record]", tablespace: str) -> None:
    """Move the tables, and let no page take a sixth row, so that the next one needs another page."""
    for table in _TABLES:
        await connection.execute(f"alter table vault.{table} set tablespace {tablespace}")
        await connection.execute(f"alter table vault.{table} set (fillfactor = 10)")


FAULTS: list[tuple[Fault, bool]] = [
    (down, False),
    (read_only, False),
    (exhausted, False),
    (failing_over, True),
    (deadlock_victim, True),
    (disk_full, True),
]


@pytest.mark.parametrize(("fault", "ready"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
async def test_a_fault_of_the_database_is_told_and_leaves_nothing_half_done(
    vault: Installation, sql: Sql, postgres: Cluster, onboarded_url: str, fault: Fault, *, ready: bool
) -> None:
    for number in range(3, 8):
        card = await stored(vault, store(buyer=f"buyer-{number}"))
    before = await _kept(onboarded_url)
    to_store, to_pay = store(buyer="buyer-2"), card_on_file()
    requests = (("/v1/cards", to_store), (f"/v1/cards/{card['cardId']}/payments", to_pay))
    ground = Ground(vault, sql, postgres, onboarded_url.rpartition("/")[2])
    async with fault(ground):
        answers = await asyncio.gather(*(vault.api.post(path, json=body) for path, body in requests))
        for answer in answers:
            assert problem(answer, 503, "database_unavailable")["retryable"] is True
            assert answer.headers["Retry-After"]
        if not ready:
            assert (await vault.api.get("/readyz")).status_code == 503
        assert (await vault.api.get("/healthz")).status_code == 200

    async def back() -> bool:
        return (await vault.api.get("/readyz")).status_code == 200

    await until(back)
    assert await _kept(onboarded_url) == before
    assert await vault.sent(to_pay["paymentRequestId"]) == []
    for path, body in requests:
        assert (await vault.api.post(path, json=body)).status_code == 201
    assert len(await vault.ledger(to_pay["paymentRequestId"])) == 1


async def _kept(url: str) -> list[int]:
    """Count cards and payments, on a connection that no fault has met."""
    connection = await asyncpg.connect(url, ssl=False)
    try:
        return [await connection.fetchval(f"select count(*) from vault.{table}") for table in _TABLES]
    finally:
        await connection.close()


GATEWAY = {
    "RESET": (201, "FAIL", 0),
    "SLOW:1500": (202, "SUCCESS", 1),
    "LOST_ANSWER": (202, "SUCCESS", 1),
    "HTTP_500": (202, "SUCCESS", 1),
    "BAD_SIGNATURE": (202, "SUCCESS", 1),
}


@pytest.mark.parametrize("scenario", GATEWAY)
async def test_a_fault_of_the_gateway_ends_in_what_happened_there(
    blueprint: Blueprint, onboarded_url: str, scenario: str
) -> None:
    status, final, authorised = GATEWAY[scenario]
    async with installed(blueprint, onboarded_url, gateway_timeout=0.5) as vault:
        body = payment()
        await vault.arm(body["paymentRequestId"], scenario + "+NO_NOTIFICATION")
        answer = await vault.api.post("/v1/payments", json=body)
        assert answer.status_code in {status, 202}, answer.text
        assert (await vault.api.get("/readyz")).status_code == 200
        settled = await vault.settle(answer.json()["paymentId"])
        assert settled["paymentStatus"] == final
        assert len(await vault.ledger(body["paymentRequestId"])) == authorised


async def test_a_gateway_that_is_down_keeps_nobody_from_storing_and_asks_for_patience(
    blueprint: Blueprint, onboarded_url: str
) -> None:
    async with installed(blueprint, onboarded_url, gateway_url="http://127.0.0.1:9") as vault:
        await stored(vault)
        answer = await vault.api.post("/v1/payments", json=payment())
        assert (answer.status_code, answer.json()["paymentStatus"]) == (201, "FAIL")
        assert answer.json()["declined"]["retry"] == "NEW_ID"
        assert (await vault.api.get("/readyz")).status_code == 200


async def test_a_key_provider_that_goes_away_while_running_is_not_needed(
    vault: Installation, blueprint: Blueprint
) -> None:
    """T-17: the root key is in memory; a start needs the provider, and says so where it is not there."""
    keystore, away = blueprint.folder / "keystore.json", blueprint.folder / "keystore.away"
    keystore.rename(away)
    try:
        assert (await vault.api.get("/readyz")).status_code == 200
        assert (await vault.api.post("/v1/payments", json=payment())).status_code == 201
        with pytest.raises(SealFileMissing):
            async with running_services(vault.settings):
                pass
    finally:
        away.rename(keystore)
    async with running_services(vault.settings):
        pass

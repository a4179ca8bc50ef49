"""Every fault of what the vault stands on: the right status, nothing half done, and back without a restart (T-16, T-17).

Each row makes one fault and takes it away again. Meanwhile a card is stored and a payment is made with a stored card; both
are told to come again, and the same requests do, once the fault is gone. Faults of the gateway are in the second table,
those of a commit whose reply is lost in `tests/faults`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from keys.errors import SealFileMissing
from tests.api.shop import BUYER, Sql, card_on_file, paid_on_file, payment, problem, store, stored, until, waiting
from tests.canary import MASTERCARD_CANARY, SECOND_VISA_CANARY, VISA_CANARY
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
    """The server says so itself, in the middle of both requests; a real one is below."""
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


@asynccontextmanager
async def disk_full(ground: Ground) -> AsyncIterator[None]:
    """The queue of audit events, which every change is written to, lies on a device that is always full."""
    queue = "vault.audit_pending"
    await _empty(ground, queue)
    file = Path(await ground.sql.value("show data_directory")) / await ground.sql.value(_FILE, queue)
    file.unlink()
    file.symlink_to("/dev/full")
    await ground.cut()
    yield
    file.unlink()
    file.touch()
    await _empty(ground, queue)


_FILE = "select pg_relation_filepath($1::text::regclass)"


async def _empty(ground: Ground, table: str) -> None:
    """Give a table a new file, which is on disk and which no connection has open yet."""
    await ground.sql.change(f"truncate {table}")
    await ground.sql.connection.execute("checkpoint")


FAULTS: list[tuple[Fault, bool]] = [
    (down, False),
    (read_only, False),
    (exhausted, False),
    (failing_over, True),
    (deadlock_victim, True),
    (disk_full, False),
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


async def test_the_victim_of_a_deadlock_has_done_nothing_and_may_come_again(
    vault: Installation, sql: Sql, onboarded_url: str
) -> None:
    """T-16: two transactions lock cards in opposite order; the other one never looks, so the vault is the victim."""
    for number in (VISA_CANARY, SECOND_VISA_CANARY, MASTERCARD_CANARY):
        card = await stored(vault, store(number))
    await paid_on_file(vault, card["cardId"])
    first, second, third = [row["id"] for row in await sql.rows("select id from vault.card order by id")]
    named = "select count(*) from vault.payment where buyer is not null"
    locked = "select from vault.card where id = $1 for update"
    gate, other = [await asyncpg.connect(onboarded_url, ssl=False) for _ in range(2)]
    async with other.transaction():
        await other.execute("set local deadlock_timeout = '1h'")
        await other.execute(locked, third)
        async with gate.transaction():
            await gate.execute(locked, second)
            erasing = asyncio.create_task(vault.api.delete(f"/v1/buyers/{BUYER}"))
            await waiting(sql)
            crossing = asyncio.create_task(other.execute(locked, first))
            await waiting(sql, 2)
        answer = await erasing
        await crossing
    assert problem(answer, 503, "database_unavailable")["retryable"] is True
    assert answer.headers["Retry-After"]
    assert await sql.value(named) == 1
    assert await sql.value("select count(*) from vault.card where status = 'ACTIVE'") == 3

    async def counted() -> bool:
        return bool(await sql.value("select deadlocks from pg_stat_database where datname = current_database()"))

    await until(counted)
    for connection in (gate, other):
        await connection.close()
    assert (await vault.api.delete(f"/v1/buyers/{BUYER}")).status_code == 204
    assert await sql.value(named) == 0


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

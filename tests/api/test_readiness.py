"""`/healthz` and `/readyz`, a database that goes away and comes back, and requests meanwhile (T-16)."""

import asyncio
from typing import Any

import pytest

from keys.keyring import Purpose
from tests.api.shop import Sql, payment, problem, store, until
from tests.cluster import no_audit, out_of_reach
from tests.database import Cluster
from tests.installation import Installation
from vault.store.workers import Beat
from vault.worker.heartbeat import heartbeat
from vault.worker.loop import Loop, Pulse, run

pytestmark = pytest.mark.anyio
WELL: dict[str, Any] = {"ready": True, "database": True, "keys": True, "audit": True, "clock": True, "loops": {}}


async def test_a_vault_that_works_is_alive_and_ready(vault: Installation, sql: Sql) -> None:
    assert (await vault.api.get("/healthz")).json() == {"status": "ok"}
    mark = await sql.mark()
    answer = await vault.api.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, WELL)
    assert await sql.since(mark) == []


async def test_without_its_database_it_says_so_and_comes_back_by_itself(
    vault: Installation, onboarded_url: str, postgres: Cluster
) -> None:
    assert (await vault.api.post("/v1/cards", json=store())).status_code == 201
    async with out_of_reach(postgres.url, onboarded_url.rpartition("/")[2]):
        answer = await vault.api.get("/readyz")
        assert (answer.status_code, answer.json()["database"]) == (503, False)
        assert (await vault.api.get("/healthz")).status_code == 200
        for path, body in (("/v1/cards", store()), ("/v1/payments", payment())):
            refused = await vault.api.post(path, json=body)
            assert problem(refused, 503, "database_unavailable")["retryable"] is True
            assert refused.headers["Retry-After"]

    async def ready() -> bool:
        return (await vault.api.get("/readyz")).status_code == 200

    await until(ready)
    assert (await vault.api.post("/v1/cards", json=store())).status_code == 200


async def test_without_a_place_for_events_it_is_not_ready(vault: Installation, sql: Sql) -> None:
    async with no_audit(sql.connection):
        answer = await vault.api.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, WELL | {"ready": False, "audit": False})
    assert (await vault.api.get("/readyz")).status_code == 200


async def test_without_its_keys_it_is_not_ready(vault: Installation, sql: Sql) -> None:
    await sql.change("update vault.data_key set state = 'decrypt_only' where merchant_id = ''")
    vault.services.keyring.forget("", Purpose.FINGERPRINT)
    answer = await vault.api.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, WELL | {"ready": False, "keys": False})
    problem(await vault.api.get("/v1/payments"), 503, "keys_unavailable")


async def test_a_database_that_hangs_is_not_ready_within_its_patience(vault: Installation, sql: Sql) -> None:
    async with sql.connection.transaction():
        await sql.connection.execute("lock table vault.audit_pending in access exclusive mode")
        answer = await vault.api.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, WELL | {"ready": False, "audit": False})
    assert (await vault.api.get("/readyz")).status_code == 200


async def test_how_the_loops_do_is_asked_while_the_rest_is_examined(
    vault: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def live(_database: object) -> list[Beat]:
        asked.set()
        return [Beat("a", 0, 1.0)]

    async def offset(_database: object) -> float:
        await asked.wait()
        return 0.0

    monkeypatch.setattr("vault.health._live", live)
    monkeypatch.setattr("vault.health._clock_offset", offset)
    answer = await vault.api.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, WELL | {"loops": {"a": "working"}})


async def test_with_a_clock_of_its_own_it_is_not_ready(vault: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """T-34."""
    with monkeypatch.context() as patched:
        patched.setattr("vault.health._CLOCK_TOLERANCE", -1.0)
        answer = await vault.api.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, WELL | {"ready": False, "clock": False})
    assert (await vault.api.get("/readyz")).status_code == 200


async def test_it_says_how_the_workers_loops_do(vault: Installation, sql: Sql) -> None:
    stop, pulses = asyncio.Event(), list[Pulse]()

    async def works() -> bool:
        return False

    async def fails() -> bool:
        raise RuntimeError

    async def waits() -> bool:
        await stop.wait()
        return False

    beating = heartbeat(vault.services.database, pulses)
    loops = (Loop("a", works, 9.0), Loop("b", fails, 9.0), Loop("c", waits, 9.0), beating)
    working = asyncio.create_task(run(loops, stop, pulses))

    async def loops_said() -> bool:
        said = (await vault.api.get("/readyz")).json()["loops"]
        return (
            bool(said)
            and said.pop("heartbeat") is not None
            and said == {"a": "working", "b": "failing", "c": "starting"}
        )

    await until(loops_said)
    stop.set()
    await working
    assert (await vault.api.get("/readyz")).json() == WELL


async def test_a_worker_that_died_is_forgotten(vault: Installation, sql: Sql) -> None:
    beating = heartbeat(vault.services.database, [Pulse("a")])
    await beating.once()
    await sql.connection.execute("update vault.worker_loop set seen_at = now() - interval '1 minute'")
    assert (await vault.api.get("/readyz")).json()["loops"] == {}
    await sql.connection.execute("update vault.worker_loop set seen_at = now() - interval '2 hours'")
    await heartbeat(vault.services.database, [Pulse("b")]).once()
    assert await sql.rows("select loop from vault.worker_loop") == [{"loop": "b"}]

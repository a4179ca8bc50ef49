"""Keys that are not trusted any more, and keys that are destroyed: nothing that is needed is lost (T-5, T-13)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from keys.errors import KeyUnavailable
from keys.keyring import Location, Purpose
from tests.api.operators import Operators, operators_of
from tests.api.shop import Sql, card_on_file, paid, paid_on_file, payment, store, stored, until
from tests.api.test_reencryption import finish, under_retired_keys
from tests.canary import MASTERCARD_CANARY, SECOND_VISA_CANARY
from tests.installation import OPERATOR_ORIGIN, Installation
from vault.db import StatementFailed
from vault.errors import Conflict, NotFound
from vault.ids import key_name
from vault.key_life import DATA, FINGERPRINT
from vault.reencryption import Reencryption
from vault.store import key_life
from vault.worker.keys import key_loops
from vault.worker.loop import run

pytestmark = pytest.mark.anyio
STATES = "select state from vault.data_key where id = $1"


@contextmanager
def refused(said: str) -> Iterator[None]:
    """Expect a refusal whose words for people hold these."""
    with pytest.raises(Conflict) as caught:
        yield
    assert said in (caught.value.detail or "")


@pytest.fixture
async def operators(vault: Installation) -> AsyncIterator[Operators]:
    async with operators_of(vault) as operators:
        yield operators


async def _active(vault: Installation, purpose: Purpose = Purpose.CARD) -> bytes:
    return (await vault.services.keyring.active(vault.tenants[0].merchant_id, purpose)).key_id


async def _retired(vault: Installation, operators: Operators) -> bytes:
    """Retire the key of a merchant's cards, under which nothing is."""
    key_id = await _active(vault)
    await operators.life.rotate({Purpose.CARD}, vault.tenants[0].merchant_id)
    return key_id


async def test_nothing_is_inserted_under_a_compromised_key_by_whoever_has_it_in_memory(
    vault: Installation, operators: Operators, sql: Sql
) -> None:
    """KEY-8: the key is cached in the serving process, which is told nothing."""
    card_id = (await stored(vault))["cardId"]
    key_id = await _active(vault)
    done = await operators.life.compromise(key_id, days=3)
    assert done.settled
    await stored(vault, store(SECOND_VISA_CANARY))
    await paid(vault, payment(MASTERCARD_CANARY, "buyer-2", storeCard="VAULT", is3DSAuthentication=True))
    under = "select card_id from vault.card_secret where key_id = $1 union all select payment_id from vault.payment_secret where key_id = $1"
    assert await sql.rows(under, key_id) == [{"card_id": card_id}]
    assert (await paid_on_file(vault, card_id))["paymentStatus"] == "SUCCESS"


async def test_a_compromise_is_an_incident_with_a_deadline_and_forces_reencryption(
    vault: Installation, operators: Operators, sql: Sql
) -> None:
    """KEY-9."""
    await stored(vault)
    key_id = await _active(vault)
    job = Reencryption(operators.database, operators.keyring, OPERATOR_ORIGIN)
    await job.start()
    await job.pause()
    done = await operators.life.compromise(key_id, days=3)
    progress = await job.progress()
    assert progress is not None
    assert (progress.job.state, progress.job.deadline) == ("running", done.deadline)
    assert await sql.alarms() == {"key_compromised"}
    [event] = await sql.events("key.data_compromised")
    assert event["details"]["key_id"] == key_name(key_id)
    with refused("cannot be paused"):
        await job.pause()
    with refused("already"):
        await operators.life.compromise(key_id, days=3)
    assert (await finish(vault.services.reencryption)).job.state == "done"
    assert await under_retired_keys(sql) == {}


async def test_a_retired_key_can_be_compromised_too(vault: Installation, operators: Operators, sql: Sql) -> None:
    key_id = await _retired(vault, operators)
    await operators.life.compromise(key_id, days=3)
    assert await sql.value(STATES, key_id) == "compromised"
    assert len(await sql.events("key.data_rotated")) == 1


async def test_a_compromised_fingerprint_key_is_only_looked_under(
    vault: Installation, operators: Operators, sql: Sql
) -> None:
    card_id = (await stored(vault))["cardId"]
    await operators.life.compromise(await _active(vault, Purpose.FINGERPRINT), days=3)
    assert (await stored(vault))["cardId"] == card_id
    assert (await finish(vault.services.reencryption)).done == 1
    assert await under_retired_keys(sql) == {}


async def test_a_job_past_its_deadline_is_alarmed_once(vault: Installation, operators: Operators, sql: Sql) -> None:
    await vault.services.reencryption.watch_deadline()
    await stored(vault)
    await operators.life.compromise(await _active(vault), days=3)
    await vault.services.reencryption.watch_deadline()
    assert await sql.alarms() == {"key_compromised"}
    await sql.change("update vault.reencryption set deadline = now() - interval '1 second'")
    for _ in range(2):
        await vault.services.reencryption.watch_deadline()
    assert await sql.alarms() == {"key_compromised", "reencryption_overdue"}


async def test_a_key_is_destroyed_when_its_time_has_come_and_not_before(
    vault: Installation, operators: Operators, sql: Sql
) -> None:
    key_id = await _retired(vault, operators)
    await operators.life.schedule_destruction(key_id, days=7)
    await vault.services.key_life.destroy_doomed()
    assert await sql.value(STATES, key_id) == "decrypt_only"
    await sql.change("update vault.data_key set destroy_after = now() where id = $1", key_id)
    await vault.services.key_life.destroy_doomed()
    assert await sql.value(STATES, key_id) == "destroyed"
    [event] = await sql.events("key.data_destroyed")
    assert event["details"] == {"key_id": key_name(key_id), "purpose": "card"}
    location = Location(vault.tenants[0].merchant_id, "t", "r", "f")
    with pytest.raises(KeyUnavailable):
        await operators.keyring.open(bytes([1]) + key_id + bytes(40), location)
    for refusal in (operators.life.compromise(key_id, days=1), operators.life.schedule_destruction(key_id, days=1)):
        with refused("destroyed"):
            await refusal


async def test_a_scheduled_destruction_can_be_undone(vault: Installation, operators: Operators, sql: Sql) -> None:
    key_id = await _retired(vault, operators)
    await operators.life.schedule_destruction(key_id, days=0)
    with refused("scheduled already"):
        await operators.life.schedule_destruction(key_id, days=0)
    await operators.life.undo_destruction(key_id)
    await vault.services.key_life.destroy_doomed()
    assert await sql.value(STATES, key_id) == "decrypt_only"
    with refused("No destruction"):
        await operators.life.undo_destruction(key_id)
    assert len(await sql.events("key.destruction_scheduled", "key.destruction_undone")) == 2


async def test_a_key_that_rows_need_is_not_even_scheduled(vault: Installation, operators: Operators) -> None:
    """T-13."""
    await stored(vault)
    card_key, print_key = await _active(vault), await _active(vault, Purpose.FINGERPRINT)
    with refused("rotate it first"):
        await operators.life.schedule_destruction(card_key, days=7)
    await operators.life.rotate(DATA | FINGERPRINT, vault.tenants[0].merchant_id)
    with refused("card_secret.key_id: 1"):
        await operators.life.schedule_destruction(card_key, days=7)
    with refused("card.fingerprint_key_id: 1"):
        await operators.life.schedule_destruction(print_key, days=7)


async def test_a_key_that_turns_out_to_be_needed_stays_with_an_alarm(
    vault: Installation, operators: Operators, sql: Sql
) -> None:
    """T-13: a backup of one table was restored in the waiting period."""
    card_id = (await stored(vault))["cardId"]
    key_id = await _retired(vault, operators)
    await sql.change("update vault.data_key set destroy_after = now() where id = $1", key_id)
    for life in (vault.services.key_life, vault.services.key_life, operators.life):
        await life.destroy_doomed()
    assert (await sql.value(STATES, key_id), await sql.alarms()) == ("decrypt_only", {"key_still_needed"})
    assert (await paid_on_file(vault, card_id, card_on_file()))["paymentStatus"] == "SUCCESS"


async def test_a_database_that_fails_in_the_middle_leaves_the_key_as_it_was(
    vault: Installation, operators: Operators, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T-5."""
    key_id = await _retired(vault, operators)
    await sql.change("update vault.data_key set destroy_after = now() where id = $1", key_id)
    destroy = key_life.destroy

    async def fail(*arguments: object) -> bool:
        await destroy(*arguments)  # type: ignore[arg-type]  # what the caller gave
        raise StatementFailed("XX000", None)

    monkeypatch.setattr(key_life, "destroy", fail)
    with pytest.raises(StatementFailed):
        await vault.services.key_life.destroy_doomed()
    assert await sql.value("select wrapped <> '' from vault.data_key where id = $1", key_id)


async def test_two_workers_destroy_a_key_once(vault: Installation, operators: Operators, sql: Sql) -> None:
    key_id = await _retired(vault, operators)
    await sql.change("update vault.data_key set destroy_after = now() where id = $1", key_id)
    await asyncio.gather(vault.services.key_life.destroy_doomed(), operators.life.destroy_doomed())
    assert len(await sql.events("key.data_destroyed")) == 1


async def test_a_key_that_is_not_known_or_does_something_else_is_refused(
    vault: Installation, operators: Operators, sql: Sql
) -> None:
    with pytest.raises(NotFound):
        await operators.life.undo_destruction(bytes(16))
    key_id = await _active(vault)
    await sql.connection.execute("alter table vault.data_key drop constraint data_key_purpose_check")
    await sql.change("update vault.data_key set purpose = 'audit' where id = $1", key_id)
    with refused("neither seals"):
        await operators.life.compromise(key_id, days=1)


async def test_the_running_worker_moves_what_a_compromised_key_sealed(
    vault: Installation, operators: Operators, sql: Sql
) -> None:
    await stored(vault)
    await operators.life.compromise(await _active(vault), days=3)
    stop = asyncio.Event()
    services = vault.services
    loops = key_loops(services.reencryption, services.key_life, max_age_days=365, idle=0.02)
    working = asyncio.create_task(run(loops, stop))

    async def moved() -> bool:
        return not await under_retired_keys(sql)

    await until(moved)
    stop.set()
    await working

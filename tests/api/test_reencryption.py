"""Whatever retired keys hold is brought under the active ones while merchants go on (KEY-7)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from keys.envelope import Cipher, Context
from keys.keyring import Purpose
from tests.api.operators import Operators, operators_of
from tests.api.receiver import endpoint
from tests.api.shop import BUYER, Sql, card, paid, paid_on_file, payment, store, stored
from tests.api.vaultings import keep, kept, opened
from tests.canary import SECOND_VISA_CANARY
from tests.installation import OPERATOR_ORIGIN, Installation
from vault import custody
from vault.audit.events import ActorKind, Origin
from vault.db import Database
from vault.errors import Conflict, DatabaseUnavailable
from vault.key_life import DATA, FINGERPRINT
from vault.key_uses import PLACES
from vault.reencryption import DEFAULT_RATE, UNLIMITED, Progress, Reencryption
from vault.roles import APP
from vault.store import reencryption

pytestmark = pytest.mark.anyio
NAME = {"firstName": "Ana", "lastName": "Lopes"}
WORKER = Origin(ActorKind.WORKER, "tests")
RETIRED = "select id from vault.data_key where state in ('decrypt_only', 'compromised')"


@pytest.fixture
async def operators(vault: Installation) -> AsyncIterator[Operators]:
    async with operators_of(vault) as operators:
        yield operators


@pytest.fixture
async def worker(vault: Installation) -> AsyncIterator[Reencryption]:
    """A worker in a process of its own."""
    database = Database(vault.settings.database_url.get_secret_value(), role=APP, pool_size=1)
    yield Reencryption(database, await custody.open_keyring(vault.settings, database), WORKER)
    await database.close()


def _job(operators: Operators) -> Reencryption:
    return Reencryption(operators.database, operators.keyring, OPERATOR_ORIGIN)


async def finish(worker: Reencryption) -> Progress:
    """Work until the job is over."""
    async with asyncio.timeout(60):
        while True:
            await worker.step()
            progress = await worker.progress()
            assert progress is not None
            if not progress.job.open:
                return progress


async def under_retired_keys(sql: Sql) -> dict[str, int]:
    """Count what retired keys still hold, place by place, with statements of the tests' own."""
    counts = {}
    for place in PLACES:
        statement = f"select count(*) from vault.{place.table} where {place.key_column} in ({RETIRED})"
        counts[place.name] = await sql.value(statement)
    return {name: count for name, count in counts.items() if count}


async def _fill(vault: Installation) -> list[str]:
    """Have something sealed in every place there is; gives the ids of cards that can be paid with."""
    first = (await stored(vault, store(card=card(cardholderName=NAME))))["cardId"]
    token = (await kept(vault, keep(buyer="buyer-2")))["cardId"]
    await vault.api.delete(f"/v1/cards/{(await kept(vault, keep(SECOND_VISA_CANARY, 'buyer-3')))['cardId']}")
    body = payment(SECOND_VISA_CANARY, "buyer-4", storeCard="BOTH", is3DSAuthentication=True)
    await paid(vault, body)
    await endpoint(vault, "http://127.0.0.1:9/hook")
    await opened(vault)
    return [first, token]


async def test_everything_sealed_is_moved_and_opens_afterwards(
    vault: Installation, operators: Operators, worker: Reencryption, sql: Sql
) -> None:
    """T-9: afterwards another process opens everything."""
    card_ids = await _fill(vault)
    await operators.life.rotate(DATA | FINGERPRINT, None)
    held = await under_retired_keys(sql)
    assert held.keys() == {place.name for place in PLACES}
    mark = await sql.mark()
    await _job(operators).start()
    progress = await finish(worker)
    all_but_one = sum(held.values()) - 1  # only the gateway holds that card's number
    assert (progress.job.state, progress.done, progress.total, progress.damaged) == (
        "done",
        all_but_one,
        all_but_one,
        0,
    )
    assert await under_retired_keys(sql) == {"card.fingerprint": 1}
    for card_id in dict.fromkeys(card_ids):
        assert (await paid_on_file(vault, card_id))["paymentStatus"] == "SUCCESS"
    events = await sql.after(mark)
    moved = sum(event["details"]["rows"] for event in events if event["type"] == "reencryption.batch")
    assert moved == progress.done


async def _retired(vault: Installation, operators: Operators) -> str:
    """Have one card whose key is retired, and a job; gives the card's id."""
    card_id: str = (await stored(vault))["cardId"]
    await operators.life.rotate(DATA, vault.tenants[0].merchant_id)
    await _job(operators).start()
    return card_id


async def test_a_job_that_is_held_moves_nothing_until_it_is_let_go(
    vault: Installation, operators: Operators, worker: Reencryption, sql: Sql
) -> None:
    await _retired(vault, operators)
    await _job(operators).pause()
    assert not await worker.step()
    assert "card_secret.envelope" in await under_retired_keys(sql)
    await _job(operators).resume()
    assert (await finish(worker)).job.state == "done"
    for hold in (_job(operators).pause, _job(operators).resume):
        with pytest.raises(Conflict):
            await hold()


async def test_before_the_first_job_there_is_nothing_to_do_or_to_tell(worker: Reencryption) -> None:
    assert (await worker.step(), await worker.progress()) == (False, None)


async def test_starting_again_changes_the_pace_of_the_job_that_is_not_over(
    vault: Installation, operators: Operators, sql: Sql
) -> None:
    await _retired(vault, operators)
    first = await _job(operators).progress()
    assert first is not None
    assert first.job.rate == DEFAULT_RATE
    for given, then in ((7, 7), (None, 7), (UNLIMITED, None)):
        again = await _job(operators).start(rate=given)
        assert (again.id, again.rate) == (first.job.id, then)
    assert len(await sql.events("reencryption.started")) == 1


async def test_all_workers_share_one_pace(
    vault: Installation, operators: Operators, worker: Reencryption, sql: Sql
) -> None:
    """Each batch takes its turn behind all that were claimed before it, whoever claimed them."""
    await stored(vault)
    await stored(vault, store(SECOND_VISA_CANARY))
    await operators.life.rotate(DATA, vault.tenants[0].merchant_id)
    job = await _job(operators).start(rate=1)
    await worker.step()
    waits = []
    for database in (worker._database, vault.services.database):
        async with database.transaction() as transaction:
            batch = await reencryption.claim(transaction, job, 1)
            assert batch is not None
            waits.append(round(batch.wait))
    assert waits == [0, 1]


async def test_a_damaged_value_stays_and_blocks_the_end_until_it_is_mended(
    vault: Installation, operators: Operators, worker: Reencryption, sql: Sql
) -> None:
    """T-1; of that card a new fingerprint cannot be made either."""
    card_id = await _retired(vault, operators)
    await stored(vault, store(SECOND_VISA_CANARY))
    await operators.life.rotate(FINGERPRINT, vault.tenants[0].merchant_id)
    envelope = await sql.value("select envelope from vault.card_secret where card_id = $1", card_id)
    damage = "update vault.card_secret set envelope = $1 where card_id = $2"
    await sql.change(damage, envelope[:-1] + bytes([envelope[-1] ^ 1]), card_id)
    progress = await finish(worker)
    assert (progress.job.state, progress.damaged) == ("blocked", 2)
    assert await sql.alarms() == {"integrity_failure"}
    [ended] = await sql.events("reencryption.ended")
    assert (ended["outcome"], ended["details"]) == ("failure", {"rows": 2})
    await sql.change(damage, envelope, card_id)
    await _job(operators).start()
    assert (await finish(worker)).job.state == "done"
    assert (await paid_on_file(vault, card_id))["paymentStatus"] == "SUCCESS"


async def test_a_value_that_does_not_open_again_is_not_written(
    vault: Installation, operators: Operators, worker: Reencryption, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KEY-7: decrypt and compare."""
    card_id = await _retired(vault, operators)
    envelope = await sql.value("select envelope from vault.card_secret where card_id = $1", card_id)
    seal = Cipher.seal

    def elsewise(self: Cipher, _plaintext: object, context: Context) -> bytes:
        return seal(self, b"something else", context)

    monkeypatch.setattr(Cipher, "seal", elsewise)
    assert (await finish(worker)).job.state == "blocked"
    assert await sql.value("select envelope from vault.card_secret where card_id = $1", card_id) == envelope


async def test_what_a_worker_claimed_and_failed_to_renew_is_found_again(
    vault: Installation, operators: Operators, worker: Reencryption, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the first portion, and while another is being written, which is finished."""
    await stored(vault, store(SECOND_VISA_CANARY))
    await _retired(vault, operators)
    await _job(operators).start(rate=UNLIMITED)
    monkeypatch.setattr("vault.reencryption._BATCH", 1)
    assert await worker.step()  # counts what there is
    reseal, calls = worker._keyring.reseal, [0]
    for portions, left in ((0, 2), (1, 1)):

        async def failing(*arguments: Any, most: int = portions) -> Any:
            calls[0] += 1
            if calls[0] > most:
                raise DatabaseUnavailable
            return await reseal(*arguments)

        calls[0] = 0
        with monkeypatch.context() as patch:
            patch.setattr(worker._keyring, "reseal", failing)
            with pytest.raises(DatabaseUnavailable):
                await _until_it_fails(worker)
        assert (await under_retired_keys(sql)).get("card_secret.envelope") == left
        await sql.change("update vault.reencryption_part set open = true, position = '{}'")
    assert (await finish(worker)).job.state == "done"
    assert await under_retired_keys(sql) == {}


async def _until_it_fails(worker: Reencryption) -> None:
    while await worker.step():
        pass


async def test_a_key_that_is_retired_in_the_middle_of_a_batch_gets_nothing_more(
    vault: Installation, operators: Operators, worker: Reencryption, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T-12."""
    await _retired(vault, operators)
    renewed, rotations = worker._renewed, list[object]()

    async def overtaken(*arguments: Any) -> Any:
        made = await renewed(*arguments)
        if not rotations:
            rotations.extend(await operators.life.rotate(DATA, vault.tenants[0].merchant_id))
        return made

    monkeypatch.setattr(worker, "_renewed", overtaken)
    assert (await finish(worker)).job.state == "done"
    assert await under_retired_keys(sql) == {}


async def test_a_job_ends_only_after_every_older_writer(
    vault: Installation, operators: Operators, worker: Reencryption, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _retired(vault, operators)
    monkeypatch.setattr("vault.reencryption._PATIENCE", 0.05)
    async with sql.connection.transaction():
        await sql.connection.execute("update vault.card_secret set key_id = key_id")
        assert not await worker.step()
    assert (await finish(worker)).job.state == "done"


async def test_a_number_is_known_before_while_and_after_its_fingerprint_changes(
    vault: Installation, operators: Operators, worker: Reencryption, sql: Sql
) -> None:
    first = (await stored(vault))["cardId"]
    second = (await stored(vault, store(SECOND_VISA_CANARY)))["cardId"]
    await operators.life.rotate(FINGERPRINT, vault.tenants[0].merchant_id)
    assert (await stored(vault))["cardId"] == first
    await _job(operators).start()
    await worker.step()
    assert ((await stored(vault))["cardId"], (await stored(vault, store(SECOND_VISA_CANARY)))["cardId"]) == (
        first,
        second,
    )
    await finish(worker)
    active = await sql.value(
        "select id from vault.data_key where purpose = 'fingerprint' and state = 'active' and merchant_id = $1",
        vault.tenants[0].merchant_id,
    )
    assert await sql.rows("select distinct fingerprint_key_id from vault.card") == [{"fingerprint_key_id": active}]
    vault.services.keyring.forget(vault.tenants[0].merchant_id, Purpose.FINGERPRINT)
    assert ((await stored(vault))["cardId"], (await stored(vault, store(SECOND_VISA_CANARY)))["cardId"]) == (
        first,
        second,
    )
    assert await sql.count("card") == 2


async def test_a_card_keeps_its_old_fingerprint_while_a_payment_of_its_buyer_knows_it_by_that(
    vault: Installation, operators: Operators, worker: Reencryption, sql: Sql
) -> None:
    known = (await stored(vault))["cardId"]
    view = await paid(vault, payment(storeCard="GATEWAY", is3DSAuthentication=True))
    await operators.life.rotate(FINGERPRINT, vault.tenants[0].merchant_id)
    await _job(operators).start()
    assert (await finish(worker)).done == 0
    await vault.sandbox_api.post(view["nextAction"]["url"], data={"outcome": "success"})
    settled = await vault.settle(view["paymentId"])
    assert (settled["card"]["cardId"], settled["card"]["storage"]) == (known, "BOTH")
    await _job(operators).start()
    assert (await finish(worker)).done >= 1
    assert (await under_retired_keys(sql)) == {}


async def test_of_two_cards_with_one_number_the_older_version_gives_way(
    vault: Installation, operators: Operators, worker: Reencryption, sql: Sql
) -> None:
    """The rotation came between two requests that stored the same number at once."""
    first = (await stored(vault))["cardId"]
    await sql.change("update vault.card set buyer = 'elsewhere'")
    await operators.life.rotate(FINGERPRINT, vault.tenants[0].merchant_id)
    vault.services.keyring.forget(vault.tenants[0].merchant_id, Purpose.FINGERPRINT)
    second = (await stored(vault))["cardId"]
    await sql.change("update vault.card set buyer = $1", BUYER)
    await _job(operators).start()
    assert (await finish(worker)).job.state == "done"
    prints = {row["id"]: row["fingerprint"] for row in await sql.rows("select id, fingerprint from vault.card")}
    assert (prints[first], prints[second] is not None) == (None, True)
    assert (await stored(vault))["cardId"] == second


async def test_a_worker_leaves_to_others_what_they_are_claiming_or_counting(
    vault: Installation, operators: Operators, worker: Reencryption, sql: Sql
) -> None:
    await _retired(vault, operators)
    async with sql.connection.transaction():
        await sql.connection.execute("select from vault.reencryption for update")
        assert not await worker.step()
    assert await worker.step()
    async with sql.connection.transaction():
        await sql.connection.execute("select from vault.reencryption_part for update")
        assert await worker.step()
    assert await sql.value("select sum(done) from vault.reencryption_part") == 0
    assert (await finish(worker)).job.state == "done"

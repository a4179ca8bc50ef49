"""A few thousand cards are moved while merchants store, pay and delete, and workers die all the time (KEY-7, T-14)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from keys.keyring import Location, Purpose
from tests.api.operators import operators_of
from tests.api.shop import Sql, paid_on_file, store, stored
from tests.api.test_reencryption import WORKER, finish, under_retired_keys
from tests.canary import SECOND_VISA_CANARY, VISA_CANARY
from tests.installation import OPERATOR_ORIGIN, Installation
from vault import custody
from vault.db import Database
from vault.key_life import DATA
from vault.reencryption import UNLIMITED, Reencryption
from vault.roles import APP

pytestmark = pytest.mark.anyio
CARDS = 2000
DEATHS = 10


async def _fill(vault: Installation, sql: Sql) -> None:
    """Seal numbers for cards that are then written at once."""
    merchant_id, keyring = vault.tenants[0].merchant_id, vault.services.keyring
    ids = [f"card_{number:04}" for number in range(CARDS)]
    sealed = [
        await keyring.seal(Purpose.CARD, VISA_CANARY.encode(), Location(merchant_id, "card_secret", card_id, "PAN"))
        for card_id in ids
    ]
    await sql.change(
        "insert into vault.card (merchant_id, id, buyer, brand, masked, last_four, expiry_month, expiry_year, status) "
        "select $1, id, 'buyer-' || id, 'VISA', '****', '1111', 11, 2039, 'ACTIVE' from unnest($2::text[]) as given(id)",
        merchant_id,
        ids,
    )
    await sql.change(
        "insert into vault.card_secret (merchant_id, card_id, kind, envelope, key_id) "
        "select $1, id, 'PAN', envelope, $4 from unnest($2::text[], $3::bytea[]) as given(id, envelope)",
        merchant_id,
        ids,
        [each.data for each in sealed],
        sealed[0].key_id,
    )


@asynccontextmanager
async def _worker(vault: Installation) -> AsyncIterator[Reencryption]:
    database = Database(vault.settings.database_url.get_secret_value(), role=APP, pool_size=1)
    yield Reencryption(database, await custody.open_keyring(vault.settings, database), WORKER)
    await database.close()


async def _die_at_work(vault: Installation, seconds: float) -> None:
    """Work until everything is cut off, the connection in the middle of whatever statement included."""
    async with _worker(vault) as worker:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while await worker.step():
                    pass


async def test_nothing_is_lost_whoever_dies(vault: Installation, sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vault.reencryption._BATCH", 25)
    await _fill(vault, sql)
    async with operators_of(vault) as operators:
        await operators.life.rotate(DATA, vault.tenants[0].merchant_id)
        await Reencryption(operators.database, operators.keyring, OPERATOR_ORIGIN).start(rate=UNLIMITED)

    async def shop() -> None:
        for number in range(0, CARDS, CARDS // 20):
            assert (await paid_on_file(vault, f"card_{number:04}"))["paymentStatus"] == "SUCCESS"
            assert (await vault.api.delete(f"/v1/cards/card_{number + 1:04}")).status_code == 204
            await stored(vault, store(SECOND_VISA_CANARY, f"buyer-{number}"))

    shopping = asyncio.create_task(shop())
    for death in range(DEATHS):
        await asyncio.gather(*(_die_at_work(vault, 0.02 + 0.03 * (death % 5)) for _ in range(2)))
    await shopping
    async with _worker(vault) as worker:
        progress = await finish(worker)
    assert (progress.job.state, progress.damaged, await under_retired_keys(sql)) == ("done", 0, {})
    for row in await sql.rows("select merchant_id, card_id, kind, envelope from vault.card_secret where kind = 'PAN'"):
        location = Location(row["merchant_id"], "card_secret", row["card_id"], row["kind"])
        opened = await vault.services.keyring.open(row["envelope"], location)
        assert opened.reveal().decode() in {VISA_CANARY, SECOND_VISA_CANARY}
    assert await sql.value("select count(*) from vault.card where status = 'ACTIVE'") == CARDS

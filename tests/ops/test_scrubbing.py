"""A purge to the last byte: after it no file of the database holds what was deleted, on the oldest PostgreSQL and ours."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ops import purging, scrubbing
from ops.embedded import EmbeddedPostgres, ServerOptions
from ops.inventory import tables_with_secrets
from ops.leaks import files_below
from ops.refusal import Refused
from ops.sandbox.signing import keep_private_key, write_public_key
from tests import stretching
from tests.api.shop import store
from tests.api.vaultings import keep
from tests.canary import MASTERCARD_CANARY, SECOND_VISA_CANARY
from tests.installation import OPERATOR_ORIGIN, Blueprint, installed, onboard, settings_for
from tests.ops.servers import open_folder
from vault import migrations, unsealing

pytestmark = pytest.mark.anyio
_SETTINGS = {"wal_recycle": "off", "fsync": "off", "autovacuum": "off"}


@pytest.fixture(autouse=True)
def one_stretching_for_each_keystore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsealing, "open_seal", stretching.once(unsealing.open_seal, {}))


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedPostgres]:
    """A server of its own, whose write-ahead log is not kept longer than it is needed."""
    with open_folder() as folder:
        options = ServerOptions(settings=_SETTINGS)
        with EmbeddedPostgres(folder / "server", options=options) as server:
            yield server


@asynccontextmanager
async def _root(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url, ssl=False)
    try:
        yield connection
    finally:
        await connection.close()


def _holders(data: Path, needles: list[bytes]) -> set[str]:
    """Name the folders below the data folder in which files hold one of the values."""
    found = {path.relative_to(data).parts[0] for path in files_below(data) if _holds(path, needles)}
    assert all(len(each) > 40 for each in needles)
    return found


def _holds(path: Path, needles: list[bytes]) -> bool:
    content = path.read_bytes()
    return any(each in content for each in needles)


async def _envelopes(root: Any, table: str) -> list[bytes]:
    return [row["envelope"] for row in await root.fetch(f"select envelope from vault.{table}")]


async def test_no_file_of_the_database_holds_what_a_purge_or_an_erasure_deleted(
    cluster: EmbeddedPostgres, tmp_path: Path
) -> None:
    """RET-2: a card that was purged, one of an erased buyer, and a token on its way to be deleted at the gateway."""
    url = cluster.url("postgres")
    await migrations.upgrade(url)
    gateway_key = write_public_key(keep_private_key(tmp_path / "gateway.pem").public_key())
    tenants = await onboard(tmp_path, url, gateway_key, 1)
    async with _root(url) as root, installed(Blueprint("", tmp_path, tenants), url) as vault:
        for body in (store(), store(SECOND_VISA_CANARY, "erased"), keep(MASTERCARD_CANARY)):
            assert (await vault.api.post("/v1/cards", json=body)).status_code == 201
        deleted = await _envelopes(root, "card_secret")
        assert (await vault.api.post("/v1/cards", json=store(MASTERCARD_CANARY, "stays"))).status_code == 201
        (kept,) = [each for each in await _envelopes(root, "card_secret") if each not in deleted]
        await root.execute("analyze; checkpoint")
        assert {"base", "pg_wal"} <= _holders(cluster.data, deleted)
        async with root.transaction():
            await root.execute("set local session_replication_role = replica")
            await root.execute("update vault.card set expiry_year = 2020 where buyer = 'buyer-1'")
        assert (await vault.api.delete("/v1/buyers/erased")).status_code == 204
        report = await purging.purge_and_scrub(settings_for(tmp_path, url), OPERATOR_ORIGIN)
        assert (report["purge"]["purged"], report["verification"]["overdue"]) == (2, 0)
        assert report["tokensWaiting"] == 1
        await vault.services.tokens.delete_due()
        scrubbed = await scrubbing.scrub(url, OPERATOR_ORIGIN)
        await root.execute("checkpoint")
        assert _holders(cluster.data, deleted) == set()
        assert "base" in _holders(cluster.data, [kept])
        assert scrubbed.wal_recycled is False
        assert {"card_secret", "payment_secret", "token_deletion", "vaulting_secret"} <= set(scrubbed.tables)
        assert await root.fetchval("select count(*) from vault.retention_run where kind = 'SCRUB'") == 2


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrubbing, "_TRIES", 2)
    monkeypatch.setattr(scrubbing, "_PAUSE", 0.01)
    monkeypatch.setattr(scrubbing, "_LOCK_WAIT", "10ms")


@pytest.mark.parametrize("statement", ["select count(*) from pg_class", "lock table vault.card_secret in share mode"])
async def test_nothing_counts_as_scrubbed_while_somebody_may_still_see_what_was_deleted(
    database_url: str, hasty: None, statement: str
) -> None:
    """An old snapshot, as a backup's, keeps deleted rows; a lock keeps the table."""
    async with _root(database_url) as other, other.transaction(isolation="repeatable_read"):
        await other.execute(statement)
        async with _root(database_url) as root:
            await root.execute("create table vault.made_meanwhile ()")
        with pytest.raises(Refused, match="could not be rewritten"):
            await scrubbing.scrub(database_url, OPERATOR_ORIGIN)
        assert await other.fetchval("select count(*) from vault.retention_run") == 0


async def test_a_login_without_the_rights_is_told_which_are_missing(database_url: str) -> None:
    login = f"owner_{database_url.rpartition('/')[2]}"
    url = f"postgresql://{login}:only-for-this-test@{database_url.rpartition('@')[2]}"
    async with _root(database_url) as root:
        await root.execute(f"create role {login} login password 'only-for-this-test'")
        try:
            with pytest.raises(Refused, match="does not own"):
                await scrubbing.require_rights(url)
            for table in tables_with_secrets():
                await root.execute(f"alter table vault.{table} owner to {login}")
            await root.execute(f"grant usage on schema vault to {login}")
            with pytest.raises(Refused, match="grant pg_checkpoint"):
                await scrubbing.require_rights(url)
            await root.execute(f"grant pg_checkpoint to {login}")
            assert (await scrubbing.require_rights(url)).switcher is False
        finally:
            await root.execute(f"reassign owned by {login} to current_user; drop owned by {login}; drop role {login}")


async def test_a_database_that_cannot_be_reached_is_told(database_url: str) -> None:
    with pytest.raises(Refused, match="there is no database of that name"):
        await scrubbing.require_rights(f"{database_url}_not")

"""A new root key while a vault is running."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from keys.errors import CannotOpen, KeyUnavailable, SealFileMissing
from keys.keyring import Purpose
from tests.api.ceremonies import Bench, bench_at
from tests.api.shop import Sql, paid, payment, stored
from tests.installation import OPERATOR_ORIGIN, Blueprint, Installation, key_pair
from vault import custody, root_rotation, seals, shares
from vault.db import StatementFailed, Transaction
from vault.directory import GatewayKeys
from vault.errors import Conflict
from vault.merchant import MerchantSettings
from vault.onboarding import NewMerchant, Onboarding
from vault.root_rotation import Rotated, Shares
from vault.store import root_keys

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bench(blueprint: Blueprint, onboarded_url: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_at(blueprint, onboarded_url, tmp_path) as bench:
        yield bench


async def _rotate(bench: Bench, given: Shares | None = None) -> Rotated:
    return await root_rotation.rotate(bench.ceremony, given or Shares())


async def _under(sql: Sql) -> set[int]:
    rows = await sql.rows("select distinct version from vault.data_key k join vault.root_key r on r.id = k.root_key_id")
    return {row["version"] for row in rows}


async def test_a_running_vault_goes_on_under_the_new_root_key(vault: Installation, bench: Bench, sql: Sql) -> None:
    """T-9, T-12: a process that was told nothing reads old rows and writes new ones, and so does one that starts now."""
    card = await stored(vault)
    mark = await sql.mark()
    rotated = await _rotate(bench)
    assert (rotated.active.version, rotated.retired.version, rotated.moved) == (2, 1, await sql.count("data_key"))
    assert await sql.since(mark) == ["key.root_created", "key.data_rewrapped", "key.root_retired"]
    assert await _under(sql) == {2}
    assert await sql.rows("select version, state from vault.root_key order by 1") == [
        {"version": 1, "state": "retired"},
        {"version": 2, "state": "active"},
    ]
    for merchant in vault.tenants:
        for purpose in (Purpose.CARD, Purpose.CREDENTIAL, Purpose.FINGERPRINT):
            vault.services.keyring.forget(merchant.merchant_id, purpose)
    assert (await paid(vault, payment()))["paymentStatus"] == "SUCCESS"
    assert (await vault.api.get(f"/v1/cards/{card['cardId']}")).status_code == 200
    fresh = await custody.open_keyring(bench.settings, bench.database)
    assert (await fresh.active(vault.tenants[0].merchant_id, Purpose.CARD)).purpose is Purpose.CARD


class Killed(BaseException):
    """Nothing that the product catches."""


@pytest.mark.parametrize("committed", ["rolled back", "committed"])
@pytest.mark.parametrize("step", ["rewrap", "retire"])
async def test_a_rotation_that_was_killed_is_finished_by_the_next(
    bench: Bench, sql: Sql, monkeypatch: pytest.MonkeyPatch, step: str, committed: str
) -> None:
    """T-5, T-14, T-15: whether or not the step took effect, everything opens meanwhile, and one more run ends it."""
    work = getattr(root_keys, step)

    async def killed(transaction: Transaction, *arguments: Any) -> None:
        if committed == "committed":
            async with bench.database.transaction() as apart:
                await work(apart, *arguments)
        else:
            await work(transaction, *arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(root_keys, step, killed)
        with pytest.raises(Killed):
            await _rotate(bench)
    assert await bench.opens()
    if (step, committed) != ("retire", "committed"):
        assert await sql.count("root_wrap") == 2
        assert (await _rotate(bench)).active.version == 2
    assert await _under(sql) == {2}
    assert await sql.count("root_wrap") == 1


async def test_every_seal_has_to_work_before_anything_changes(bench: Bench, sql: Sql) -> None:
    await bench.added(bench.keystore("second"))
    mark = await sql.mark()
    with pytest.raises(Conflict):
        await _rotate(bench)
    both = bench.with_seals(bench.present, bench.keystore("second"))
    (bench.folder / "second").rename(bench.folder / "hidden")
    with pytest.raises(SealFileMissing):
        await _rotate(both)
    assert set(await sql.since(mark)) <= {"alarm.raised"}
    (bench.folder / "hidden").rename(bench.folder / "second")
    await _rotate(both)
    assert await bench.with_seals(bench.keystore("second")).opens()


async def test_a_seal_that_is_configured_and_was_never_added_gets_nothing(bench: Bench) -> None:
    names = await bench.names()
    await bench.added(bench.keystore("second"))
    await seals.remove(bench.ceremony, (set(await bench.names()) - set(names)).pop())
    await _rotate(bench.with_seals(bench.present, bench.keystore("second")))
    assert await bench.names() == names


async def test_shares_are_carried_over_or_dropped_on_purpose(bench: Bench) -> None:
    words = await bench.in_force(2, "alice", "bob", "carol")
    with pytest.raises(Conflict):
        await _rotate(bench)
    await _rotate(bench, Shares(await shares.open_seal(bench.database, words[1:])))
    assert await bench.opens()
    (bench.folder / "passphrase").write_text("another horse battery")
    lost = bench.with_seals(f"{bench.keystore('new')}?passphrase-file={bench.folder / 'passphrase'}")
    await shares.recover(lost.ceremony, words[:2])
    assert await lost.opens()
    both = bench.with_seals(bench.present, lost.settings.seal)
    await _rotate(both, Shares(drop=True))
    with pytest.raises(Conflict):
        await _rotate(both, Shares(await shares.open_seal(bench.database, words[:2])))
    with pytest.raises(Conflict):
        await shares.recover(lost.ceremony, words[:2])


async def test_of_two_who_rotate_at_once_neither_breaks_the_other(bench: Bench, sql: Sql) -> None:
    outcomes = await asyncio.gather(_rotate(bench), _rotate(bench), return_exceptions=True)
    assert any(isinstance(each, Rotated) for each in outcomes)
    assert all(isinstance(each, Rotated | Conflict) for each in outcomes), outcomes
    assert await sql.value("select count(*) from vault.root_key where state = 'active'") == 1
    assert await bench.opens()


async def test_a_key_made_under_the_old_root_key_meanwhile_keeps_it(
    bench: Bench, sql: Sql, vault: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T-13: the database does not let the root key go, and afterwards refuses keys under it."""
    roots = await custody.open_roots(bench.settings, bench.database)
    onboarding = Onboarding(bench.settings, bench.database, roots, vault.services.keyring, OPERATOR_ORIGIN)

    async def merchant(name: str) -> None:
        private, public = key_pair()
        keys = GatewayKeys(private, "1", {"1": public})
        await onboarding.create_merchant(NewMerchant(name, f"SANDBOX_{name}", keys, MerchantSettings()))

    retire = root_keys.retire

    async def late(*arguments: Any) -> bool:
        await merchant("LATE")
        return await retire(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(root_keys, "retire", late)
        with pytest.raises(Conflict):
            await _rotate(bench)
    assert (await _rotate(bench)).moved == 3
    with pytest.raises(StatementFailed) as refused:
        await merchant("TOOLATE")
    assert refused.value.constraint == "data_key_root_active"


async def test_a_data_key_that_does_not_open_stops_the_rotation(bench: Bench, sql: Sql) -> None:
    """T-1."""
    await sql.change("update vault.data_key set wrapped = wrapped || 'x' where purpose = 'card'")
    with pytest.raises(CannotOpen):
        await _rotate(bench)
    assert await sql.value("select count(*) from vault.root_key where state = 'active'") == 2
    assert await bench.opens()


async def test_a_failure_of_the_database_is_no_quarrel_about_versions(
    bench: Bench, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sql.connection.execute("revoke insert on vault.root_key from cardvault_operator")
    with pytest.raises(StatementFailed):
        await _rotate(bench)


async def test_seals_that_are_gone_are_not_asked_with_every_request(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T-17: a process that meets an unknown root key tries again after ten seconds, and keeps what it has till then."""
    now, tried = 0.0, 0
    open_roots = custody.open_roots

    async def counted(*arguments: Any) -> Any:
        nonlocal tried
        tried += 1
        return await open_roots(*arguments)

    monkeypatch.setattr(custody, "open_roots", counted)
    reopening = custody._Reopening(bench.with_seals(bench.keystore("gone")).settings, bench.database, lambda: now)
    with pytest.raises(KeyUnavailable):
        await reopening()
    assert (await reopening(), tried) == ({}, 1)
    now += 10
    with pytest.raises(KeyUnavailable):
        await reopening()
    assert tried == 2

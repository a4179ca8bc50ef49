"""Custodians' shares of a running installation's root key."""

import asyncio
from collections.abc import AsyncIterator
from itertools import combinations
from pathlib import Path

import pytest

from keys.errors import ShareRepeated, SharesTooFew, ShareUnknown
from keys.sealed import KeyMaterial
from keys.seals import shares as slip39
from keys.seals.shares import ShareWords
from tests.api.ceremonies import Bench, bench_at
from tests.api.shop import Sql
from tests.database import Databases
from tests.installation import OPERATOR_ORIGIN, Blueprint
from vault import seals, shares, unsealing
from vault.errors import Conflict
from vault.shares import IssuedShare
from vault.store import keys

pytestmark = pytest.mark.anyio
THREE = ("alice", "bob", "carol")


@pytest.fixture
async def bench(blueprint: Blueprint, onboarded_url: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_at(blueprint, onboarded_url, tmp_path) as bench:
        yield bench


@pytest.fixture
def foreign() -> list[ShareWords]:
    return slip39.split(KeyMaterial.generate(), 2, 2)


async def _live_sets(bench: Bench) -> list[str]:
    return [name for name in await bench.names() if name.startswith(unsealing.SHARES)]


@pytest.mark.parametrize(
    ("threshold", "custodians"),
    [(1, THREE), (4, THREE), (2, ("alice",)), (2, ("alice", "alice")), (2, ("alice", "../bob")), (2, ("alice", ""))],
)
async def test_a_set_that_makes_no_sense_is_refused(bench: Bench, threshold: int, custodians: tuple[str, ...]) -> None:
    """KEY-2, KEY-11."""
    with pytest.raises(Conflict):
        await bench.issued(threshold, *custodians)
    assert await _live_sets(bench) == []


async def test_a_set_of_which_a_share_was_not_delivered_is_none(bench: Bench, sql: Sql) -> None:
    """T-10, T-15."""
    mark = await sql.mark()

    def deliver(share: IssuedShare) -> None:
        if share.custodian == "carol":
            raise FileExistsError

    with pytest.raises(FileExistsError):
        await shares.create(bench.ceremony, 2, THREE, deliver)
    assert (await _live_sets(bench), await sql.since(mark)) == ([], [])


async def test_a_share_is_looked_at_without_opening_anything(bench: Bench) -> None:
    """Also when every seal is gone."""
    issued = await bench.issued(2, *THREE)
    shown = await shares.look_up(bench.with_seals(bench.keystore("gone")).database, issued[1].words)
    assert (shown.held.number, shown.held.custodian, shown.live) == (2, "bob", True)
    assert [shown.set_name] == await _live_sets(bench)


async def test_a_share_of_somebody_elses_set_is_unknown(bench: Bench, foreign: list[ShareWords], sql: Sql) -> None:
    words = await bench.in_force(2, *THREE)
    with pytest.raises(ShareUnknown):
        await shares.look_up(bench.database, foreign[0])
    await sql.change("update vault.share_set set identifier = $1", foreign[0].identifier)
    with pytest.raises(ShareUnknown):
        await shares.look_up(bench.database, foreign[0])
    with pytest.raises(ShareUnknown):
        await shares.recover(bench.ceremony, words[:2])


async def test_older_shares_work_until_the_new_set_is_in_force(bench: Bench, sql: Sql) -> None:
    """T-10, KEY-13."""
    old = await bench.in_force(2, *THREE)
    (first,) = await _live_sets(bench)
    mark = await sql.mark()
    new = await bench.issued(2, "dora", "emil")
    assert len(await _live_sets(bench)) == 2
    missing = [await shares.acknowledge(bench.database, OPERATOR_ORIGIN, each.words) for each in (new[0], new[0])]
    assert missing == [1, 1]
    assert (await shares.open_seal(bench.database, old[:2])).name == first
    assert await shares.acknowledge(bench.database, OPERATOR_ORIGIN, new[1].words) == 0
    assert (first in await _live_sets(bench), len(await _live_sets(bench))) == (False, 1)
    assert (await shares.look_up(bench.database, old[0])).live is False
    with pytest.raises(Conflict):
        await shares.acknowledge(bench.database, OPERATOR_ORIGIN, old[0])
    assert await sql.since(mark) == [
        "key.shares_created",
        *["key.share_acknowledged"] * 3,
        "key.shares_in_force",
        "key.seal_removed",
    ]


async def test_who_acknowledged_what_is_recorded(bench: Bench, sql: Sql) -> None:
    """KEY-13."""
    issued = await bench.issued(2, *THREE)
    assert (
        await shares.unacknowledged(bench.database, (await shares.look_up(bench.database, issued[0].words)).share_set)
        == 3
    )
    mark = await sql.mark()
    await shares.acknowledge(bench.database, OPERATOR_ORIGIN, issued[2].words)
    (event,) = await sql.after(mark)
    assert (event["objects"], event["details"]["number"], len(event["details"]["statement"])) == ([], 3, 64)
    assert "carol" not in str(event)
    (row,) = await sql.rows("select statement from vault.custodian_share where acknowledged_at is not null")
    assert row["statement"].hex() == event["details"]["statement"]


async def test_the_two_who_are_last_bring_a_set_into_force_once(bench: Bench, sql: Sql) -> None:
    issued = await bench.issued(2, "alice", "bob")
    await asyncio.gather(*(shares.acknowledge(bench.database, OPERATOR_ORIGIN, each.words) for each in issued))
    assert len(await sql.events("key.shares_in_force")) == 1


async def test_when_every_seal_is_gone_a_backup_and_k_shares_restore_service(
    bench: Bench, blueprint: Blueprint, databases: Databases, onboarded_url: str, sql: Sql
) -> None:
    """T-10, T-54: the database alone survives, the keystore is lost with its passphrase; any k shares do, k - 1 do not."""
    words = await bench.in_force(3, *THREE, "dora", "emil")
    await sql.connection.close()
    await bench.database.close()
    restored = databases.fresh(onboarded_url.rpartition("/")[2])
    async with bench_at(blueprint, await asyncio.to_thread(next, restored), bench.folder) as elsewhere:
        (lost,) = [name for name in await elsewhere.names() if name.startswith("local:")]
        (bench.folder / "new passphrase").write_text("quite another passphrase")
        uri = f"{bench.keystore('new')}?passphrase-file={bench.folder / 'new passphrase'}"
        recovering = elsewhere.with_seals(uri)
        for too_few in combinations(words, 2):
            with pytest.raises(SharesTooFew):
                await shares.recover(recovering.ceremony, too_few)
        async with elsewhere.database.session() as session:
            wraps = await keys.roots(session)
        for enough in combinations(words, 3):
            seal = await shares.open_seal(elsewhere.database, enough)
            assert await unsealing.unwrap(seal, wraps, elsewhere.settings.environment)
        (name,) = await shares.recover(recovering.ceremony, [words[4], words[0], words[2]])
        assert await recovering.opens()
        await seals.remove(recovering.ceremony, lost)
        assert sorted(await elsewhere.names()) == sorted([name, *await _live_sets(elsewhere)])
        assert await shares.recover(recovering.ceremony, words[:3]) == [name]
    await asyncio.to_thread(next, restored, None)


async def test_a_recovery_that_fails_changes_nothing_and_is_recorded(bench: Bench, sql: Sql) -> None:
    """KEY-11: too few, twice the same, of two sets."""
    words = await bench.in_force(2, *THREE)
    names, mark = await bench.names(), await sql.mark()
    other = await bench.issued(2, "dora", "emil")
    wrong = {SharesTooFew: [words[0]], ShareRepeated: [words[0], words[0]], ShareUnknown: [words[0], other[0].words]}
    recovering = bench.with_seals(bench.keystore("new"))
    for expected, given in {**wrong, SharesTooFew: []}.items():
        with pytest.raises(expected):
            await shares.recover(recovering.ceremony, given)
    assert set(names) <= set(await bench.names())
    assert not (bench.folder / "new").exists()
    events = [event for event in await sql.after(mark) if event["type"] == "key.root_recovered"]
    assert [(event["outcome"], event["reason"]) for event in events] == [
        ("failure", each.__name__) for each in (SharesTooFew, ShareRepeated, ShareUnknown)
    ]


async def test_a_share_that_nobody_acknowledged_opens_nothing(bench: Bench) -> None:
    """KEY-13: to acknowledge takes no seal, so this stands in nobody's way."""
    issued = [share.words for share in await bench.issued(2, *THREE)]
    await shares.acknowledge(bench.database, OPERATOR_ORIGIN, issued[0])
    with pytest.raises(Conflict):
        await shares.recover(bench.ceremony, issued[:2])
    await shares.acknowledge(bench.database, OPERATOR_ORIGIN, issued[1])
    assert await shares.recover(bench.ceremony, issued[:2])

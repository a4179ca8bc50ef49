"""Shredding: deleted cards that no copy of the database gives back, and a receipt that says so only when it is true."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import asyncpg
import pytest

from keys.errors import KeysError
from keys.keyring import Location, Purpose
from keys.sealed import Plaintext
from keys.seals import opening
from keys.seals.address import SealAddress
from keys.seals.shares import ShareWords
from tests.api.ceremonies import Bench, bench_at
from tests.api.shop import Sql, paid_on_file, store, stored
from tests.api.shreddings import held_at, own_bench, plan
from tests.api.test_key_ends import refused
from tests.canary import SECOND_VISA_CANARY
from tests.database import Databases
from tests.hsm import Hsm
from tests.installation import OPERATOR_ORIGIN, Blueprint, Installation, installed
from tests.kms import Kms
from vault import custody, root_rotation, seals, shares
from vault.audit.note import NoteInvalid, NoteKey, sign
from vault.db import StatementFailed
from vault.errors import Conflict, NotFound
from vault.receipt import NAME, verified
from vault.shares import IssuedShare
from vault.shredding import Plan
from vault.store import key_life
from vault.store import shredding as rows

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bench(blueprint: Blueprint, onboarded_url: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with own_bench(blueprint, onboarded_url, tmp_path) as bench:
        yield bench


async def _opens(blueprint: Blueprint, bench: Bench, url: str, sealed: tuple[bytes, Location]) -> str | None:
    """Try to open an envelope of a copy with everything that is left; gives why it does not open."""
    async with bench_at(blueprint, url, bench.folder, seal=bench.settings.seal) as copy:
        try:
            keyring = await custody.open_keyring(copy.settings, copy.database)
            assert await keyring.open(*sealed) == Plaintext(SECOND_VISA_CANARY.encode())
        except KeysError as failure:
            return type(failure).__name__
    return None


async def _destroyed(bench: Bench, words: ShareWords) -> None:
    shown = await shares.require_ended(bench.database, words)
    await shares.record_destruction(bench.database, OPERATOR_ORIGIN, shown)


async def _stored(vault: Installation, url: str) -> tuple[str, str, tuple[bytes, Location]]:
    """Store two cards; gives both ids, and what the second one's number is sealed as."""
    kept = (await stored(vault))["cardId"]
    gone = (await stored(vault, store(SECOND_VISA_CANARY, "buyer-2")))["cardId"]
    connection = await asyncpg.connect(url, ssl=False)
    envelope = await connection.fetchval("select envelope from vault.card_secret where card_id = $1", gone)
    await connection.close()
    return kept, gone, (envelope, Location(vault.tenants[0].merchant_id, "card_secret", gone, "PAN"))


async def test_a_deleted_card_is_in_no_backup_once_every_old_opener_is_gone(
    blueprint: Blueprint, databases: Databases, onboarded_url: str, tmp_path: Path
) -> None:
    """The backup drill (RET-2): yesterday's dump opens while one opener is kept, and the receipt says so."""
    async with own_bench(blueprint, onboarded_url, tmp_path) as bench:
        words = await bench.in_force(2, "alice", "bob")
        async with installed(blueprint, onboarded_url, seal=bench.settings.seal) as vault:
            kept, gone, sealed = await _stored(vault, onboarded_url)
    dump = databases.fresh(onboarded_url.rpartition("/")[2])
    yesterday = await asyncio.to_thread(next, dump)
    async with (
        own_bench(blueprint, onboarded_url, tmp_path) as bench,
        installed(blueprint, onboarded_url, seal=bench.settings.seal) as vault,
    ):
        assert (await vault.api.delete(f"/v1/cards/{gone}")).status_code == 204
        ceremony = await held_at(bench)
        await ceremony.shredding.begin(plan(bench, 2, "carol", "dora"))
        shred = await ceremony.carried_out()
        assert await ceremony.cards() == [gone]
        assert await ceremony.shredding.lacks_shares(shred)
        issued: list[IssuedShare] = []
        await shares.create(bench.ceremony, 2, ["carol", "dora"], issued.append)
        assert not await ceremony.shredding.lacks_shares(shred)
        assert len(await ceremony.left()) == 3
        assert await _opens(blueprint, bench, yesterday, sealed) is None
        await _destroyed(bench, words[0])
        assert len(await ceremony.shredding.end_openers()) == 1
        assert [name.rpartition("#")[2] for name in await ceremony.left()] == ["2"]
        assert not (bench.folder / "own").exists()
        await _destroyed(bench, words[1])
        assert (await ceremony.receipt()).complete
        assert await _opens(blueprint, bench, yesterday, sealed) == "SealFileMissing"
        with pytest.raises(Conflict):
            await _destroyed(bench, issued[0].words)
        assert (await paid_on_file(vault, kept))["paymentStatus"] == "SUCCESS"
        assert await bench.with_seals(bench.keystore("new")).opens()
    await asyncio.to_thread(next, dump, None)


async def test_openers_of_every_kind_end_and_one_that_is_only_to_be_deleted_counts_as_left(
    bench: Bench, hsm: Hsm, kms: Kms
) -> None:
    arn = kms.new_key()
    away = bench.with_seals(bench.keystore("own"), hsm.uri("shredded"), kms.uri(arn))
    for uri in (hsm.uri("shredded"), kms.uri(arn)):
        await away.added(uri)
    everything = bench.with_seals(away.settings.seal, bench.keystore("new"))
    ceremony = await held_at(everything)
    await ceremony.shredding.begin(plan(bench))
    await ceremony.carried_out()
    assert len(await ceremony.left()) == 3
    assert len(await ceremony.shredding.end_openers()) == 3
    (scheduled,) = [opener for opener in (await ceremony.receipt()).openers if not opener.final]
    assert (scheduled.name, scheduled.fate, scheduled.due_at is not None) == (f"awskms:{arn}", "scheduled", True)
    assert await ceremony.shredding.end_openers() == [f"awskms:{arn}"]
    assert kms.calls.count("ScheduleKeyDeletion") == 1
    del kms.keys[arn]
    assert await ceremony.shredding.end_openers() == [f"awskms:{arn}"]
    assert (await ceremony.receipt()).complete
    assert await ceremony.shredding.end_openers() == []
    checks = await seals.verify(everything.ceremony)
    assert [check.failure is None for check in checks] == [False, False, False, True]


async def test_what_is_out_of_reach_is_attested_and_what_is_in_use_is_not(bench: Bench) -> None:
    ceremony = await held_at(bench)
    await ceremony.shredding.begin(plan(bench))
    with pytest.raises(Conflict):
        await ceremony.shredding.replace_root(await ceremony.shredding.current())
    await ceremony.carried_out()
    (bench.folder / "own").unlink()
    assert await ceremony.shredding.end_openers() == []
    (left,) = await ceremony.left()
    (used,) = await bench.names()
    for name in (used, "local:nobody"):
        with pytest.raises(NotFound):
            await ceremony.shredding.attest(name)
    await ceremony.shredding.attest(left)
    assert (await ceremony.receipt()).complete


async def test_an_old_opener_that_was_added_again_is_in_use_and_stays(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receipt says that root keys are not severed; the seal is not destroyed, also if it came after the look."""
    ceremony = await held_at(bench)
    await ceremony.shredding.begin(plan(bench))
    shred = await ceremony.carried_out()
    await seals.add(bench.ceremony, bench.at(bench.keystore("own")), create=False)
    with pytest.raises(Conflict):
        await ceremony.shredding.end_openers()
    with monkeypatch.context() as patch:
        patch.setattr(rows, "is_in_use", _no)
        with pytest.raises(Conflict):
            await ceremony.shredding.end_openers()
    receipt = await ceremony.receipt()
    assert (receipt.severed, receipt.complete) == (False, False)
    with pytest.raises(Conflict):
        await ceremony.shredding.replace_root(shred)
    assert (bench.folder / "own").exists()


async def test_what_was_put_in_the_place_of_a_destroyed_opener_is_never_destroyed_for_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T-14: the process died after it removed the old keystore, and a new one has the address."""
    ceremony = await held_at(bench)
    await ceremony.shredding.begin(plan(bench))
    await ceremony.carried_out()
    old = await ceremony.left()
    with monkeypatch.context() as patch:
        patch.setattr(opening, "destroy", _killed_after(opening.destroy))
        with pytest.raises(Killed):
            await ceremony.shredding.end_openers()
    own = bench.folder / "own"
    assert not own.exists()
    await bench.added(bench.keystore("own"))
    assert await ceremony.shredding.end_openers() == []
    assert own.exists()
    own.write_text("exposed")
    own.chmod(0o644)
    assert await ceremony.shredding.end_openers() == []
    assert await ceremony.left() == old
    own.unlink()
    assert await ceremony.shredding.end_openers() == old
    assert (await ceremony.receipt()).complete


async def test_a_deletion_that_was_taken_back_for_a_seal_in_use_is_not_asked_for_again(bench: Bench, kms: Kms) -> None:
    arn = kms.new_key()
    await bench.with_seals(bench.keystore("own"), kms.uri(arn)).added(kms.uri(arn))
    everything = bench.with_seals(kms.uri(arn), bench.keystore("own"), bench.keystore("new"))
    ceremony = await held_at(everything)
    await ceremony.shredding.begin(plan(bench))
    await ceremony.carried_out()
    assert len(await ceremony.shredding.end_openers()) == 2
    kms.dying.clear()
    kms.disabled.clear()
    await everything.with_seals(bench.keystore("new"), kms.uri(arn)).added(kms.uri(arn))
    with pytest.raises(Conflict):
        await ceremony.shredding.end_openers()
    assert kms.calls.count("ScheduleKeyDeletion") == 1


async def test_a_later_rotation_of_the_root_key_takes_nothing_from_a_ceremony(bench: Bench) -> None:
    """It goes on, and its receipt can be written again: what severed it counts, not what is the newest."""
    ceremony = await held_at(bench)
    await ceremony.shredding.begin(plan(bench))
    shred = await ceremony.carried_out()
    old = await ceremony.left()
    await root_rotation.rotate(bench.with_seals(bench.keystore("new")).ceremony, root_rotation.Shares())
    ceremony = await held_at(bench)
    assert await ceremony.left() == old
    await ceremony.shredding.replace_root(shred)
    assert await ceremony.shredding.end_openers() == old
    assert (await ceremony.receipt()).complete
    await root_rotation.rotate(bench.with_seals(bench.keystore("new")).ceremony, root_rotation.Shares())
    receipt = await (await held_at(bench)).receipt()
    assert (receipt.complete, receipt.root_version) == (True, 4)


async def test_cards_that_a_complete_shredding_covers_are_not_covered_again(
    bench: Bench, blueprint: Blueprint, onboarded_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cards are looked at in portions, here of one card, in which none may be deleted."""
    monkeypatch.setattr(rows, "_PORTION", 1)
    async with installed(blueprint, onboarded_url, seal=bench.settings.seal) as vault:
        _, gone, _ = await _stored(vault, onboarded_url)
        await stored(vault, store(buyer="buyer-3"))
        await vault.api.delete(f"/v1/cards/{gone}")
    for complete, name in ((False, "new"), (True, "third"), (True, "fourth")):
        if name != "new":
            bench = bench.with_seals(bench.settings.seal, bench.keystore(name))
        ceremony = await held_at(bench)
        await ceremony.shredding.begin(Plan([bench.keystore(name)], None, []))
        assert await ceremony.cards() == ([] if name == "fourth" else [gone])
        await ceremony.carried_out()
        if complete:
            await ceremony.shredding.end_openers()
            assert (await ceremony.receipt()).complete
        else:
            assert not (await ceremony.receipt()).complete


async def test_an_interrupted_rotation_is_finished_before_the_root_key_is_severed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(root_rotation, "_move", _killed)
        with pytest.raises(Killed):
            await root_rotation.rotate(bench.with_seals(bench.keystore("own")).ceremony, root_rotation.Shares())
    ceremony = await held_at(bench)
    await ceremony.shredding.begin(plan(bench))
    await ceremony.carried_out()
    assert (await ceremony.receipt()).root_version == 3
    await ceremony.shredding.end_openers()
    assert (await ceremony.receipt()).complete


class Killed(BaseException):
    """Nothing that the product catches."""


async def _killed(*_: object) -> int:
    raise Killed


def _killed_after(destroy: Callable[[SealAddress], object]) -> Callable[[SealAddress], None]:
    def destroyed(address: SealAddress) -> None:
        destroy(address)
        raise Killed

    return destroyed


async def test_a_plan_that_leaves_a_way_open_is_refused(bench: Bench) -> None:
    """Before anything is kept."""
    ceremony = await held_at(bench)
    with pytest.raises(Conflict):
        await ceremony.shredding.current()
    own, new, other = (bench.keystore(name) for name in ("own", "new", "other"))
    senseless: Sequence[Plan] = [
        Plan([], None, []),
        Plan([other], None, []),
        Plan([own], None, []),
        Plan([new, own], None, []),
        Plan([new], 2, ["alice"]),
        Plan([new], None, ["alice", "bob"]),
    ]
    for each in senseless:
        with pytest.raises(Conflict):
            await ceremony.shredding.begin(each)
    await bench.issued(2, "alice", "bob")
    with pytest.raises(Conflict):
        await ceremony.shredding.begin(plan(bench))
    with pytest.raises(Conflict):
        await ceremony.shredding.current()


async def test_a_receipt_is_taken_for_nothing_else(bench: Bench) -> None:
    """A note that the same key signed is no receipt, and neither is another key's."""
    signer = await (await held_at(bench)).keyring.signer("", Purpose.AUDIT)
    key = NoteKey(NAME, signer.public)
    with pytest.raises(NoteInvalid, match="no receipt"):
        verified(sign("log\n1\nAAAA\n", NAME, signer).encode(), key)
    with pytest.raises(NoteInvalid):
        verified(sign("cardvault.shred-receipt/1\n{}\n", NAME, signer).encode(), NoteKey(NAME, bytes(32)))


async def test_a_receipt_is_verified_with_the_key_that_signed_it_whichever_is_in_use(bench: Bench) -> None:
    signer = await (await held_at(bench)).keyring.signer("", Purpose.AUDIT)
    note = sign("cardvault.shred-receipt/1\n{}\n", NAME, signer).encode()
    assert verified(note, NoteKey(NAME, bytes(32)), NoteKey(NAME, signer.public)) == {}


async def test_a_key_that_came_into_use_again_or_rows_that_came_late_stop_the_destruction(
    bench: Bench, sql: Sql, blueprint: Blueprint, onboarded_url: str
) -> None:
    """T-13."""
    async with installed(blueprint, onboarded_url, seal=bench.settings.seal) as vault:
        await _stored(vault, onboarded_url)
    ceremony = await held_at(bench)
    await ceremony.shredding.begin(plan(bench))
    shred = await ceremony.shredding.current()
    with refused("still in use"):
        await ceremony.shredding.destroy_keys(shred)
    await ceremony.shredding.retire_keys(shred)
    with refused("still need"):
        await ceremony.shredding.destroy_keys(shred)
    await sql.connection.execute("revoke execute on function vault.destroy_data_key(bytea) from cardvault_operator")
    with pytest.raises(StatementFailed):
        await ceremony.shredding.destroy_keys(shred)


async def test_a_key_that_the_database_keeps_is_not_recorded_as_destroyed(
    bench: Bench, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that was set back lets the waiting period of no days not be over."""
    ceremony = await held_at(bench)
    await ceremony.shredding.begin(plan(bench))
    shred = await ceremony.shredding.current()
    await ceremony.shredding.retire_keys(shred)
    monkeypatch.setattr(key_life, "destroy", _no)
    left = await ceremony.shredding.keys_left(shred)
    mark = await sql.mark()
    with refused("keeps a retired key"):
        await ceremony.shredding.destroy_keys(shred)
    assert await ceremony.shredding.keys_left(shred) == left > 0
    assert await sql.after(mark) == []


async def _no(*_: object) -> bool:
    return False

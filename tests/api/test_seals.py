"""Seals that come and go beside an installation's keystore."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from keys.errors import (
    CannotOpen,
    KeysError,
    RootKeyMismatch,
    SealFileMissing,
    SealRefused,
    SealUnknown,
    SealUnreachable,
)
from keys.rootkey import RootKey
from keys.seals import awskms
from keys.seals.local import LocalSeal
from tests.api.ceremonies import Bench, bench_at
from tests.api.shop import Sql
from tests.hsm import Hsm
from tests.installation import Blueprint
from tests.kms import Kms
from vault import custody, seals, unsealing
from vault.errors import Conflict, NotFound
from vault.store import root_keys

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bench(blueprint: Blueprint, onboarded_url: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_at(blueprint, onboarded_url, tmp_path) as bench:
        yield bench


async def _alarms(sql: Sql) -> set[tuple[str, str]]:
    return {(row["code"], row["object_id"]) for row in await sql.rows("select code, object_id from vault.alarm")}


async def test_each_kind_of_seal_opens_alone(bench: Bench, hsm: Hsm, kms: Kms) -> None:
    """T-9: every one of them, from scratch, without the others."""
    (first,) = await bench.names()
    uris = [bench.keystore("second"), hsm.uri("each kind"), kms.uri(kms.new_key())]
    names = [await bench.added(uri) for uri in uris]
    assert [name.partition(":")[0] for name in names] == ["local", "pkcs11", "awskms"]
    assert set(await bench.names()) == {*names, first}
    for uri in (*uris, bench.present):
        assert await bench.with_seals(uri).opens()


@pytest.mark.parametrize("damaged", [b"nothing", None], ids=["unreadable", "another key"])
async def test_a_seal_counts_only_after_the_root_key_came_back_through_it(
    bench: Bench, sql: Sql, monkeypatch: pytest.MonkeyPatch, damaged: bytes | None
) -> None:
    wrap, other = LocalSeal.wrap_root, RootKey.generate(1)

    def wrapped(self: LocalSeal, root: RootKey, environment: str) -> bytes:
        return damaged or wrap(self, replace(other, key_id=root.key_id), environment)

    names, mark = await bench.names(), await sql.mark()
    monkeypatch.setattr(LocalSeal, "wrap_root", wrapped)
    with pytest.raises(CannotOpen if damaged else RootKeyMismatch):
        await bench.added(bench.keystore("second"))
    assert (await bench.names(), await sql.since(mark)) == (names, [])


async def test_a_seal_that_gives_nothing_back_does_not_count(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object) -> dict[bytes, RootKey]:
        return {}

    roots = await custody.open_roots(bench.settings, bench.database)
    monkeypatch.setattr(unsealing, "unwrap", nothing)
    with pytest.raises(RootKeyMismatch):
        await unsealing.guard(next(iter(roots.values())), bench.at(bench.present), "development")


async def test_a_seal_is_added_once_and_makes_nothing_unless_told_to(bench: Bench) -> None:
    with pytest.raises(SealFileMissing):
        await seals.add(bench.ceremony, bench.at(bench.keystore("second")), create=False)
    await bench.added(bench.keystore("second"))
    with pytest.raises(Conflict):
        await seals.add(bench.ceremony, bench.at(bench.keystore("second")), create=False)


async def test_the_last_opener_cannot_be_removed(bench: Bench) -> None:
    (first,) = await bench.names()
    second = await bench.added(bench.keystore("second"))
    with pytest.raises(Conflict):
        await seals.remove(bench.ceremony, first)
    await seals.remove(bench.with_seals(bench.present, bench.keystore("second")).ceremony, first)
    with pytest.raises(KeysError):
        await bench.opens()
    only = bench.with_seals(bench.keystore("second"))
    assert await only.opens()
    with pytest.raises(Conflict):
        await seals.remove(only.ceremony, second)
    with pytest.raises(NotFound):
        await seals.remove(only.ceremony, first)


async def test_a_seal_that_is_lost_can_be_removed(bench: Bench) -> None:
    (first,) = await bench.names()
    second = await bench.added(bench.keystore("second"))
    (bench.folder / "second").unlink()
    await seals.remove(bench.ceremony, second)
    assert await bench.names() == [first]


async def test_of_two_who_remove_each_others_opener_one_is_refused(bench: Bench) -> None:
    """T-32: each has proven the other's seal; the database lets one of them through."""
    second = await bench.added(bench.keystore("second"))
    (first,) = set(await bench.names()) - {second}
    both = bench.with_seals(bench.present, bench.keystore("second"))
    outcomes = await asyncio.gather(
        seals.remove(both.ceremony, first), seals.remove(both.ceremony, second), return_exceptions=True
    )
    assert [type(each) for each in outcomes if each is not None] in ([Conflict], [NotFound])
    assert len(await bench.names()) == 1


async def test_a_seal_is_replaced_and_doing_it_again_finds_it_done(bench: Bench, sql: Sql) -> None:
    (first,) = await bench.names()
    with pytest.raises(Conflict):
        await seals.rotate(bench.ceremony, first, bench.at(bench.keystore("second")), create=True)
    both = bench.with_seals(bench.present, bench.keystore("second"))
    mark = await sql.mark()
    second = await seals.rotate(both.ceremony, first, both.at(both.keystore("second")), create=True)
    assert await bench.names() == [second]
    assert await sql.since(mark) == ["key.seal_added", "key.seal_removed"]
    only = bench.with_seals(bench.keystore("second"))
    assert await seals.rotate(only.ceremony, first, only.at(only.keystore("second")), create=False) == second
    assert await seals.rotate(only.ceremony, second, only.at(only.keystore("second")), create=False) == second
    assert await only.opens()


class Killed(BaseException):
    """Nothing that the product catches."""


async def test_a_replacement_that_was_killed_in_the_middle_is_finished_by_the_next(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T-14: killed after the new seal guards the key and before the old one goes."""
    (first,) = await bench.names()
    both = bench.with_seals(bench.present, bench.keystore("second"))

    async def killed(*_: object) -> bool:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(root_keys, "remove_seal", killed)
        with pytest.raises(Killed):
            await seals.rotate(both.ceremony, first, both.at(both.keystore("second")), create=True)
    assert len(await bench.names()) == 2
    assert await bench.opens()
    second = await seals.rotate(both.ceremony, first, both.at(both.keystore("second")), create=True)
    assert await bench.names() == [second]


async def test_a_verification_tells_of_each_seal_and_is_recorded(bench: Bench, sql: Sql, kms: Kms) -> None:
    arn = kms.new_key()
    await bench.added(kms.uri(arn))
    kms.disabled.add(arn)
    await bench.added(bench.keystore("second"))
    (bench.folder / "second").unlink()
    mark = await sql.mark()
    checked = bench.with_seals(bench.present, kms.uri(arn), bench.keystore("second"), bench.keystore("third"))
    checks = await seals.verify(checked.ceremony)
    assert [type(check.failure) for check in checks] == [type(None), SealRefused, SealFileMissing, SealFileMissing]
    events = await sql.after(mark)
    assert [event["outcome"] for event in events] == ["success", "failure", "failure", "failure"]
    assert {event["type"] for event in events} == {"key.seal_verified"}


async def test_a_seal_that_fails_at_the_start_stops_no_other_and_raises_an_alarm(
    bench: Bench, sql: Sql, kms: Kms, hsm: Hsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T-17: seal gone, KMS disabled and KMS silent, wrong PIN."""
    monkeypatch.setattr(awskms, "_ATTEMPTS", 1)
    arn = kms.new_key()
    await bench.added(kms.uri(arn))
    await bench.added(hsm.uri("wrong pin"))
    (bench.folder / "pin").write_text("11111111")
    wrong_pin = hsm.uri("wrong pin", pin_file=bench.folder / "pin")
    kms.disabled.add(arn)
    assert await bench.with_seals(bench.keystore("gone"), kms.uri(arn), wrong_pin, bench.present).opens()
    failed = {f"local:{bench.folder / 'gone'}", f"awskms:{arn}", "pkcs11:token=cardvault;object=wrong pin"}
    assert await _alarms(sql) == {("seal_failed", each) for each in failed}

    monkeypatch.setattr(awskms, "_ANSWER_SECONDS", 0.2)
    kms.hang = threading.Event()
    try:
        assert await bench.with_seals(bench.present, kms.uri(arn)).opens()
        with pytest.raises(SealUnreachable):
            await bench.with_seals(kms.uri(arn)).opens()
    finally:
        kms.hang.set()


async def test_a_wrap_in_another_context_is_damage_and_not_an_outage(bench: Bench, sql: Sql, kms: Kms) -> None:
    """KEY-14: the service itself refuses the wrap of another environment."""
    uri = kms.uri(kms.new_key())
    await bench.added(uri)
    elsewhere = bench.settings.model_copy(update={"environment": "staging", "seal": uri})
    with pytest.raises(CannotOpen):
        await custody.open_roots(elsewhere, bench.database)
    assert await _alarms(sql) == {("integrity_failure", "keys")}


async def test_a_seal_that_guards_nothing_here_opens_nothing(bench: Bench) -> None:
    second = await bench.added(bench.keystore("second"))
    await seals.remove(bench.ceremony, second)
    with pytest.raises(SealUnknown):
        await bench.with_seals(bench.keystore("second")).opens()

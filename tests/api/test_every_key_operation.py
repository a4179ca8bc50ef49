"""Every operation on keys, cut off at every commit and in everything between two of them (T-5, T-9, T-14, T-15).

A cut inside a transaction is a cut before it. After each one a process starts from scratch: what was sealed before opens,
something new is sealed and opened, and the same operation, given again, goes on to its end.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from keys.keyring import Location, Purpose
from keys.sealed import Plaintext
from tests.api.ceremonies import Bench
from tests.api.shop import Sql, stored
from tests.api.shreddings import held_at, own_bench, plan
from tests.api.test_reencryption import finish
from tests.canary import VISA_CANARY
from tests.installation import OPERATOR_ORIGIN, Blueprint, Installation, installed
from vault import custody, root_rotation, seals, shares
from vault.db import Database, Transaction
from vault.errors import Conflict
from vault.key_life import DATA, FINGERPRINT, KeyLife
from vault.reencryption import Reencryption
from vault.roles import OPERATOR
from vault.shares import IssuedShare

pytestmark = pytest.mark.anyio
_MOST: Final = 60


class Killed(BaseException):
    """Nothing that the product catches."""


@dataclass(frozen=True, slots=True)
class Place:
    """An installation with one card, and an operator at work on it."""

    vault: Installation
    bench: Bench
    sql: Sql
    card_id: str

    @property
    def merchant_id(self) -> str:
        return self.vault.tenants[0].merchant_id

    async def works(self) -> None:
        """Start from scratch, open what was sealed before, seal something new and open that."""
        keyring = await custody.open_keyring(self.bench.settings, self.bench.database)
        envelope = await self.sql.value(
            "select envelope from vault.card_secret where card_id = $1 and kind = 'PAN'", self.card_id
        )
        home = Location(self.merchant_id, "card_secret", self.card_id, "PAN")
        assert await keyring.open(envelope, home) == Plaintext(VISA_CANARY.encode())
        elsewhere = Location(self.merchant_id, "card_secret", "another", "PAN")
        sealed = await keyring.seal(Purpose.CARD, b"something new", elsewhere)
        assert await keyring.open(sealed.data, elsewhere) == Plaintext(b"something new")

    async def life(self) -> KeyLife:
        """Give what an operator's command works with, from scratch."""
        return KeyLife(
            self.bench.database, await custody.open_keyring(self.bench.settings, self.bench.database), OPERATOR_ORIGIN
        )

    async def retired(self) -> bytes:
        """Name the merchant's retired key for cards."""
        key_id: bytes = await self.sql.value(
            "select id from vault.data_key where merchant_id = $1 and purpose = 'card' and state <> 'active'",
            self.merchant_id,
        )
        return key_id


@pytest.fixture
async def place(blueprint: Blueprint, onboarded_url: str, tmp_path: Path, sql: Sql) -> AsyncIterator[Place]:
    async with (
        own_bench(blueprint, onboarded_url, tmp_path) as bench,
        installed(blueprint, onboarded_url, seal=bench.settings.seal) as vault,
    ):
        yield Place(vault, bench, sql, (await stored(vault))["cardId"])


def one_commit(patch: pytest.MonkeyPatch, *, late: bool) -> None:
    """Let one transaction of an operator's write; die right after it, or (late) where the next one would begin.

    Workers, whose batches take two, die in tests of their own.
    """
    begin, left = Database.transaction, [1]

    @asynccontextmanager
    async def limited(self: Database) -> AsyncIterator[Transaction]:
        cut = self._settings["role"] == OPERATOR
        if cut and not left:
            raise Killed
        async with begin(self) as transaction:
            yield transaction
            wrote = await transaction.value("select pg_current_xact_id_if_assigned() is not null")
        if cut and wrote:
            left.clear()
            if not late:
                raise Killed

    patch.setattr(Database, "transaction", limited)


async def cut_everywhere(
    place: Place, monkeypatch: pytest.MonkeyPatch, operation: Callable[[], Awaitable[object]], *, late: bool
) -> int:
    """Give the operation again and again, each time cut off, until it ends; gives how often it was cut off."""
    for cuts in range(_MOST):
        with monkeypatch.context() as patch:
            one_commit(patch, late=late)
            try:
                await operation()
            except Killed:
                pass
            except Conflict:
                assert cuts, "refused at once"
                return cuts
            else:
                return cuts
        await place.works()
    raise AssertionError("the operation never ends")


Operation = Callable[[Place], Callable[[], Awaitable[object]]]


def _rotate(purposes: Collection[Purpose]) -> Operation:
    def at(place: Place) -> Callable[[], Awaitable[object]]:
        began = datetime.now(UTC)

        async def operation() -> object:
            return await (await place.life()).rotate(purposes, place.merchant_id, before=began)

        return operation

    return at


def _rotate_root(place: Place) -> Callable[[], Awaitable[object]]:
    async def operation() -> object:
        if await place.sql.value("select exists (select from vault.root_key where state = 'retired')"):
            return None
        bench = place.bench.with_seals(place.bench.keystore("own"))
        return await root_rotation.rotate(bench.ceremony, root_rotation.Shares())

    return operation


def _add_seal(place: Place) -> Callable[[], Awaitable[object]]:
    return lambda: place.bench.added(place.bench.keystore("new"))


def _replace_seal(place: Place) -> Callable[[], Awaitable[object]]:
    old: list[str] = []

    async def operation() -> object:
        old.extend(() if old else await place.bench.names())
        new = place.bench.at(place.bench.keystore("new"))
        return await seals.rotate(place.bench.ceremony, old[0], new, create=True)

    return operation


def _make_shares(place: Place) -> Callable[[], Awaitable[object]]:
    issued: list[IssuedShare] = []

    async def operation() -> object:
        if not issued:
            await shares.create(place.bench.ceremony, 2, ["alice", "bob"], issued.append)
        for each in issued:
            if (await shares.look_up(place.bench.database, each.words)).held.acknowledged_at is None:
                await shares.acknowledge(place.bench.database, OPERATOR_ORIGIN, each.words)
        return await shares.recover(place.bench.ceremony, [each.words for each in issued])

    return operation


def _compromise(place: Place) -> Callable[[], Awaitable[object]]:
    async def operation() -> object:
        key_id = await place.retired() or await place.sql.value(
            "select id from vault.data_key where merchant_id = $1 and purpose = 'card'", place.merchant_id
        )
        return await (await place.life()).compromise(key_id, days=3)

    return operation


def _destroy(place: Place) -> Callable[[], Awaitable[object]]:
    async def operation() -> object:
        life = await place.life()
        if await place.retired() is None:
            await life.rotate({Purpose.CARD}, place.merchant_id)
        if not await place.sql.count("reencryption"):
            await Reencryption(place.bench.database, place.vault.services.keyring, OPERATOR_ORIGIN).start()
        await finish(place.vault.services.reencryption)
        if await place.sql.value(
            "select destroy_after is null from vault.data_key where id = $1", await place.retired()
        ):
            await life.schedule_destruction(await place.retired(), days=0)
        await life.destroy_doomed()
        return await place.sql.value(
            "select state = 'destroyed' from vault.data_key where id = $1", await place.retired()
        )

    return operation


def _shred(place: Place) -> Callable[[], Awaitable[object]]:
    async def operation() -> object:
        ceremony = await held_at(place.bench)
        if await place.sql.value("select exists (select from vault.shredding where completed_at is not null)"):
            return None
        if not await place.sql.count("shredding"):
            await ceremony.shredding.begin(plan(place.bench))
        await ceremony.carried_out()
        await ceremony.shredding.end_openers()
        receipt = await ceremony.receipt()
        assert receipt.complete
        return receipt

    return operation


@pytest.mark.parametrize("late", [False, True], ids=["after a commit", "before the next"])
@pytest.mark.parametrize(
    "operation",
    [
        pytest.param(_rotate(DATA), id="rotate data"),
        pytest.param(_rotate(FINGERPRINT), id="rotate fingerprint"),
        _rotate_root,
        _add_seal,
        _replace_seal,
        _make_shares,
        _compromise,
        _destroy,
        _shred,
    ],
)
async def test_an_operation_that_dies_at_any_commit_leaves_everything_readable(
    place: Place, monkeypatch: pytest.MonkeyPatch, operation: Operation, *, late: bool
) -> None:
    await cut_everywhere(place, monkeypatch, operation(place), late=late)
    await place.works()

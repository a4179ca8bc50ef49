import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from keys.envelope import Cipher, Context, key_id_of
from keys.errors import CannotOpen, KeyExhausted, KeyUnavailable, KeyUnknown, PlaintextTooLarge
from keys.keyring import Envelope, Keyring, KeyState, Label, Location, NewKey, Purpose, WrappedKey
from keys.rootkey import RootKey
from keys.sealed import KeyMaterial, Sealed
from keys.signing import is_signed
from tests.keys.rows import ENVIRONMENT, MERCHANT, MemoryRows, RingOf

pytestmark = pytest.mark.anyio

VALUE = Sealed("4000-not-a-pan")
OTHER_MERCHANT = "mer_bbbbbbbbbbbbbbbbbbbbbbbbbb"


class BrokenRows(MemoryRows):
    broken: str = ""

    async def find(self, key_id: bytes) -> WrappedKey | None:
        self.fail_if("find")
        return await super().find(key_id)

    async def live(self, merchant_id: str, purpose: Purpose) -> Sequence[WrappedKey]:
        self.fail_if("live")
        return await super().live(merchant_id, purpose)

    async def reserve(self, key_id: bytes, count: int) -> int:
        self.fail_if("reserve")
        return await super().reserve(key_id, count)

    def fail_if(self, call: str) -> None:
        if self.broken == call:
            raise ConnectionError(call)


@pytest.mark.parametrize("part", ["merchant_id", "table", "row_id", "field"])
async def test_an_envelope_moved_anywhere_does_not_open(
    part: str, keyring: Keyring, rows: MemoryRows, place: Location
) -> None:
    """T-2."""
    rows.add()
    rows.add(merchant_id="moved")
    sealed = await keyring.seal(Purpose.CARD, VALUE, place)
    with pytest.raises(CannotOpen):
        await keyring.open(sealed.data, replace(place, **{part: "moved"}))


async def test_an_envelope_from_another_environment_does_not_open(
    root: RootKey, rows: MemoryRows, keyring: Keyring, place: Location
) -> None:
    """KEY-14: the data key does not even unwrap there."""
    rows.add()
    sealed = await keyring.seal(Purpose.CARD, VALUE, place)
    with pytest.raises(CannotOpen):
        await Keyring({root.key_id: root}, rows, "production").open(sealed.data, place)


@pytest.mark.parametrize("data", [b"", b"\x01", bytes(100), b"\x02" + bytes(99)])
async def test_a_malformed_envelope_asks_nothing_of_the_rows(
    data: bytes, keyring: Keyring, rows: MemoryRows, place: Location
) -> None:
    """T-4."""
    with pytest.raises(CannotOpen):
        await keyring.open(data, place)
    assert not rows.calls


async def test_a_key_id_without_a_row_is_unknown(keyring: Keyring, rows: MemoryRows, place: Location) -> None:
    rows.add()
    with pytest.raises(KeyUnknown):
        await keyring.open(b"\x01" + bytes(99), place)


async def test_only_the_key_that_the_envelope_names_is_tried(
    keyring: Keyring, rows: MemoryRows, place: Location
) -> None:
    """CRY-6: the right key is at hand, and is not used."""
    right = rows.add()
    wrong = rows.add(state=KeyState.DECRYPT_ONLY)
    sealed = await keyring.seal(Purpose.CARD, VALUE, place)
    assert sealed.key_id == right
    with pytest.raises(CannotOpen):
        await keyring.open(b"\x01" + wrong + sealed.data[17:], place)


async def test_an_envelope_that_names_a_fingerprint_key_does_not_open(
    keyring: Keyring, rows: MemoryRows, place: Location
) -> None:
    key_id = rows.add(Purpose.FINGERPRINT)
    with pytest.raises(CannotOpen):
        await keyring.open(b"\x01" + key_id + bytes(60), place)


@pytest.mark.parametrize(
    "change",
    [
        {"merchant_id": OTHER_MERCHANT},
        {"purpose": Purpose.CREDENTIAL},
        {"purpose": Purpose.FINGERPRINT},
        {"wrapped": bytes(77)},
        {"wrapped": b""},
    ],
)
async def test_a_row_that_is_not_what_was_wrapped_gives_no_key(
    change: dict[str, str], keyring: Keyring, rows: MemoryRows, place: Location
) -> None:
    """KEY-12."""
    key_id = rows.add()
    rows.rows[key_id] = replace(rows.rows[key_id], **change)  # type: ignore[arg-type]  # fields of different types
    with pytest.raises(CannotOpen):
        await keyring.open(b"\x01" + key_id + bytes(60), place)


async def test_wraps_swapped_between_two_ids_give_no_key(keyring: Keyring, rows: MemoryRows, place: Location) -> None:
    """KEY-12."""
    one, other = rows.rows[rows.add()], rows.rows[rows.add(state=KeyState.DECRYPT_ONLY)]
    rows.rows[one.key_id] = replace(one, wrapped=other.wrapped)
    rows.rows[other.key_id] = replace(other, wrapped=one.wrapped)
    with pytest.raises(CannotOpen):
        await keyring.seal(Purpose.CARD, VALUE, place)
    with pytest.raises(CannotOpen):
        await keyring.open(b"\x01" + other.key_id + bytes(60), place)


async def test_a_key_under_a_root_that_is_not_loaded_is_unavailable_until_it_is(
    root: RootKey, rows: MemoryRows, place: Location
) -> None:
    rows.add()
    roots: dict[bytes, RootKey] = {}
    keyring = Keyring(roots, rows, ENVIRONMENT)
    with pytest.raises(KeyUnavailable):
        await keyring.seal(Purpose.CARD, VALUE, place)
    roots[root.key_id] = root
    assert type(await keyring.seal(Purpose.CARD, VALUE, place)) is Envelope


@pytest.mark.parametrize("state", [KeyState.ACTIVE, KeyState.DECRYPT_ONLY, KeyState.COMPROMISED])
async def test_a_key_opens_in_every_live_state(
    state: KeyState, keyring: Keyring, rows: MemoryRows, ring_of: RingOf, place: Location
) -> None:
    """KEY-8."""
    key_id = rows.add()
    sealed = await keyring.seal(Purpose.CARD, VALUE, place)
    rows.set_state(key_id, state)
    assert (await ring_of(rows).open(sealed.data, place)).reveal() == b"4000-not-a-pan"


async def test_a_destroyed_key_opens_nothing(
    keyring: Keyring, rows: MemoryRows, ring_of: RingOf, place: Location
) -> None:
    """KEY-8."""
    key_id = rows.add()
    sealed = await keyring.seal(Purpose.CARD, VALUE, place)
    rows.set_state(key_id, KeyState.DESTROYED)
    with pytest.raises(KeyUnavailable):
        await ring_of(rows).open(sealed.data, place)
    keyring.forget(MERCHANT, Purpose.CARD)
    with pytest.raises(KeyUnavailable):
        await keyring.open(sealed.data, place)


@pytest.mark.parametrize("state", [KeyState.DECRYPT_ONLY, KeyState.COMPROMISED, KeyState.DESTROYED])
async def test_only_an_active_key_seals(state: KeyState, keyring: Keyring, rows: MemoryRows, place: Location) -> None:
    """KEY-8, KEY-10; and the absence of a key is not remembered."""
    rows.add(state=state)
    with pytest.raises(KeyUnavailable):
        await keyring.seal(Purpose.CARD, VALUE, place)
    fresh = rows.add()
    assert (await keyring.seal(Purpose.CARD, VALUE, place)).key_id == fresh


async def test_each_merchant_and_each_purpose_has_its_own_key(
    keyring: Keyring, rows: MemoryRows, place: Location
) -> None:
    expected = {
        (merchant_id, purpose): rows.add(purpose, merchant_id=merchant_id)
        for merchant_id in (MERCHANT, OTHER_MERCHANT, "")
        for purpose in (Purpose.CARD, Purpose.CREDENTIAL)
    }
    for (merchant_id, purpose), key_id in expected.items():
        sealed = await keyring.seal(purpose, VALUE, replace(place, merchant_id=merchant_id))
        assert sealed.key_id == key_id_of(sealed.data) == key_id


@pytest.mark.parametrize("purpose", [Purpose.FINGERPRINT, Purpose.AUDIT])
async def test_a_key_of_another_purpose_does_not_seal(
    keyring: Keyring, rows: MemoryRows, place: Location, purpose: Purpose
) -> None:
    rows.add(purpose)
    with pytest.raises(ValueError, match="does not seal"):
        await keyring.seal(purpose, VALUE, place)


async def test_the_key_of_the_audit_log_signs_and_no_other_does(keyring: Keyring, rows: MemoryRows) -> None:
    key_id = rows.add(Purpose.AUDIT)
    signer = await keyring.signer(MERCHANT, Purpose.AUDIT)
    assert signer.key_id == key_id
    assert is_signed(b"message", signer.sign(b"message"), signer.public)
    rows.add(Purpose.CARD)
    with pytest.raises(KeyUnavailable):
        await keyring.signer(MERCHANT, Purpose.CARD)
    with pytest.raises(KeyUnavailable):
        await keyring.signer(OTHER_MERCHANT, Purpose.AUDIT)


async def test_an_oversize_plaintext_is_refused(keyring: Keyring, rows: MemoryRows, place: Location) -> None:
    rows.add()
    with pytest.raises(PlaintextTooLarge):
        await keyring.seal(Purpose.CARD, bytes(65_537), place)


async def test_a_sealed_value_is_a_plain_version_1_envelope(
    root: RootKey, keyring: Keyring, rows: MemoryRows, place: Location
) -> None:
    key_id = rows.add()
    sealed = await keyring.seal(Purpose.CARD, VALUE, place)
    wrap_context = Context(ENVIRONMENT, MERCHANT, "data_key", key_id.hex(), "card")
    material = root.unwrap(rows.rows[key_id].wrapped, context=wrap_context)
    context = Context(ENVIRONMENT, place.merchant_id, place.table, place.row_id, place.field)
    assert Cipher(key_id, material).open(sealed.data, context).reveal() == b"4000-not-a-pan"


async def test_a_process_that_was_told_nothing_opens_what_a_new_key_sealed(
    rows: MemoryRows, ring_of: RingOf, place: Location
) -> None:
    """T-12: A rotates, B was never told."""
    first = rows.add()
    a, b = ring_of(rows), ring_of(rows)
    old = await b.seal(Purpose.CARD, VALUE, place)
    rows.replace(first)
    a.forget(MERCHANT, Purpose.CARD)
    new = await a.seal(Purpose.CARD, VALUE, place)
    assert new.key_id != old.key_id == first
    assert (await b.open(new.data, place)) == (await a.open(old.data, place))


async def test_a_keyring_seals_with_the_new_key_once_told_that_the_old_one_was_refused(
    keyring: Keyring, rows: MemoryRows, place: Location
) -> None:
    first = rows.add()
    assert (await keyring.seal(Purpose.CARD, VALUE, place)).key_id == first
    rows.replace(first)
    stale = await keyring.seal(Purpose.CARD, VALUE, place)
    assert stale.key_id == first
    keyring.forget(MERCHANT, Purpose.CARD, stale.key_id)
    assert (await keyring.seal(Purpose.CARD, VALUE, place)).key_id != first


async def test_a_late_refusal_of_an_old_key_does_not_drop_the_new_one(
    keyring: Keyring, rows: MemoryRows, place: Location
) -> None:
    first = rows.add()
    await keyring.seal(Purpose.CARD, VALUE, place)
    rows.replace(first)
    for _ in range(10):
        keyring.forget(MERCHANT, Purpose.CARD, first)
        await keyring.seal(Purpose.CARD, VALUE, place)
    assert rows.calls["live"] == 2


async def test_forgetting_what_was_never_loaded_is_harmless(keyring: Keyring) -> None:
    keyring.forget(MERCHANT, Purpose.CARD)


async def test_a_cold_start_of_many_tasks_reads_and_reserves_once(
    keyring: Keyring, rows: MemoryRows, place: Location
) -> None:
    rows.add()
    await asyncio.gather(*[keyring.seal(Purpose.CARD, VALUE, place) for _ in range(200)])
    assert rows.calls == {"live": 1, "reserve": 1}


async def test_many_tasks_that_open_under_a_key_not_loaded_read_it_once(
    keyring: Keyring, rows: MemoryRows, ring_of: RingOf, place: Location
) -> None:
    rows.add()
    sealed = await keyring.seal(Purpose.CARD, VALUE, place)
    rows.calls.clear()
    cold = ring_of(rows)
    await asyncio.gather(*[cold.open(sealed.data, place) for _ in range(200)])
    assert rows.calls == {"find": 1}


async def test_a_key_loaded_for_opening_is_the_one_that_seals_afterwards(
    keyring: Keyring, rows: MemoryRows, ring_of: RingOf, place: Location
) -> None:
    rows.add()
    sealed = await keyring.seal(Purpose.CARD, VALUE, place)
    cold = ring_of(rows)
    await cold.open(sealed.data, place)
    opened_with = cold._keys.get(sealed.key_id)
    assert await cold.active(MERCHANT, Purpose.CARD) is opened_with


async def test_the_number_of_keys_in_memory_is_bounded_and_an_evicted_key_comes_back(
    rows: MemoryRows, ring_of: RingOf, place: Location
) -> None:
    keyring = ring_of(rows, cache_size=3)
    places = [replace(place, merchant_id=f"mer_{number}") for number in range(10)]
    for each in places:
        rows.add(merchant_id=each.merchant_id)
    sealed = [await keyring.seal(Purpose.CARD, VALUE, each) for each in places]
    assert len(keyring._keys) == len(keyring._rings) == 3
    for envelope, each in zip(sealed, places, strict=True):
        assert (await keyring.open(envelope.data, each)).reveal() == b"4000-not-a-pan"
    assert len(keyring._keys) == 3


@pytest.mark.parametrize("call", ["live", "reserve"])
async def test_a_failing_store_fails_the_seal_and_the_next_one_succeeds(
    call: str, root: RootKey, ring_of: RingOf, place: Location
) -> None:
    """T-5."""
    rows = BrokenRows(root)
    rows.add()
    keyring = ring_of(rows, block=4)
    rows.broken = call
    outcomes = await asyncio.gather(
        *[keyring.seal(Purpose.CARD, VALUE, place) for _ in range(20)], return_exceptions=True
    )
    assert all(isinstance(outcome, ConnectionError) for outcome in outcomes)
    rows.broken = ""
    assert type(await keyring.seal(Purpose.CARD, VALUE, place)) is Envelope


async def test_a_failing_store_fails_the_opening_and_the_next_one_succeeds(
    root: RootKey, ring_of: RingOf, place: Location
) -> None:
    """T-5."""
    rows = BrokenRows(root)
    rows.add()
    sealed = await ring_of(rows).seal(Purpose.CARD, VALUE, place)
    cold = ring_of(rows)
    rows.broken = "find"
    with pytest.raises(ConnectionError):
        await cold.open(sealed.data, place)
    rows.broken = ""
    assert (await cold.open(sealed.data, place)).reveal() == b"4000-not-a-pan"


@pytest.mark.parametrize("options", [{"block": 0}, {"limit": 0}, {"limit": 2**31 + 1}, {"cache_size": 0}], ids=str)
def test_senseless_limits_are_refused(options: dict[str, int], rows: MemoryRows, ring_of: RingOf) -> None:
    with pytest.raises(ValueError, match=r"at least|between"):
        ring_of(rows, **options)


async def test_a_value_is_fingerprinted_under_every_live_version_the_active_one_first(
    keyring: Keyring, rows: MemoryRows
) -> None:
    oldest = rows.add(Purpose.FINGERPRINT, KeyState.DECRYPT_ONLY, age=900)
    rows.add(Purpose.FINGERPRINT, KeyState.DESTROYED, age=700)
    active = rows.add(Purpose.FINGERPRINT, age=500)
    compromised = rows.add(Purpose.FINGERPRINT, KeyState.COMPROMISED, age=1)
    rows.add(Purpose.CARD)
    made = await keyring.fingerprints(MERCHANT, VALUE)
    assert [each.key_id for each in made] == [active, compromised, oldest]
    assert len({each.value for each in made}) == 3
    assert {len(each.value) for each in made} == {32}


async def test_two_merchants_have_different_fingerprints_of_one_value(keyring: Keyring, rows: MemoryRows) -> None:
    """STO-4."""
    rows.add(Purpose.FINGERPRINT)
    rows.add(Purpose.FINGERPRINT, merchant_id=OTHER_MERCHANT)
    [one] = await keyring.fingerprints(MERCHANT, VALUE)
    [other] = await keyring.fingerprints(OTHER_MERCHANT, VALUE)
    assert one.value != other.value


async def test_without_an_active_version_there_are_no_fingerprints(keyring: Keyring, rows: MemoryRows) -> None:
    rows.add(Purpose.FINGERPRINT, KeyState.DECRYPT_ONLY)
    with pytest.raises(KeyUnavailable):
        await keyring.fingerprints(MERCHANT, VALUE)
    with pytest.raises(KeyUnavailable):
        await keyring.digests(MERCHANT, Label.API_SECRET, b"message")


async def test_a_new_fingerprint_version_counts_once_the_old_ring_is_forgotten(
    keyring: Keyring, rows: MemoryRows
) -> None:
    first = rows.add(Purpose.FINGERPRINT, age=1)
    await keyring.fingerprints(MERCHANT, VALUE)
    rows.replace(first, Purpose.FINGERPRINT)
    keyring.forget(MERCHANT, Purpose.FINGERPRINT, first)
    made = await keyring.fingerprints(MERCHANT, VALUE)
    assert len(made) == 2
    assert made[1].key_id == first


async def test_fingerprints_survive_the_eviction_of_their_keys(rows: MemoryRows, ring_of: RingOf) -> None:
    keyring = ring_of(rows, cache_size=1)
    rows.add(Purpose.FINGERPRINT)
    rows.add(Purpose.FINGERPRINT, KeyState.DECRYPT_ONLY, age=1)
    assert await keyring.fingerprints(MERCHANT, VALUE) == await keyring.fingerprints(MERCHANT, VALUE)


async def test_the_fingerprint_is_the_digest_under_the_pan_label(keyring: Keyring, rows: MemoryRows) -> None:
    rows.add(Purpose.FINGERPRINT)
    made = await keyring.fingerprints(MERCHANT, VALUE)
    assert made == [await keyring.digest(MERCHANT, Label.PAN, b"4000-not-a-pan")]
    assert made == await keyring.digests(MERCHANT, Label.PAN, b"4000-not-a-pan")
    assert made != await keyring.digests(MERCHANT, Label.REQUEST, b"4000-not-a-pan")


async def test_a_digest_is_made_with_the_active_or_the_named_version(keyring: Keyring, rows: MemoryRows) -> None:
    active = rows.add(Purpose.FINGERPRINT)
    older = rows.add(Purpose.FINGERPRINT, KeyState.DECRYPT_ONLY)
    digest = await keyring.digest(MERCHANT, Label.REQUEST, b"message")
    assert digest.key_id == active
    assert await keyring.digest(MERCHANT, Label.REQUEST, b"message", active) == digest
    assert (await keyring.digest(MERCHANT, Label.REQUEST, b"message", older)).key_id == older


async def test_a_digest_under_a_key_of_another_merchant_purpose_or_no_row_is_refused(
    keyring: Keyring, rows: MemoryRows
) -> None:
    others = [
        rows.add(Purpose.FINGERPRINT, merchant_id=OTHER_MERCHANT),
        rows.add(Purpose.CARD),
        bytes(16),
    ]
    for key_id in others:
        with pytest.raises(KeyUnknown):
            await keyring.digest(MERCHANT, Label.CURSOR, b"message", key_id)


async def test_neither_keyring_nor_keys_nor_rows_print_material(
    keyring: Keyring, rows: MemoryRows, place: Location
) -> None:
    key_id = rows.add()
    sealed = await keyring.seal(Purpose.CARD, VALUE, place)
    shown = repr([keyring, await keyring.active(MERCHANT, Purpose.CARD), rows.rows, sealed])
    assert repr(sealed.data) not in shown
    assert repr(rows.rows[key_id].wrapped) not in shown
    assert "4000" not in shown


async def test_an_exhausted_key_never_seals_again_and_is_replaced(
    rows: MemoryRows, ring_of: RingOf, place: Location
) -> None:
    """T-7."""
    first = rows.add()
    keyring = ring_of(rows, block=4, limit=10)
    sealed = [(await keyring.seal(Purpose.CARD, VALUE, place)).key_id for _ in range(25)]
    assert (sealed.count(first), sealed[:10]) == (10, [first] * 10)
    assert [list(sealed).count(key_id) for key_id in dict.fromkeys(sealed)] == [10, 10, 5]
    assert rows.rows[first].state is KeyState.DECRYPT_ONLY


async def test_a_key_that_nobody_may_replace_is_exhausted_for_good(
    rows: MemoryRows, ring_of: RingOf, place: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows.add()

    async def refuse(retired: bytes, successor: NewKey) -> None:
        """Somebody else is always quicker."""

    monkeypatch.setattr(rows, "rotate", refuse)
    keyring = ring_of(rows, block=4, limit=4)
    for _ in range(4):
        await keyring.seal(Purpose.CARD, VALUE, place)
    with pytest.raises(KeyExhausted):
        await keyring.seal(Purpose.CARD, VALUE, place)


async def test_an_exhausted_key_gives_way_to_the_one_that_another_process_made(
    rows: MemoryRows, ring_of: RingOf, place: Location
) -> None:
    """T-7."""
    first = rows.add()
    keyring = ring_of(rows, block=4, limit=4)
    for _ in range(4):
        await keyring.seal(Purpose.CARD, VALUE, place)
    rows.replace(first)
    assert (await keyring.seal(Purpose.CARD, VALUE, place)).key_id != first
    assert rows.calls["rotate"] == 0


async def test_opening_and_fingerprinting_are_not_counted(keyring: Keyring, rows: MemoryRows, place: Location) -> None:
    rows.add()
    rows.add(Purpose.FINGERPRINT)
    sealed = await keyring.seal(Purpose.CARD, VALUE, place)
    rows.calls.clear()
    for _ in range(5000):
        await keyring.open(sealed.data, place)
    await keyring.fingerprints(MERCHANT, VALUE)
    assert rows.calls["reserve"] == 0


def test_generated_data_keys_differ_in_id_and_material(root: RootKey, rows: MemoryRows) -> None:
    ids = [rows.add() for _ in range(50)]
    contexts = [Context(ENVIRONMENT, MERCHANT, "data_key", key_id.hex(), "card") for key_id in ids]
    made = [
        root.unwrap(rows.rows[key_id].wrapped, context=context) for key_id, context in zip(ids, contexts, strict=True)
    ]
    assert all(isinstance(key, KeyMaterial) for key in made)
    assert len(set(ids)) == len({key.reveal() for key in made}) == 50


async def test_a_value_of_one_merchant_under_the_key_of_another_does_not_open(
    root: RootKey, keyring: Keyring, rows: MemoryRows, place: Location
) -> None:
    """T-2: even when somebody who holds the other key made it."""
    rows.add()
    foreign = rows.add(merchant_id=OTHER_MERCHANT)
    wrap_context = Context(ENVIRONMENT, OTHER_MERCHANT, "data_key", foreign.hex(), "card")
    material = root.unwrap(rows.rows[foreign].wrapped, context=wrap_context)
    context = Context(ENVIRONMENT, place.merchant_id, place.table, place.row_id, place.field)
    with pytest.raises(CannotOpen):
        await keyring.open(Cipher(foreign, material).seal(b"value", context), place)


async def test_values_are_sealed_again_under_the_active_key_each_at_its_place(
    keyring: Keyring, rows: MemoryRows, place: Location
) -> None:
    """KEY-7: what does not open, wherever it comes from, is left out; uses are counted."""
    old = rows.add()
    elsewhere = replace(place, row_id="elsewhere")
    sealed = [await keyring.seal(Purpose.CARD, VALUE, each) for each in (place, elsewhere)]
    rows.replace(old)
    keyring.forget(MERCHANT, Purpose.CARD)
    values = [(sealed[0].data, place), (sealed[0].data, elsewhere), (b"", place), (b"\x01" + bytes(99), place)]
    again, *damaged, last = await keyring.reseal(Purpose.CARD, [*values, (sealed[1].data, elsewhere)])
    assert damaged == [None, None, None]
    for made, where in ((again, place), (last, elsewhere)):
        assert made is not None
        assert made.key_id == key_id_of(made.data) != old
        assert (await keyring.open(made.data, where)).reveal().decode() == VALUE.reveal()
    assert rows.calls["reserve"] == 2

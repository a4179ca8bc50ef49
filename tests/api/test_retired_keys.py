"""Keys that another process retires: nothing new is sealed under them, and nobody notices (T-12)."""

import pytest

from keys.keyring import Purpose
from tests.api.retiring import rotate
from tests.api.shop import BUYER, Sql, card, paid, paid_on_file, payment, problem, store, stored
from tests.canary import CVV_CANARY, MASTERCARD_CANARY, SECOND_VISA_CANARY
from tests.installation import Installation

pytestmark = pytest.mark.anyio
NAME = {"firstName": "Ana", "lastName": "Lopes"}


async def _key_ids(sql: Sql, table: str = "card_secret") -> set[bytes]:
    return {row["key_id"] for row in await sql.rows(f"select key_id from vault.{table}")}


async def test_a_new_card_is_sealed_again_under_the_new_key(vault: Installation, sql: Sql) -> None:
    await stored(vault)
    key_id = await rotate(vault, sql, Purpose.CARD)
    answer = await vault.api.post("/v1/cards", json=store(SECOND_VISA_CANARY))
    assert answer.status_code == 201
    sealed_with = await sql.value("select key_id from vault.card_secret where card_id = $1", answer.json()["cardId"])
    assert sealed_with == key_id


async def test_a_known_card_is_sealed_again_under_the_new_key(vault: Installation, sql: Sql) -> None:
    await stored(vault)
    key_id = await rotate(vault, sql, Purpose.CARD)
    again = await vault.api.post("/v1/cards", json=store(card=card(expiryYear="41")))
    assert (again.status_code, await _key_ids(sql)) == (200, {key_id})


async def test_a_profile_is_sealed_again_under_the_new_key(vault: Installation, sql: Sql) -> None:
    card_id = (await stored(vault))["cardId"]
    key_id = await rotate(vault, sql, Purpose.CARD)
    answer = await vault.api.patch(f"/v1/cards/{card_id}", json={"cardholderName": NAME})
    assert answer.status_code == 200
    assert key_id in await _key_ids(sql)


async def test_what_waits_with_a_payment_is_sealed_again_under_the_new_key(vault: Installation, sql: Sql) -> None:
    await stored(vault)
    key_id = await rotate(vault, sql, Purpose.CARD)
    view = await paid(vault, payment(SECOND_VISA_CANARY, storeCard="VAULT", is3DSAuthentication=True))
    assert await _key_ids(sql, "payment_secret") == {key_id}
    assert len(await vault.sent(view["paymentRequestId"])) == 1


@pytest.mark.parametrize("known", [True, False])
async def test_what_waited_under_a_retired_key_is_kept_under_the_new_one(
    vault: Installation, sql: Sql, *, known: bool
) -> None:
    if known:
        await stored(vault)
    body = payment(storeCard="BOTH", is3DSAuthentication=True, card=card(cvv=CVV_CANARY, cardholderName=NAME))
    view = await paid(vault, body)
    key_id = await rotate(vault, sql, Purpose.CARD)
    await vault.sandbox_api.post(view["nextAction"]["url"], data={"outcome": "success"})
    assert (await vault.settle(view["paymentId"]))["card"]["storage"] == "BOTH"
    assert await _key_ids(sql) == {key_id}


async def test_old_cards_open_under_their_old_key(vault: Installation, sql: Sql) -> None:
    card_id = (await stored(vault))["cardId"]
    await rotate(vault, sql, Purpose.CARD)
    await stored(vault, store(MASTERCARD_CANARY))
    assert (await paid_on_file(vault, card_id))["paymentStatus"] == "SUCCESS"


async def test_a_number_is_known_by_every_live_version_of_its_fingerprint(vault: Installation, sql: Sql) -> None:
    first = await stored(vault)
    key_id = await rotate(vault, sql, Purpose.FINGERPRINT)
    other = await stored(vault, store(SECOND_VISA_CANARY))
    assert await sql.value("select fingerprint_key_id from vault.card where id = $1", other["cardId"]) == key_id
    assert (await stored(vault))["cardId"] == first["cardId"]
    assert (await stored(vault, store(SECOND_VISA_CANARY)))["cardId"] == other["cardId"]
    third = await vault.api.post("/v1/cards", json=store(MASTERCARD_CANARY))
    assert third.status_code == 201
    assert len((await vault.api.get(f"/v1/buyers/{BUYER}/cards")).json()["cards"]) == 3


async def test_a_repeat_is_recognised_after_the_fingerprint_key_was_rotated(vault: Installation, sql: Sql) -> None:
    body = payment()
    first = await paid(vault, body)
    await rotate(vault, sql, Purpose.FINGERPRINT)
    await stored(vault)
    again = await vault.api.post("/v1/payments", json=body)
    assert (again.headers["Idempotent-Replayed"], again.json()["paymentId"]) == ("true", first["paymentId"])
    changed = body | {"metadata": {"a": 1}}
    problem(await vault.api.post("/v1/payments", json=changed), 409, "idempotency_conflict")


async def test_without_an_active_key_nothing_is_stored(vault: Installation, sql: Sql) -> None:
    await stored(vault)
    await sql.change("update vault.data_key set state = 'decrypt_only' where purpose = 'card'")
    answer = await vault.api.post("/v1/cards", json=store(SECOND_VISA_CANARY))
    problem(answer, 503, "keys_unavailable")
    assert await sql.count("card") == 1

"""Whatever was sealed and then altered, cut, moved or swapped never opens again, and somebody is told (T-1, T-2, T-4)."""

from typing import Any

import pytest

from keys.errors import CannotOpen, KeysError, RootKeyMismatch
from keys.keyring import Purpose
from tests.api.gateway import courier, told
from tests.api.shop import (
    Sql,
    card,
    card_on_file,
    of_tenant,
    paid,
    paid_on_file,
    payment,
    problem,
    shown,
    store,
    stored,
)
from tests.canary import CVV_CANARY, MASTERCARD_CANARY, SECOND_VISA_CANARY
from tests.installation import Blueprint, Installation, settings_for
from vault.services import running_services

pytestmark = pytest.mark.anyio
NAME = {"firstName": "Ana", "lastName": "Lopes"}
_WRITE = "update vault.card_secret set envelope = $2 where card_id = $1 and kind = 'PAN'"
_SWAP = (
    "update vault.{table} a set envelope = b.envelope, key_id = b.key_id from vault.{table} b "
    "where ({where_a}) and ({where_b})"
)


async def _fails(vault: Installation, card_id: str) -> None:
    body = card_on_file()
    document = problem(await vault.api.post(f"/v1/cards/{card_id}/payments", json=body), 500, "integrity_failure")
    assert document["detail"] == document["title"]
    assert await vault.sent(body["paymentRequestId"]) == []


async def _envelope(sql: Sql, card_id: str) -> bytes:
    found: bytes = await sql.value(
        "select envelope from vault.card_secret where card_id = $1 and kind = 'PAN'", card_id
    )
    return found


async def test_a_flipped_bit_never_opens_and_raises_one_alarm(vault: Installation, sql: Sql) -> None:
    """T-1."""
    card_id = (await stored(vault))["cardId"]
    good = await _envelope(sql, card_id)
    for place in {*range(0, len(good), 4), len(good) - 1}:
        flipped = good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :]
        await sql.change(_WRITE, card_id, flipped)
        await _fails(vault, card_id)
    (row,) = await sql.rows("select * from vault.alarm")
    assert (row["code"], row["object_id"]) == ("integrity_failure", card_id)
    (event,) = await sql.events("alarm.raised")
    assert (event["reason"], event["objects"], event["actor"]["kind"]) == ("integrity_failure", [card_id], "client")
    assert await sql.count("payment") == 0
    await sql.change(_WRITE, card_id, good)
    assert (await paid_on_file(vault, card_id))["paymentStatus"] == "SUCCESS"


async def test_what_is_no_envelope_never_opens(vault: Installation, sql: Sql) -> None:
    """T-4."""
    card_id = (await stored(vault))["cardId"]
    good = await _envelope(sql, card_id)
    for broken in (b"", good[:1], good[:-1], good + b"\0", b"\x02" + good[1:], bytes(100_000)):
        await sql.change(_WRITE, card_id, broken)
        await _fails(vault, card_id)


async def test_envelopes_of_two_cards_cannot_be_swapped(vault: Installation, sql: Sql) -> None:
    """T-2."""
    first, second = (await stored(vault))["cardId"], (await stored(vault, store(SECOND_VISA_CANARY)))["cardId"]
    mine, theirs = await _envelope(sql, first), await _envelope(sql, second)
    await sql.change(_WRITE, first, theirs)
    await sql.change(_WRITE, second, mine)
    for card_id in (first, second):
        await _fails(vault, card_id)
    assert await sql.count("alarm") == 2


async def test_envelopes_of_two_fields_cannot_be_swapped(vault: Installation, sql: Sql) -> None:
    card_id = (await stored(vault, store(card=card(cardholderName=NAME))))["cardId"]
    await sql.change(_SWAP.format(table="card_secret", where_a="a.kind = 'PAN'", where_b="b.kind = 'PROFILE'"))
    await _fails(vault, card_id)
    change = {"billingAddress": {"region": "PT"}}
    assert (await vault.api.patch(f"/v1/cards/{card_id}", json=change)).status_code == 200


async def test_envelopes_of_two_merchants_cannot_be_swapped(vault: Installation, sql: Sql) -> None:
    card_id = (await stored(vault))["cardId"]
    async with of_tenant(vault, 1) as other:
        theirs = (await other.post("/v1/cards", json=store())).json()["cardId"]
    await sql.change(_WRITE, card_id, await _envelope(sql, theirs))
    await _fails(vault, card_id)


async def _challenged(vault: Installation, number: str) -> dict[str, Any]:
    return await paid(vault, payment(storeCard="VAULT", card=card(number, cvv=CVV_CANARY), is3DSAuthentication=True))


async def test_waiting_credentials_of_two_payments_cannot_be_swapped(
    vault: Installation, blueprint: Blueprint, sql: Sql
) -> None:
    first, second = await _challenged(vault, SECOND_VISA_CANARY), await _challenged(vault, MASTERCARD_CANARY)
    ids = {"where_a": f"a.payment_id = '{first['paymentId']}'", "where_b": f"b.payment_id = '{second['paymentId']}'"}
    await sql.change(_SWAP.format(table="payment_secret", **ids))
    named = {"networkTransactionId": "016055123456789"}
    assert (await courier(vault, blueprint).bring(told(first, paymentResultInfo=named))).status_code == 200
    settled = await shown(vault, first["paymentId"])
    assert (settled["paymentStatus"], settled["card"]) == ("SUCCESS", None)
    assert await sql.alarms() == {"integrity_failure"}
    assert (await sql.count("card"), await sql.count("card_secret")) == (0, 0)


async def test_gateway_credentials_open_for_their_own_merchant_only(vault: Installation, sql: Sql) -> None:
    paying = [payment(), payment()]
    for body in paying:  # a notification could meet the exchange, and would raise its own alarm
        await vault.arm(body["paymentRequestId"], "NO_NOTIFICATION")
    assert (await paid(vault, paying[0]))["paymentStatus"] == "SUCCESS"
    async with of_tenant(vault, 1) as other:
        assert (await other.post("/v1/payments", json=paying[1])).status_code == 201
    await sql.change(
        "update vault.merchant a set gateway_client_id = b.gateway_client_id || '_', "
        "gateway_credentials = b.gateway_credentials, gateway_credentials_key_id = b.gateway_credentials_key_id "
        "from vault.merchant b where a.id <> b.id"
    )
    await sql.change("update vault.merchant set gateway_client_id = rtrim(gateway_client_id, '_')")
    problem(await vault.api.post("/v1/payments", json=payment()), 500, "integrity_failure")
    (row,) = await sql.rows("select * from vault.alarm")
    assert row["object_id"] == vault.tenants[0].merchant_id


async def test_flipped_gateway_credentials_never_open(vault: Installation, sql: Sql) -> None:
    await sql.change(
        "update vault.merchant set gateway_credentials = set_byte(gateway_credentials, 40, "
        "get_byte(gateway_credentials, 40) # 1)"
    )
    problem(await vault.api.post("/v1/payments", json=payment()), 500, "integrity_failure")
    assert await sql.alarms() == {"integrity_failure"}


_FLIP = "update vault.data_key set wrapped = set_byte(wrapped, 40, get_byte(wrapped, 40) # 1) where merchant_id = $1"
_FROM = "update vault.data_key a set wrapped = b.wrapped from vault.data_key b where a.merchant_id = $1 and "
_OTHER_MERCHANT = f"{_FROM} b.merchant_id not in ($1, '') and a.purpose = b.purpose"
_OTHER_PURPOSE = f"{_FROM} b.merchant_id = $1 and a.purpose = 'card' and b.purpose = 'credential'"


@pytest.mark.parametrize("damage", [_FLIP, _OTHER_MERCHANT, _OTHER_PURPOSE])
async def test_a_damaged_data_key_never_unwraps_and_raises_an_alarm(vault: Installation, sql: Sql, damage: str) -> None:
    merchant_id = vault.tenants[0].merchant_id
    await sql.change(damage, merchant_id)
    for purpose in Purpose:
        vault.services.keyring.forget(merchant_id, purpose)
    problem(await vault.api.post("/v1/cards", json=store()), 500, "integrity_failure")
    assert await sql.alarms() == {"integrity_failure"}
    assert await sql.count("card") == 0
    async with of_tenant(vault, 1) as other:
        assert (await other.post("/v1/cards", json=store())).status_code == 201


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ("update vault.root_wrap set wrapped = set_byte(wrapped, 40, get_byte(wrapped, 40) # 1)", CannotOpen),
        ("update vault.root_wrap set wrapped = ''", CannotOpen),
        ("update vault.root_key set version = version + 1", CannotOpen),
        (
            "update vault.root_key set check_value = set_byte(check_value, 0, get_byte(check_value, 0) # 1)",
            RootKeyMismatch,
        ),
    ],
)
async def test_nothing_starts_on_a_damaged_root_key(
    blueprint: Blueprint, onboarded_url: str, sql: Sql, damage: str, expected: type[KeysError]
) -> None:
    await sql.change(damage)
    with pytest.raises(expected):
        async with running_services(settings_for(blueprint.folder, onboarded_url)):
            pytest.fail("it has started")
    assert await sql.alarms() == {"integrity_failure"}

"""Keys that operators or their age and use replace, while merchants go on as if nothing had happened (T-9, T-12)."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from keys.keyring import Label, Location, Purpose
from tests.api.operators import Operators, operators_of
from tests.api.shop import BUYER, Sql, paid, paid_on_file, payment, problem, store, stored
from tests.api.vaultings import forgotten, keep, kept
from tests.canary import MASTERCARD_CANARY, SECOND_VISA_CANARY, VISA_CANARY
from tests.installation import Installation
from vault.errors import Conflict
from vault.key_life import DATA, FINGERPRINT
from vault.onboarding import NewClient
from vault.store import key_life

pytestmark = pytest.mark.anyio
CARDS = f"/v1/buyers/{BUYER}/cards"


@pytest.fixture
async def operators(vault: Installation) -> AsyncIterator[Operators]:
    async with operators_of(vault) as operators:
        yield operators


async def test_a_key_at_its_limit_is_replaced_in_the_request_that_finds_it_so(vault: Installation, sql: Sql) -> None:
    """T-7."""
    await sql.change("update vault.key_usage set reserved = 2147483648")
    await stored(vault)
    [event] = await sql.events("key.data_rotated")
    assert (event["details"]["purpose"], event["actor"]["id"]) == ("card", "key_limit")
    assert await sql.value("select count(*) from vault.data_key where state = 'decrypt_only'") == 1


async def test_every_kind_of_key_can_be_rotated_again_and_again(
    vault: Installation, operators: Operators, sql: Sql
) -> None:
    card_id = (await stored(vault))["cardId"]
    for _ in range(2):
        done = await operators.life.rotate(DATA | FINGERPRINT, None)
        assert len(done) == 3 * len(vault.tenants) + 1
        assert (await stored(vault))["cardId"] == card_id
        assert (await paid_on_file(vault, card_id))["paymentStatus"] == "SUCCESS"
    assert len(await sql.events("key.data_rotated")) == 2 * len(done)


async def test_keys_are_replaced_by_age_and_by_use(vault: Installation, operators: Operators, sql: Sql) -> None:
    """CRY-9: a key that hashes lasts twice as long."""
    assert await operators.life.rotate_worn(days=365) == []
    merchant_id = vault.tenants[0].merchant_id
    old = "update vault.data_key set created_at = now() - interval '366 days' where merchant_id = $1"
    await sql.change(old, merchant_id)
    used = "update vault.key_usage set reserved = 1610612736 where key_id in (select id from vault.data_key where merchant_id = $1 and purpose = 'card')"
    await sql.change(used, vault.tenants[1].merchant_id)
    done = {(each.retired.merchant_id, each.retired.purpose) for each in await operators.life.rotate_worn(days=365)}
    assert done == {
        (merchant_id, Purpose.CARD),
        (merchant_id, Purpose.CREDENTIAL),
        (vault.tenants[1].merchant_id, Purpose.CARD),
    }
    assert await operators.life.rotate_worn(days=365) == []
    await sql.change("update vault.data_key set created_at = now() - interval '731 days' where purpose = 'fingerprint'")
    assert len(await operators.life.rotate_worn(days=365)) == len(vault.tenants) + 1


async def test_two_who_rotate_at_once_make_one_successor(vault: Installation, operators: Operators, sql: Sql) -> None:
    merchant_id = vault.tenants[0].merchant_id
    retired = await operators.keyring.active(merchant_id, Purpose.CARD)
    assert len(await operators.life.rotate({Purpose.CARD}, merchant_id)) == 1
    async with operators.database.session() as session:
        [active] = await key_life.active(session, {Purpose.CARD}, merchant_id)
    assert await operators.life._replace([replace(active, key_id=retired.key_id)]) == []
    late = vault.services.keyring.successor(merchant_id, Purpose.CARD)
    await vault.services.keyring._rows.rotate(retired.key_id, late)
    assert await sql.value("select count(*) from vault.data_key where id = $1", late.key_id) == 0


async def test_an_api_key_is_known_under_every_version_of_the_installations_key(
    vault: Installation, operators: Operators
) -> None:
    """T-9: the version under which it was made is not the active one any more."""
    await operators.life.rotate(FINGERPRINT, "")
    vault.services.keyring.forget("", Purpose.FINGERPRINT)
    assert (await vault.api.get(CARDS)).status_code == 200


async def test_an_api_key_under_a_version_that_this_process_has_not_met_is_found(
    vault: Installation, operators: Operators
) -> None:
    """T-12."""
    await stored(vault)
    await operators.life.rotate(FINGERPRINT, "")
    new = NewClient(vault.tenants[0].merchant_id, "new", ["cards:read"])
    _, secret = await operators.onboarding.create_client(new)
    answer = await vault.api.get(CARDS, headers={"Authorization": f"Bearer {secret.reveal()}"})
    assert answer.status_code == 200


async def test_a_cursor_stays_good_when_the_key_is_rotated(vault: Installation, operators: Operators) -> None:
    for number in (VISA_CANARY, SECOND_VISA_CANARY):
        await stored(vault, store(number))
    first = (await vault.api.get(CARDS, params={"limit": 1})).json()
    await operators.life.rotate(FINGERPRINT, None)
    await stored(vault, store(MASTERCARD_CANARY))
    more = await vault.api.get(CARDS, params={"limit": 1, "cursor": first["nextCursor"]})
    assert (more.status_code, len(more.json()["cards"])) == (200, 1)


async def test_a_payment_that_waited_finds_the_card_that_was_stored_under_the_next_version(
    vault: Installation, operators: Operators, sql: Sql
) -> None:
    view = await paid(vault, payment(storeCard="VAULT", is3DSAuthentication=True))
    await operators.life.rotate(FINGERPRINT, None)
    card_id = (await stored(vault))["cardId"]
    await vault.sandbox_api.post(view["nextAction"]["url"], data={"outcome": "success"})
    assert (await vault.settle(view["paymentId"]))["card"]["cardId"] == card_id
    assert await sql.count("card") == 1


async def test_a_card_is_recognised_by_the_version_that_is_active_when_it_is_kept(
    vault: Installation, operators: Operators, sql: Sql
) -> None:
    """T-12: the process that keeps it was not told of the rotation."""
    view = await paid(vault, payment(storeCard="BOTH", is3DSAuthentication=True))
    await operators.life.rotate(FINGERPRINT, None)
    await vault.sandbox_api.post(view["nextAction"]["url"], data={"outcome": "success"})
    card_id = (await vault.settle(view["paymentId"]))["card"]["cardId"]
    active = (await operators.keyring.active(vault.tenants[0].merchant_id, Purpose.FINGERPRINT)).key_id
    assert await sql.rows("select fingerprint_key_id as number, token_print_key_id as token from vault.card") == [
        {"number": active, "token": active}
    ]
    assert (await stored(vault))["cardId"] == card_id


async def test_nothing_new_is_hashed_under_a_retired_key(vault: Installation, operators: Operators, sql: Sql) -> None:
    """T-12."""
    card_id = (await stored(vault))["cardId"]
    await operators.life.rotate(FINGERPRINT, None)
    await paid_on_file(vault, card_id)
    await kept(vault, keep(SECOND_VISA_CANARY, "buyer-2"))
    active = (await operators.keyring.active(vault.tenants[0].merchant_id, Purpose.FINGERPRINT)).key_id
    hashed = "select digest_key_id from vault.payment union all select digest_key_id from vault.vaulting union all select fingerprint_key_id from vault.vaulting"
    assert {row["digest_key_id"] for row in await sql.rows(hashed)} - {None} == {active}


async def test_a_token_that_a_card_of_the_next_version_has_is_not_deleted_at_the_gateway(
    vault: Installation, operators: Operators, sql: Sql
) -> None:
    """T-12: the process that deletes tokens was not told of the rotation."""
    first, second = (await kept(vault))["cardId"], (await kept(vault, keep(buyer="buyer-2")))["cardId"]
    merchant_id = vault.tenants[0].merchant_id
    await operators.life.rotate(FINGERPRINT, merchant_id)
    shared = await sql.value("select envelope from vault.card_secret where card_id = $1", first)
    token = await operators.keyring.open(shared, Location(merchant_id, "card_secret", first, "TOKEN"))
    made = await operators.keyring.digest(merchant_id, Label.TOKEN, token.reveal())
    await sql.change(
        "update vault.card set token_print = $1, token_print_key_id = $2 where id = $3", made.value, made.key_id, second
    )
    await vault.api.delete(f"/v1/cards/{first}")
    await vault.services.tokens.delete_due()
    assert (await sql.count("token_deletion"), await forgotten(vault)) == (0, [])


async def test_gateway_keys_are_not_sealed_under_a_retired_key(vault: Installation, operators: Operators) -> None:
    tenant = vault.tenants[0]
    merchant = await operators.onboarding.merchant(tenant.merchant_id)
    keys = await operators.onboarding.gateway_keys(merchant)
    await operators.keyring.active(tenant.merchant_id, Purpose.CREDENTIAL)
    async with operators_of(vault) as others:
        await others.life.rotate(DATA, None)
    with pytest.raises(Conflict):
        await operators.onboarding.replace_gateway_keys(merchant, keys)
    await operators.onboarding.replace_gateway_keys(merchant, keys)


async def test_without_the_installations_key_nobody_is_known(vault: Installation, sql: Sql) -> None:
    await vault.services.keyring.active("", Purpose.FINGERPRINT)
    await sql.change("update vault.data_key set state = 'decrypt_only' where merchant_id = ''")
    problem(await vault.api.get(CARDS), 503, "keys_unavailable")

"""Merchants and API clients as operators make them, and the keys that come first."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from keys.errors import KeyUnavailable
from keys.seals.keystore import Passphrase
from keys.seals.local import LocalSeal
from tests.api.shop import Sql, paid, payment, stored
from tests.installation import OPERATOR_ORIGIN, PASSPHRASE, Installation, key_pair, settings_for
from vault import custody
from vault.auth import Caller, Scope
from vault.cursors import Cursors
from vault.db import Database, StatementFailed
from vault.directory import GatewayKeys
from vault.errors import Conflict, DatabaseUnavailable, NotFound, RequestInvalid
from vault.gateway.errors import KeyFormatInvalid
from vault.gateway.operations import Operation, wire_path
from vault.merchant import MerchantSettings
from vault.onboarding import NewClient, NewMerchant, Onboarding, OnboardingInvalid
from vault.roles import OPERATOR

pytestmark = pytest.mark.anyio


@pytest.fixture
async def operators(vault: Installation, onboarded_url: str) -> AsyncIterator[Onboarding]:
    database = Database(onboarded_url, role=OPERATOR, pool_size=2)
    roots = await custody.open_roots(vault.settings, database)
    yield Onboarding(vault.settings, database, roots, vault.services.keyring, OPERATOR_ORIGIN)
    await database.close()


def _new(client_id: str, public_key: str | None = None) -> NewMerchant:
    private, public = key_pair()
    return NewMerchant("Shop", client_id, GatewayKeys(private, "1", {"1": public_key or public}), MerchantSettings())


async def test_a_gateway_client_belongs_to_one_merchant(vault: Installation, operators: Onboarding) -> None:
    with pytest.raises(Conflict):
        await operators.create_merchant(_new(vault.tenants[0].gateway_client_id))
    assert len(await operators.merchants()) == 2


async def test_keys_that_cannot_be_used_make_no_merchant(operators: Onboarding) -> None:
    with pytest.raises(KeyFormatInvalid):
        await operators.create_merchant(_new("SANDBOX_NEW", public_key="bm8ga2V5"))
    assert len(await operators.merchants()) == 2


async def test_a_new_merchant_has_its_own_keys(operators: Onboarding, sql: Sql) -> None:
    merchant = await operators.create_merchant(_new("SANDBOX_NEW"))
    assert await operators.merchant(merchant.id) == merchant
    purposes = await sql.rows("select purpose from vault.data_key where merchant_id = $1", merchant.id)
    assert sorted(row["purpose"] for row in purposes) == ["card", "credential", "fingerprint"]


async def test_a_merchants_settings_can_change(vault: Installation, operators: Onboarding) -> None:
    merchant = await operators.merchant(vault.tenants[0].merchant_id)
    changed = replace(merchant, name="Other", active=False, settings=MerchantSettings())
    await operators.change_merchant(changed)
    assert await operators.merchant(merchant.id) == changed


async def test_without_a_way_back_for_the_buyer_no_payment_is_made(
    vault: Installation, operators: Onboarding, sql: Sql
) -> None:
    merchant = await operators.merchant(vault.tenants[0].merchant_id)
    await operators.change_merchant(replace(merchant, settings=MerchantSettings()))
    answer = await vault.api.post("/v1/payments", json=payment())
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"pointer": "/paymentRedirectUrl", "code": "missing"}]
    assert await sql.count("payment") == 0


@pytest.mark.parametrize("change", [{"scopes": []}, {"scopes": ["everything"]}, {"cidrs": ["10.0.0.0/99"]}])
async def test_a_client_that_makes_no_sense_is_refused(
    vault: Installation, operators: Onboarding, change: dict[str, list[str]]
) -> None:
    given: dict[str, list[str]] = {"scopes": [Scope.CARDS_READ.value], "cidrs": []}
    given |= change
    new = NewClient(vault.tenants[0].merchant_id, "x", given["scopes"], given["cidrs"])
    with pytest.raises(OnboardingInvalid):
        await operators.create_client(new)


async def test_during_a_rotation_both_secrets_work_and_then_one(vault: Installation, operators: Onboarding) -> None:
    tenant = vault.tenants[0]

    async def works(key: str) -> bool:
        answer = await vault.api.get("/v1/payments", headers={"Authorization": f"Bearer {key}"})
        return answer.status_code == 200

    second = await operators.rotate_client(tenant.client_id, overlap_seconds=3600)
    assert await works(tenant.api_key)
    assert await works(second.reveal())
    third = await operators.rotate_client(tenant.client_id, overlap_seconds=0)
    assert await works(third.reveal())
    async with vault.services.database.session() as session:
        assert await session.value("select count(*) from vault.api_secret where client_id = $1", tenant.client_id) == 2


async def test_a_revoked_client_is_over(vault: Installation, operators: Onboarding, sql: Sql) -> None:
    client_id = vault.tenants[0].client_id
    assert await operators.revoke_client(client_id) is True
    mark = await sql.mark()
    assert await operators.revoke_client(client_id) is False
    assert await sql.since(mark) == []
    with pytest.raises(Conflict):
        await operators.rotate_client(client_id, overlap_seconds=0)


async def test_what_is_not_there_is_not_found(vault: Installation, operators: Onboarding) -> None:
    with pytest.raises(NotFound):
        await operators.merchant("mer_none")
    with pytest.raises(NotFound):
        await operators.revoke_client("cli_none")
    with pytest.raises(NotFound):
        await operators.create_client(NewClient("mer_none", "x", [Scope.CARDS_READ]))
    assert len(await operators.clients(None)) == 2
    assert [client.id for client in await operators.clients(vault.tenants[1].merchant_id)] == [
        vault.tenants[1].client_id
    ]


async def test_an_installation_has_its_keys_made_once(vault: Installation, onboarded_url: str) -> None:
    database = Database(onboarded_url, role=OPERATOR, pool_size=1)
    with pytest.raises(Conflict):
        await custody.initialise(vault.settings, database, OPERATOR_ORIGIN)
    await database.close()


async def test_without_keys_nothing_starts_and_an_existing_keystore_is_used(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    settings = settings_for(tmp_path, database_url)
    database = Database(database_url, role=OPERATOR, pool_size=1)
    with pytest.raises(KeyUnavailable):
        await custody.open_roots(settings, database)
    LocalSeal.create(tmp_path / "keystore.json", Passphrase(PASSPHRASE))
    key_id = await custody.initialise(settings, database, OPERATOR_ORIGIN)
    assert list(await custody.open_roots(settings, database)) == [key_id]
    await database.close()


async def test_a_cursor_lasts_a_day(vault: Installation) -> None:
    merchant_id = vault.tenants[0].merchant_id
    view = await stored(vault)
    now = 1_000_000.0
    cursors = Cursors(vault.services.keyring, clock=lambda: now)
    card = (await vault.services.cards.by_id(_caller(vault), {view["cardId"]}))[view["cardId"]]
    cursor = await cursors.make(merchant_id, "cards/x", card.created_at, card.id)
    now += 24 * 3600
    assert (await cursors.page(merchant_id, "cards/x", cursor, 5)).before == (card.created_at, card.id)
    now += 1
    with pytest.raises(RequestInvalid):
        await cursors.page(merchant_id, "cards/x", cursor, 5)


def _caller(vault: Installation) -> Caller:
    return Caller(vault.tenants[0].merchant_id, "", frozenset(), OPERATOR_ORIGIN)


async def test_a_failure_of_the_database_carries_no_value(vault: Installation) -> None:
    """T-38."""
    with pytest.raises(StatementFailed) as refused:
        async with vault.services.database.session() as session:
            await session.rows("select 'somebody'::int")
    assert refused.value.args == ("22P02", None)
    assert refused.value.__cause__ is None
    with pytest.raises(DatabaseUnavailable):
        async with vault.services.database.session() as session:
            await session.rows("do $$ begin raise exception 'x' using errcode = '40001'; end $$")


async def test_payments_go_on_while_a_gateway_key_is_changed(vault: Installation, operators: Onboarding) -> None:
    assert (await paid(vault, payment()))["paymentStatus"] == "SUCCESS"
    merchant = await operators.merchant(vault.tenants[0].merchant_id)
    keys = await operators.gateway_keys(merchant)
    private, public = key_pair()
    body = {"clientId": merchant.gateway_client_id, "publicKey": public, "keyVersion": "2"}
    assert (await vault.sandbox_api.post("/_sandbox/clients", json=body)).status_code == 200
    assert (await paid(vault, payment()))["paymentStatus"] == "SUCCESS"
    await operators.replace_gateway_keys(merchant, replace(keys, private_key=private, key_version="2"))
    assert (await paid(vault, payment()))["paymentStatus"] == "SUCCESS"


async def test_two_operators_do_not_undo_each_others_change(vault: Installation, operators: Onboarding) -> None:
    merchant = await operators.merchant(vault.tenants[0].merchant_id)
    keys = await operators.gateway_keys(merchant)
    await operators.replace_gateway_keys(merchant, keys)
    with pytest.raises(Conflict):
        await operators.replace_gateway_keys(merchant, keys)


async def test_test_and_live_accounts_work_side_by_side(vault: Installation, operators: Onboarding) -> None:
    """antom-api.md 1.1: the client id alone decides under which root the gateway is called."""
    private, public = key_pair()
    keys = GatewayKeys(private, "1", {"1": vault.sandbox.gateway_public_key})
    settings = (await operators.merchant(vault.tenants[0].merchant_id)).settings
    live = await operators.create_merchant(NewMerchant("Live", "5XLIVE", keys, settings))
    body = {"clientId": "5XLIVE", "publicKey": public}
    assert (await vault.sandbox_api.post("/_sandbox/clients", json=body)).status_code == 200
    _, secret = await operators.create_client(NewClient(live.id, "checkout", [Scope.PAYMENTS_WRITE]))
    for key in (secret.reveal(), vault.tenants[0].api_key):
        made = await vault.api.post("/v1/payments", json=payment(), headers={"Authorization": f"Bearer {key}"})
        assert made.json()["paymentStatus"] == "SUCCESS", made.text
    assert wire_path(Operation.PAY, client_id="5XLIVE") == "/ams/api/v1/payments/pay"
    assert wire_path(Operation.PAY, client_id="SANDBOX_5X") == "/ams/sandbox/api/v1/payments/pay"


async def test_a_client_is_bound_to_other_certificates_and_never_to_none(
    vault: Installation, operators: Onboarding
) -> None:
    client_id = vault.tenants[0].client_id
    assert (await operators.bind_client(client_id, [b"a" * 32, b"b" * 32])).certificates == (b"a" * 32, b"b" * 32)
    await operators.bind_client(client_id, [b"c" * 32])
    [bound] = [each for each in await operators.clients(None) if each.id == client_id]
    assert bound.certificates == (b"c" * 32,)
    with pytest.raises(OnboardingInvalid, match="to one certificate at least"):
        await operators.bind_client(client_id, [])

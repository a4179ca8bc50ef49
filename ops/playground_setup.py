"""Sets a playground's database up: schema, a login of few rights, keys, one merchant and one API key.

It refuses to know processes. Invariant: every step may be repeated, so that a set-up that was interrupted is taken up
again by the next start.
"""

import secrets
from typing import Final

from ops.clients import every_scope
from ops.operating import onboarding_of, operator_origin, operators_database
from ops.playground_folder import Folder, Record
from ops.sandbox.signing import keep_private_key
from vault import custody, migrations
from vault.db import Database
from vault.directory import GatewayKeys
from vault.merchant import MerchantSettings
from vault.onboarding import NewClient, NewMerchant
from vault.roles import APP, AUDITOR, SEQUENCER
from vault.settings import Settings
from vault.store import keys

RUNTIME_LOGIN: Final = "cardvault_runtime"
_VERSION: Final = "1"
_DEFAULTS: Final = {
    "paymentRedirectUrl": "https://shop.example/return",
    "settlementStrategy": {"settlementCurrency": "EUR"},
}


async def prepare_database(superuser_url: str) -> str:
    """Migrate, and give the login of the servers a fresh password, which is returned."""
    await migrations.upgrade(superuser_url)
    password = secrets.token_urlsafe(24)
    database = Database(superuser_url, role=None, pool_size=1)
    try:
        async with database.session() as session:
            known = await session.value("select count(*) from pg_roles where rolname = $1", RUNTIME_LOGIN)
            if not known:
                await session.rows(f"create role {RUNTIME_LOGIN} noinherit")
            await session.rows(f"grant {APP}, {SEQUENCER}, {AUDITOR} to {RUNTIME_LOGIN}")
            # A statement that changes a role takes no parameters; the password's characters need no quoting.
            await session.rows(f"alter role {RUNTIME_LOGIN} login password '{password}'")
    finally:
        await database.close()
    return password


async def onboard(settings: Settings, folder: Folder, gateway_public_key: str) -> Record:
    """Make keys, merchant and API key where an earlier start has not."""
    await _ensure_keys(settings)
    known = Record.read(folder.record)
    if known is not None:
        return known
    keep_private_key(folder.merchant_key)
    # A new id each time: an earlier set-up may have been interrupted after the merchant was made.
    client_id = f"PLAYGROUND_{secrets.token_hex(4).upper()}"
    gateway_keys = GatewayKeys(folder.merchant_key.read_text(), _VERSION, {_VERSION: gateway_public_key})
    new = NewMerchant("Playground", client_id, gateway_keys, MerchantSettings.model_validate(_DEFAULTS))
    async with onboarding_of(settings) as onboarding:
        merchant = await onboarding.create_merchant(new)
        _, secret = await onboarding.create_client(NewClient(merchant.id, "playground", every_scope()))
    record = Record(secret.reveal(), merchant.id, client_id)
    record.write(folder.record)
    return record


async def _ensure_keys(settings: Settings) -> None:
    async with operators_database(settings) as database:
        async with database.session() as session:
            known = await keys.roots(session)
        if not known:
            await custody.initialise(settings, database, operator_origin())
        else:
            await custody.complete(settings, database, operator_origin())

"""Merchants with their opened gateway credentials, at hand for every payment.

It refuses to know what is paid. Invariant: parsing a private key takes tens of milliseconds, so it happens once for
each sealed value and never in a request that finds it cached; the cache is bounded.
"""

from dataclasses import dataclass
from typing import Final

import orjson

from keys.keyring import Envelope, Keyring, Location, Purpose
from keys.lru import Lru
from vault.db import Database
from vault.errors import NotFound
from vault.gateway.signing import GatewayCredentials, load_private_key, load_public_key
from vault.merchant import Merchant
from vault.store import merchants

_CACHED: Final = 512


@dataclass(frozen=True, slots=True)
class Account:
    """A merchant with opened credentials."""

    merchant: Merchant
    credentials: GatewayCredentials


@dataclass(frozen=True, slots=True)
class GatewayKeys:
    """What a merchant hands over to be sealed: keys as text (antom-api.md 1.5), public ones by version."""

    private_key: str
    key_version: str
    public_keys: dict[str, str]

    def credentials(self, client_id: str) -> GatewayCredentials:
        """Parse the keys; raises `KeyFormatInvalid` or `CredentialsInvalid`."""
        public_keys = {version: load_public_key(text) for version, text in self.public_keys.items()}
        return GatewayCredentials(client_id, self.key_version, load_private_key(self.private_key), public_keys)


def _location(merchant_id: str) -> Location:
    return Location(merchant_id, "merchant", merchant_id, "gateway_credentials")


async def seal_gateway_keys(keyring: Keyring, merchant_id: str, keys: GatewayKeys) -> Envelope:
    """Seal a merchant's gateway keys for its row."""
    plaintext = orjson.dumps(
        {"privateKey": keys.private_key, "keyVersion": keys.key_version, "publicKeys": keys.public_keys}
    )
    return await keyring.seal(Purpose.CREDENTIAL, plaintext, _location(merchant_id))


class Directory:
    """Merchants by id."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring
        self._opened: Lru[bytes, GatewayCredentials] = Lru(_CACHED)

    async def account(self, merchant_id: str) -> Account:
        """Give a merchant with opened credentials; raises `NotFound`."""
        async with self._database.session() as session:
            merchant = await merchants.find(session, merchant_id)
        if merchant is None:
            raise NotFound
        return Account(merchant, await self._credentials(merchant))

    async def _credentials(self, merchant: Merchant) -> GatewayCredentials:
        known = self._opened.get(merchant.gateway_credentials)
        if known is not None and known.client_id == merchant.gateway_client_id:
            return known
        opened = orjson.loads((await self._keyring.open(merchant.gateway_credentials, _location(merchant.id))).reveal())
        keys = GatewayKeys(opened["privateKey"], opened["keyVersion"], opened["publicKeys"])
        credentials = keys.credentials(merchant.gateway_client_id)
        self._opened.put(merchant.gateway_credentials, credentials)
        return credentials

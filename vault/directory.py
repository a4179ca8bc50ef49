"""Merchants with their opened gateway credentials, at hand for every payment.

It refuses to know what is paid. Invariant: parsing a private key takes tens of milliseconds, so it happens once for
each sealed value and never in a request that finds it cached; a change of a merchant is known within two seconds, as
that of an API client is; the caches are bounded.
"""

import time
from dataclasses import dataclass, field
from math import inf
from typing import Final

import orjson

from keys.keyring import Envelope, Keyring, Location, Purpose
from keys.lru import Lru
from vault.audit.events import Origin
from vault.db import Database
from vault.errors import NotFound
from vault.gateway.signing import GatewayCredentials, load_private_key, load_public_key
from vault.merchant import Merchant
from vault.opening import Opener
from vault.store import merchants

_CACHED: Final = 512
_FRESH_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Account:
    """A merchant with opened credentials."""

    merchant: Merchant
    credentials: GatewayCredentials


@dataclass(frozen=True, slots=True)
class GatewayKeys:
    """What a merchant hands over to be sealed: keys as text (antom-api.md 1.5), public ones by version."""

    private_key: str = field(repr=False)
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


async def open_gateway_keys(opener: Opener, merchant: Merchant, origin: Origin) -> GatewayKeys:
    """Open a merchant's gateway keys; raises `IntegrityFailure` or `KeysUnavailable`."""
    sealed = await opener.open(merchant.gateway_credentials, _location(merchant.id), origin)
    opened = orjson.loads(sealed.reveal())
    return GatewayKeys(opened["privateKey"], opened["keyVersion"], opened["publicKeys"])


class Directory:
    """Merchants by id."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._opener = Opener(database, keyring)
        self._read: Lru[str, tuple[float, Merchant]] = Lru(_CACHED)
        self._opened: Lru[tuple[str, str, bytes], GatewayCredentials] = Lru(_CACHED)

    async def merchant(self, merchant_id: str) -> Merchant:
        """Give a merchant as it is now; raises `NotFound`."""
        async with self._database.session() as session:
            merchant = await merchants.find(session, merchant_id)
        if merchant is None:
            raise NotFound
        return merchant

    async def account(self, merchant_id: str, origin: Origin) -> Account:
        """Give a merchant with opened credentials; raises `NotFound`, `IntegrityFailure` or `KeysUnavailable`."""
        read_at, merchant = self._read.get(merchant_id) or (-inf, None)
        if merchant is None or time.monotonic() - read_at >= _FRESH_SECONDS:
            merchant = await self.merchant(merchant_id)
            self._read.put(merchant_id, (time.monotonic(), merchant))
        return Account(merchant, await self._credentials(merchant, origin))

    async def _credentials(self, merchant: Merchant, origin: Origin) -> GatewayCredentials:
        # What was opened for one merchant and client id is not there for another one that holds the same envelope.
        place = (merchant.id, merchant.gateway_client_id, merchant.gateway_credentials)
        known = self._opened.get(place)
        if known is not None:
            return known
        keys = await open_gateway_keys(self._opener, merchant, origin)
        credentials = keys.credentials(merchant.gateway_client_id)
        self._opened.put(place, credentials)
        return credentials

"""Merchants and their API clients, as operators make and change them.

It refuses to know the command line. Invariants: a secret is given back once, when it is made, and only its keyed hash
is kept; gateway keys are checked before they are sealed (design section 3, controls.md ACC-9).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import ip_network

from keys.keyring import Fingerprint, Keyring, Label
from keys.rootkey import RootKey
from vault.api_secret import ApiSecret
from vault.audit.events import Event, EventType, Origin
from vault.auth import Scope
from vault.custody import INSTALLATION, create_merchant_keys
from vault.db import Database, StatementFailed, Transaction
from vault.directory import Directory, GatewayKeys, open_gateway_keys, seal_gateway_keys
from vault.errors import Conflict, NotFound
from vault.ids import Prefix, new_id
from vault.merchant import Merchant, MerchantSettings
from vault.opening import Opener
from vault.retention_class import STANDARD, RetentionClass
from vault.rules.limits import OverrideInvalid, Overrides, read_override
from vault.settings import Settings
from vault.store import merchants, retention
from vault.store.merchants import ClientRow


class OnboardingInvalid(ValueError):
    """Something an operator gave cannot be used; the text says what and never repeats a secret."""


@dataclass(frozen=True, slots=True)
class NewMerchant:
    """What an operator gives for a merchant."""

    name: str
    gateway_client_id: str
    gateway_keys: GatewayKeys
    settings: MerchantSettings
    retention: RetentionClass = STANDARD


@dataclass(frozen=True, slots=True)
class NewClient:
    """What an operator gives for an API client."""

    merchant_id: str
    name: str
    scopes: Sequence[str]
    cidrs: Sequence[str] = ()
    expires_at: datetime | None = None
    limits: Sequence[str] = ()
    certificates: Sequence[bytes] = ()


class Onboarding:
    """Operators' changes to merchants and clients."""

    def __init__(
        self, settings: Settings, database: Database, roots: dict[bytes, RootKey], keyring: Keyring, origin: Origin
    ) -> None:
        self._settings = settings
        self._database = database
        self._roots = roots
        self._keyring = keyring
        self._origin = origin
        self._directory = Directory(database, keyring)

    async def create_merchant(self, new: NewMerchant) -> Merchant:
        """Make a merchant with its data keys and sealed gateway keys; raises `OnboardingInvalid` or `Conflict`."""
        new.gateway_keys.credentials(new.gateway_client_id)
        merchant = Merchant(new_id(Prefix.MERCHANT), new.name, True, new.gateway_client_id, b"", new.settings)
        root = max(self._roots.values(), key=lambda one: one.version)
        async with self._database.transaction() as transaction:
            await create_merchant_keys(transaction, root, merchant.id, self._settings, self._origin)
        credentials = await seal_gateway_keys(self._keyring, merchant.id, new.gateway_keys)
        event = Event(EventType.MERCHANT_CREATED, self._origin, merchant.id, (merchant.id,))
        try:
            async with self._database.transaction() as transaction:
                await merchants.insert(transaction, merchant, credentials, event)
                await self._add_class(transaction, merchant.id, new.retention)
        except StatementFailed:
            raise Conflict("Another merchant has this gateway client id.") from None
        return replace(merchant, gateway_credentials=credentials.data)

    async def merchant(self, merchant_id: str) -> Merchant:
        """Give a merchant; raises `NotFound`."""
        return await self._directory.merchant(merchant_id)

    async def merchants(self) -> list[Merchant]:
        """Give all merchants."""
        async with self._database.session() as session:
            return await merchants.listed(session)

    async def change_merchant(self, merchant: Merchant) -> Merchant:
        """Write a merchant's name, state and defaults."""
        event = Event(EventType.MERCHANT_CHANGED, self._origin, merchant.id, (merchant.id,))
        async with self._database.transaction() as transaction:
            await merchants.update(transaction, merchant, event)
        return merchant

    async def retention(self, merchant_id: str) -> RetentionClass:
        """Give the retention class that the new cards of a merchant that is there get."""
        async with self._database.session() as session:
            return await retention.current_class(session, merchant_id)

    async def change_retention(self, merchant_id: str, new: RetentionClass) -> None:
        """Give a merchant's future cards another retention class; cards keep the one under which they were stored."""
        async with self._database.transaction() as transaction:
            await self._add_class(transaction, merchant_id, new)

    async def _add_class(self, transaction: Transaction, merchant_id: str, new: RetentionClass) -> None:
        event = Event(
            EventType.RETENTION_CHANGED,
            self._origin,
            merchant_id,
            (merchant_id,),
            details={"days": new.days, "starts": new.starts},
        )
        await retention.add_class(transaction, merchant_id, new, event)

    async def gateway_keys(self, merchant: Merchant) -> GatewayKeys:
        """Open a merchant's gateway keys; raises `IntegrityFailure` or `KeysUnavailable`."""
        return await open_gateway_keys(Opener(self._database, self._keyring), merchant, self._origin)

    async def replace_gateway_keys(self, merchant: Merchant, keys: GatewayKeys) -> None:
        """Seal other gateway keys for a merchant, in place of the ones that it was read with.

        Servers use them within two seconds. Raises `KeyFormatInvalid`, `CredentialsInvalid`, or `Conflict` when
        somebody else changed them meanwhile (controls.md ACC-9).
        """
        keys.credentials(merchant.gateway_client_id)
        sealed = await seal_gateway_keys(self._keyring, merchant.id, keys)
        event = Event(EventType.GATEWAY_KEYS_CHANGED, self._origin, merchant.id, (merchant.id,))
        async with self._database.transaction() as transaction:
            replaced = await merchants.replace_credentials(transaction, merchant, sealed, event)
        if not replaced:
            self._keyring.forget_merchant(merchant.id)
            raise Conflict("The merchant's gateway keys were changed meanwhile: look at them and try again.")

    async def create_client(self, new: NewClient) -> tuple[ClientRow, ApiSecret]:
        """Make an API client; gives it with its secret, which cannot be had again."""
        await self.merchant(new.merchant_id)
        _check_client(new)
        secret, digest = await self._secret()
        created = datetime.now().astimezone()
        client = ClientRow(
            new_id(Prefix.CLIENT),
            new.merchant_id,
            new.name,
            tuple(dict.fromkeys(new.scopes)),
            tuple(new.cidrs),
            new.expires_at,
            None,
            created,
            quotas(new.limits),
            tuple(new.certificates),
        )
        event = Event(
            EventType.CLIENT_CREATED,
            self._origin,
            client.merchant_id,
            (client.id,),
            details={"scopes": " ".join(client.scopes)},
        )
        async with self._database.transaction() as transaction:
            await merchants.insert_client(transaction, client, digest, event)
        return client, secret

    async def clients(self, merchant_id: str | None) -> list[ClientRow]:
        """Give the API clients of a merchant, or of all."""
        async with self._database.session() as session:
            return await merchants.clients(session, merchant_id)

    async def rotate_client(self, client_id: str, *, overlap_seconds: float) -> ApiSecret:
        """Give a client a second secret; the first ends after the overlap. Raises `NotFound`, `Conflict` if revoked."""
        client = await self._client(client_id)
        if client.revoked_at is not None:
            raise Conflict("This client is revoked: create another one.")
        secret, digest = await self._secret()
        event = Event(EventType.CLIENT_ROTATED, self._origin, client.merchant_id, (client_id,))
        async with self._database.transaction() as transaction:
            await merchants.rotate_secret(transaction, client_id, digest, overlap_seconds, event)
        return secret

    async def limit_client(self, client_id: str, limits: Sequence[str], *, keep: bool) -> ClientRow:
        """Give a client quotas of its own, beside those that it has or instead; servers know within two seconds.

        Raises `OnboardingInvalid` and `NotFound`.
        """
        client = await self._client(client_id)
        changed = replace(client, limits=quotas(limits, client.limits if keep else {}))
        event = Event(EventType.CLIENT_CHANGED, self._origin, client.merchant_id, (client_id,))
        async with self._database.transaction() as transaction:
            await merchants.put_limits(transaction, client_id, changed.limits, event)
        return changed

    async def bind_client(self, client_id: str, certificates: Sequence[bytes]) -> ClientRow:
        """Let a client come with one of these certificates (SHA-256) only; servers know within two seconds.

        Raises `OnboardingInvalid` without any: what is bound stays bound, and `NotFound`.
        """
        if not certificates:
            raise OnboardingInvalid(
                "a client is bound to one certificate at least; for one without, make another client"
            )
        client = await self._client(client_id)
        event = Event(EventType.CLIENT_CHANGED, self._origin, client.merchant_id, (client_id,))
        async with self._database.transaction() as transaction:
            await merchants.put_certificates(transaction, client_id, certificates, event)
        return replace(client, certificates=tuple(certificates))

    async def revoke_client(self, client_id: str) -> bool:
        """End a client at once; False when it had ended before."""
        client = await self._client(client_id)
        event = Event(EventType.CLIENT_REVOKED, self._origin, client.merchant_id, (client_id,))
        async with self._database.transaction() as transaction:
            return await merchants.revoke_client(transaction, client_id, event)

    async def _client(self, client_id: str) -> ClientRow:
        async with self._database.session() as session:
            client = await merchants.find_client(session, client_id)
        if client is None:
            raise NotFound
        return client

    async def _secret(self) -> tuple[ApiSecret, Fingerprint]:
        secret = ApiSecret.generate(live=self._settings.in_production)
        return secret, await self._keyring.digest(INSTALLATION, Label.API_SECRET, secret.reveal().encode())


def quotas(texts: Sequence[str], known: Overrides | None = None) -> Overrides:
    """Read quotas such as `cards.store:burst=500`, beside those that are known; raises `OnboardingInvalid`."""
    made = {name: dict(windows) for name, windows in (known or {}).items()}
    for text in texts:
        try:
            limit, window, quota = read_override(text)
        except OverrideInvalid as error:
            raise OnboardingInvalid(str(error)) from None
        made.setdefault(limit.value, {})[window.value] = quota
    return made


def _check_client(new: NewClient) -> None:
    known = {scope.value for scope in Scope}
    if not new.scopes or not known.issuperset(new.scopes):
        raise OnboardingInvalid(f"scopes are some of: {', '.join(sorted(known))}")
    try:
        for cidr in new.cidrs:
            ip_network(cidr)
    except ValueError:
        raise OnboardingInvalid("an address range is written as CIDR, such as 10.0.0.0/8") from None


async def widens(database: Database, new: NewClient) -> bool:
    """Tell whether a client could do more than its merchant's live ones; the first one of all widens nothing.

    Raises `OnboardingInvalid` or `NotFound` for a client that cannot be made (controls.md ACC-3).
    """
    _check_client(new)
    async with database.session() as session:
        if await merchants.find(session, new.merchant_id) is None:
            raise NotFound
        present = await merchants.clients(session, new.merchant_id)
    now = datetime.now().astimezone()
    live = [one for one in present if one.revoked_at is None and (one.expires_at is None or one.expires_at > now)]
    return bool(present) and not {scope for one in live for scope in one.scopes}.issuperset(new.scopes)

"""Merchants as an operator's command shows and changes them.

It refuses to know the command line and how keys are sealed. Invariant: a change keeps what it does not name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from ops.gateway_probe import why_distrusted
from ops.refusal import NO_MERCHANT, Refused
from ops.retention import with_class
from vault.directory import GatewayKeys
from vault.errors import NotFound
from vault.gateway.client import GatewayClient
from vault.gateway.signing import load_private_key, load_public_key, public_key_digest
from vault.merchant import Merchant, MerchantSettings
from vault.onboarding import NewMerchant, Onboarding
from vault.retention_class import RetentionClass

_CURRENCY: Final = "settlement_currency"


@dataclass(frozen=True, slots=True)
class Change:
    """What an operator changes; None stays. `defaults` are named as the options are."""

    name: str | None = None
    active: bool | None = None
    retention: RetentionClass | None = None
    defaults: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What an operator changes about gateway keys: the signing key, added keys of the gateway, those to retire."""

    private_key: str | None = field(default=None, repr=False)
    key_version: str | None = None
    public_keys: Mapping[str, str] = field(default_factory=dict)
    retired: Sequence[str] = ()


def settings_from(present: Mapping[str, Any], given: Mapping[str, str | None]) -> MerchantSettings:
    """Put the given defaults over the present ones; raises `Refused`, naming what is not acceptable."""
    values = dict(present)
    for option, value in given.items():
        if option == _CURRENCY and value is not None:
            values["settlementStrategy"] = {"settlementCurrency": value}
        elif value is not None:
            values[to_camel(option)] = value
    try:
        return MerchantSettings.model_validate(values)
    except ValidationError as error:
        wrong = sorted({str(fault["loc"][0]) for fault in error.errors(include_input=False, include_url=False)})
        raise Refused(f"not acceptable: {', '.join(wrong)}") from None


def merchant_record(merchant: Merchant) -> dict[str, Any]:
    """Give the fields of a merchant that are shown."""
    return {
        "merchantId": merchant.id,
        "name": merchant.name,
        "status": "ACTIVE" if merchant.active else "DISABLED",
        "gatewayClientId": merchant.gateway_client_id,
        "notificationPath": f"/v1/gateway/notifications/{merchant.id}",
        "settings": merchant.settings.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def keys_record(keys: GatewayKeys) -> dict[str, Any]:
    """Give what may be shown of gateway keys: versions, and digests of public keys to compare with the console's."""
    own = load_private_key(keys.private_key).public_key()
    known = {version: public_key_digest(load_public_key(text)) for version, text in sorted(keys.public_keys.items())}
    return {
        "signing": {"keyVersion": keys.key_version, "publicKeySha256": public_key_digest(own)},
        "gateway": [{"keyVersion": version, "publicKeySha256": shown} for version, shown in known.items()],
    }


def changed_keys(present: GatewayKeys, change: KeyChange) -> GatewayKeys:
    """Put what an operator gives over the present keys; raises `Refused` where that cannot be."""
    if change == KeyChange():
        raise Refused("nothing to change: give a key file, or a version to retire")
    unknown = [version for version in change.retired if version not in present.public_keys]
    if unknown:
        raise Refused(f"the merchant has no gateway key of version {', '.join(unknown)}")
    public_keys = {version: key for version, key in present.public_keys.items() if version not in change.retired}
    return GatewayKeys(
        change.private_key or present.private_key,
        change.key_version or present.key_version,
        {**public_keys, **change.public_keys},
    )


async def rotate_gateway_keys(
    onboarding: Onboarding, client: GatewayClient | None, merchant_id: str, change: KeyChange
) -> tuple[Merchant, GatewayKeys]:
    """Change a merchant's gateway keys, once the gateway was seen to accept them, unless no client is given.

    Raises `Refused`, with the merchant as it was.
    """
    merchant = await find_merchant(onboarding, merchant_id)
    keys = changed_keys(await onboarding.gateway_keys(merchant), change)
    credentials = keys.credentials(merchant.gateway_client_id)
    distrust = await why_distrusted(client, credentials) if client else None
    if distrust is not None:
        raise Refused(f"{distrust.said}; nothing was changed: {distrust.advice}, or give --unchecked")
    await onboarding.replace_gateway_keys(merchant, keys)
    return merchant, keys


async def find_merchant(onboarding: Onboarding, merchant_id: str) -> Merchant:
    """Give a merchant; raises `Refused` when there is none."""
    try:
        return await onboarding.merchant(merchant_id)
    except NotFound:
        raise Refused(NO_MERCHANT) from None


async def show_merchant(onboarding: Onboarding, merchant_id: str) -> dict[str, Any]:
    """Give all that is shown of a merchant; raises `Refused` when there is none."""
    merchant = await find_merchant(onboarding, merchant_id)
    record = await with_class(onboarding, merchant_record(merchant))
    return record | {"gatewayKeys": keys_record(await onboarding.gateway_keys(merchant))}


async def change_merchant(onboarding: Onboarding, merchant_id: str, change: Change) -> Merchant:
    """Change a merchant and give it as it is then; raises `Refused`."""
    merchant = await find_merchant(onboarding, merchant_id)
    present = merchant.settings.model_dump(mode="json", by_alias=True, exclude_none=True)
    changed = replace(
        merchant,
        name=merchant.name if change.name is None else change.name,
        active=merchant.active if change.active is None else change.active,
        settings=settings_from(present, change.defaults),
    )
    if change.retention is not None:
        await onboarding.change_retention(merchant_id, change.retention)
    return await onboarding.change_merchant(changed)


async def changed_record(onboarding: Onboarding, merchant_id: str, change: Change) -> dict[str, Any]:
    """Change a merchant and give the fields that are shown; raises `Refused`."""
    merchant = await change_merchant(onboarding, merchant_id, change)
    return await with_class(onboarding, merchant_record(merchant))


async def created_record(onboarding: Onboarding, new: NewMerchant) -> dict[str, Any]:
    """Make a merchant and give the fields that are shown."""
    return await with_class(onboarding, merchant_record(await onboarding.create_merchant(new)))

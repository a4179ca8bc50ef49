"""Merchants as an operator's command shows and changes them.

It refuses to know the command line and keys. Invariant: a change keeps what it does not name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from ops.refusal import Refused
from vault.errors import NotFound
from vault.merchant import Merchant, MerchantSettings
from vault.onboarding import Onboarding

_CURRENCY: Final = "settlement_currency"


@dataclass(frozen=True, slots=True)
class Change:
    """What an operator changes; None stays. `defaults` are named as the options are."""

    name: str | None = None
    active: bool | None = None
    defaults: Mapping[str, str | None] = field(default_factory=dict)


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


async def find_merchant(onboarding: Onboarding, merchant_id: str) -> Merchant:
    """Give a merchant; raises `Refused` when there is none."""
    try:
        return await onboarding.merchant(merchant_id)
    except NotFound:
        raise Refused("no merchant has this id: see cardvault merchants list") from None


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
    return await onboarding.change_merchant(changed)

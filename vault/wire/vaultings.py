"""The bodies that store a card without a payment (design section 4; antom-api.md 2.8).

It refuses to know what is done with them. Invariant: what only the gateway could do anything with is told apart, so
that it can be refused where the gateway is not asked.
"""

from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import Field

from vault.wire.authentication import AuthenticationFields, ExtraVerificationField
from vault.wire.cards import ConsentField, StoreCardRequest
from vault.wire.fields import Flag, Metadata, Reference, Region, Url, Wire
from vault.wire.orders import EnvField

_FOR_THE_GATEWAY: Final = (
    "is_3ds_authentication",
    "enable_authentication_upgrade",
    "mpi_data",
    "vaulting_request_id",
    "payment_redirect_url",
    "env",
    "merchant_region",
    "extra_verification",
)


class CardRequest(StoreCardRequest, AuthenticationFields):
    """`POST /v1/cards`; without a `vaultingRequestId` every request for a card at the gateway is a new one."""

    vaulting_request_id: Reference | None = None
    payment_redirect_url: Url | None = None
    env: EnvField | None = None
    merchant_region: Region | None = None
    extra_verification: ExtraVerificationField | None = None

    def for_the_gateway(self) -> list[str]:
        """Give the pointers of what was sent for the gateway alone."""
        fields = CardRequest.model_fields
        return [f"/{fields[name].alias}" for name in _FOR_THE_GATEWAY if getattr(self, name) is not None]


class VaultingSessionRequest(Wire):
    """`POST /v1/vaulting-sessions`: the buyer types the card in a client SDK."""

    reference_buyer_id: Reference
    vaulting_request_id: Reference | None = None
    payment_redirect_url: Url | None = None
    merchant_region: Region | None = None
    is_3ds_authentication: Annotated[Flag | None, Field(alias="is3DSAuthentication")] = None
    is_default: Flag = False
    metadata: Metadata | None = None
    consent: ConsentField | None = None


def vaulting_references(request: CardRequest | VaultingSessionRequest) -> Iterator[tuple[str, str]]:
    """Give the merchant's own ids with their pointers: they may look like card numbers by chance."""
    yield "/referenceBuyerId", request.reference_buyer_id
    if request.vaulting_request_id is not None:
        yield "/vaultingRequestId", request.vaulting_request_id

"""The bodies about mandates (design section 4): consent that is recorded, and charges without the buyer.

It refuses to know what is done with them. Invariant: a charge without the buyer has no CVV, no PIN and nothing about
3-D Secure in it, not even a flag that says no (controls.md COF-8, SAD-5).
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict
from pydantic.json_schema import SkipJsonSchema

from vault.mandate import RecurringType
from vault.wire.authentication import ExtraVerificationField
from vault.wire.cards import ConsentField
from vault.wire.fields import NUMBER, Code, LaterMoment, Moment, PastMoment, Reference, Wire, refusal
from vault.wire.orders import AmountField
from vault.wire.requests import PaymentRequest

_LONGEST_INTERVAL: Final = 3660
_OF_THE_BUYER: Final = frozenset({"cvv", "is3DSAuthentication", "enableAuthenticationUpgrade", "mpiData"})
_SOURCES: Final = ("initialPaymentId", "vaultingCardId", "imported")


def _present(name: str) -> JsonDict:
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


class ImportedField(Wire):
    """An agreement that was authenticated elsewhere: the network's id of that authorisation, and when it was."""

    network_transaction_id: Code
    authenticated_at: PastMoment


class MandateRequest(Wire):
    """`POST /v1/mandates`; exactly one of `initialPaymentId`, `vaultingCardId` and `imported`."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [_present(name) for name in _SOURCES]})

    card_id: Reference
    initial_payment_id: Reference | None = None
    vaulting_card_id: Reference | None = None
    imported: ImportedField | None = None
    recurring_type: RecurringType
    max_amount: AmountField | None = None
    valid_from: Moment | None = None
    valid_until: LaterMoment | None = None
    minimum_interval_days: Annotated[int, Field(ge=1, le=_LONGEST_INTERVAL), NUMBER] | None = None
    reference: Reference | None = None
    consent: ConsentField | None = None

    @model_validator(mode="after")
    def _rests_on_one_thing(self) -> Self:
        if [self.initial_payment_id, self.vaulting_card_id, self.imported].count(None) != 2:  # noqa: PLR2004 - all but one
            raise refusal("mandate_source")
        return self

    def references(self) -> list[tuple[str, str]]:
        """Give the merchant's own ids with their pointers: they may look like card numbers by chance."""
        imported = self.imported.network_transaction_id if self.imported else None
        named = {"/reference": self.reference, "/imported/networkTransactionId": imported}
        return [(pointer, text) for pointer, text in named.items() if text is not None]


class ChargeVerificationField(ExtraVerificationField):
    """What some regions ask for beside the card, as far as it can be known without the buyer."""

    card_password_digest: SkipJsonSchema[None] = None


class MandatePaymentRequest(PaymentRequest):
    """`POST /v1/mandates/{mandateId}/payments`; what only a buyer could answer is always off."""

    recurring_type: RecurringType | None = None
    extra_verification: ChargeVerificationField | None = None
    is_3ds_authentication: SkipJsonSchema[Annotated[Literal[False], Field(alias="is3DSAuthentication")]] = False
    enable_authentication_upgrade: SkipJsonSchema[Literal[False]] = False
    mpi_data: SkipJsonSchema[None] = None

    @model_validator(mode="before")
    @classmethod
    def _has_nothing_of_the_buyer(cls, sent: Any) -> Any:
        if isinstance(sent, dict):
            extra = sent.get("extraVerification")
            pin = isinstance(extra, dict) and "cardPasswordDigest" in extra
            if pin or not _OF_THE_BUYER.isdisjoint(sent):
                raise refusal("buyer_absent")
        return sent

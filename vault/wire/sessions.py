"""The body that opens a payment session for a client SDK (design section 4; antom-api.md 2.7).

It refuses to know what is done with it. Invariant: a session is for one card at most, a typed one, a stored one or a
mandate's, and says nothing about the buyer's authentication where it is charged under a mandate.
"""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from vault.wire.fields import Flag, LaterMoment, Reference, refusal
from vault.wire.requests import CardPaymentRequest

_OF_THE_BUYER: Final = ("is_3ds_authentication", "enable_authentication_upgrade", "mpi_data")


class SessionRequest(CardPaymentRequest):
    """`POST /v1/payment-sessions`; without a card the buyer types one in the client SDK."""

    card_id: Reference | None = None
    mandate_id: Reference | None = None
    payment_session_expiry_time: LaterMoment | None = None
    enable_installment_collection: Flag | None = None
    product_scene: Literal["CHECKOUT_PAYMENT", "ELEMENT_PAYMENT"] | None = None
    locale: Annotated[str, Field(pattern=r"^[a-zA-Z]{2}([_-][a-zA-Z]{2,5})?$")] | None = None

    @model_validator(mode="after")
    def _is_for_one_card(self) -> Self:
        stored = [self.card_id, self.mandate_id]
        if [self.card, *stored].count(None) < len(stored) or (self.store_card and any(stored)):
            raise refusal("contradictory")
        if self.mandate_id and any(getattr(self, name) is not None for name in _OF_THE_BUYER):
            raise refusal("buyer_absent")
        return self

    @property
    def names_a_card(self) -> bool:
        """Tell whether it is known by now which card will be paid with."""
        return any((self.card, self.card_id, self.mandate_id))

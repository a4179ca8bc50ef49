"""What each event holds, as closed models, and when it is told: the one table behind OpenAPI's `webhooks`.

It refuses to know how events are written (`vault.migrations.telling`). Invariant: every type of event is in the table,
with exactly the fields that the database writes, whose absent values are null.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from vault.payment import Kind, Status
from vault.routes.shapes import View
from vault.stored_card import DeletionReason
from vault.webhook import WebhookType
from vault.wire.orders import AmountField


class EventData(View):
    """What the data of all events have in common: no field but those that are named."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")


class CardEventData(EventData):
    """A card as it stood after the change, masked."""

    card_id: str
    status: Literal["ACTIVE", "EXPIRED", "DISABLED", "DELETED"]
    card_brand: str
    masked_card_no: str
    is_default: bool


class CardDeletedData(CardEventData):
    """A card that was deleted, and why."""

    reason: DeletionReason


class CardNotStoredData(EventData):
    """A card that could not be stored without a payment; `cardId` is the one that was `PENDING`, if it had one."""

    vaulting_request_id: str
    card_id: str | None
    result_code: str | None


class PaymentEventData(EventData):
    """A payment as it stood after the change; `maskedCardNo` is null where the buyer typed the card at the gateway."""

    payment_id: str
    payment_request_id: str
    kind: Kind
    payment_status: Status
    capture_status: Literal["NONE", "PENDING", "PARTIAL", "FULL", "EXPIRED"]
    payment_amount: AmountField
    card_id: str | None
    masked_card_no: str | None
    mandate_id: str | None
    result_code: str | None


class MovementEventData(EventData):
    """What captures and refunds have in common."""

    payment_id: str
    status: Literal["SUCCESS", "FAIL"]
    result_code: str | None


class CaptureEventData(MovementEventData):
    """A capture whose outcome is known."""

    capture_id: str
    capture_request_id: str
    capture_amount: AmountField


class RefundEventData(MovementEventData):
    """A refund whose outcome is known."""

    refund_id: str
    refund_request_id: str
    refund_amount: AmountField


class MandateEndedData(EventData):
    """A mandate under which nothing is charged any more."""

    mandate_id: str
    card_id: str
    status: Literal["ENDED"]


class WebhookTestData(EventData):
    """The endpoint that is being tested."""

    endpoint_id: str


@dataclass(frozen=True, slots=True)
class Told:
    """When a type of event is told, and what it holds."""

    when: str
    data: type[EventData]


TOLD: Final[Mapping[WebhookType, Told]] = {
    WebhookType.CARD_STORED: Told("A card was stored, however it came about.", CardEventData),
    WebhookType.CARD_NOT_STORED: Told(
        "The gateway or the bank did not let a card be stored without a payment.", CardNotStoredData
    ),
    WebhookType.CARD_UPDATED: Told("Something that is shown of a card has changed.", CardEventData),
    WebhookType.CARD_DISABLED: Told("A decline said that the card is gone.", CardEventData),
    WebhookType.CARD_EXPIRED: Told("The card's last month is over, once for each expiry.", CardEventData),
    WebhookType.CARD_REACTIVATED: Told("A disabled card was paid with successfully.", CardEventData),
    WebhookType.CARD_DELETED: Told("A card was deleted.", CardDeletedData),
    WebhookType.PAYMENT_PROCESSING: Told(
        "The buyer has to do something, or the gateway is not ready.", PaymentEventData
    ),
    WebhookType.PAYMENT_UNKNOWN: Told(
        "There is no answer that can be trusted; the vault finds out, and tells.", PaymentEventData
    ),
    WebhookType.PAYMENT_SUCCEEDED: Told("The payment is authorised.", PaymentEventData),
    WebhookType.PAYMENT_FAILED: Told("The payment was declined, or was not made.", PaymentEventData),
    WebhookType.PAYMENT_CANCELLED: Told("The payment was given up or voided.", PaymentEventData),
    WebhookType.PAYMENT_AUTHORISATION_EXPIRED: Told("The payment can no longer be captured.", PaymentEventData),
    WebhookType.CAPTURE_SUCCEEDED: Told("The money was taken, also where the gateway did it itself.", CaptureEventData),
    WebhookType.CAPTURE_FAILED: Told("The money was not taken.", CaptureEventData),
    WebhookType.REFUND_SUCCEEDED: Told(
        "The money was given back, also where it was done at the gateway.", RefundEventData
    ),
    WebhookType.REFUND_FAILED: Told("The money was not given back.", RefundEventData),
    WebhookType.MANDATE_ENDED: Told("Nothing is charged under the mandate any more.", MandateEndedData),
    WebhookType.TEST: Told("A test was asked for, for this endpoint alone.", WebhookTestData),
}

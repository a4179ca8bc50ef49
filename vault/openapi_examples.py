"""Requests as a merchant would send them, for the OpenAPI document: from a first payment to a charge under a mandate.

It refuses to know routes. Invariant: every example is accepted by the model of the body that it is an example of; ids
of ours in them are made up, and belong to nobody.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

_CARD: Final = {"cardNo": "4111111111111111", "expiryMonth": "03", "expiryYear": "39"}
_AMOUNT: Final = {"currency": "EUR", "value": "1500"}
_AGREED: Final = {"acceptedAt": "2026-01-31T12:00:00Z", "clientIp": "203.0.113.9"}
_CARD_ID: Final = "card_aaaaaaaaaaaaaaaaaaaaaaaaaa"
_PAYMENT_ID: Final = "pay_aaaaaaaaaaaaaaaaaaaaaaaaaa"


def _order(number: int, description: str, **more: object) -> dict[str, Any]:
    return {"referenceOrderId": f"order-{number}", "orderDescription": description, **more}


# By the operation's id, each with what it shows.
EXAMPLES: Final[Mapping[str, Mapping[str, dict[str, Any]]]] = MappingProxyType(
    {
        "storeCard": {"Keep a card in the vault": {"referenceBuyerId": "buyer-42", "storage": "VAULT", "card": _CARD}},
        "pay": {
            "Pay with 3-D Secure, and keep the card": {
                "paymentRequestId": "order-1001-1",
                "paymentAmount": _AMOUNT,
                "order": _order(1001, "First month", buyer={"referenceBuyerId": "buyer-42"}),
                "card": {**_CARD, "cvv": "737"},
                "storeCard": "GATEWAY",
                "consent": {"text": "Keep my card for later payments.", **_AGREED},
                "is3DSAuthentication": True,
                "paymentRedirectUrl": "https://shop.example/return",
            },
            "Pay once, and keep nothing": {
                "paymentRequestId": "order-1002-1",
                "paymentAmount": _AMOUNT,
                "order": _order(1002, "Two books"),
                "card": {**_CARD, "cvv": "737"},
            },
            "Have the buyer type the card on the gateway's page": {
                "paymentRequestId": "order-1003-1",
                "paymentAmount": _AMOUNT,
                "order": _order(1003, "Two books"),
            },
        },
        "payWithCard": {
            "Pay with a stored card, the buyer present": {
                "paymentRequestId": "order-1004-1",
                "paymentAmount": _AMOUNT,
                "order": _order(1004, "One more book"),
            }
        },
        "recordMandate": {
            "Up to 15 EUR each month": {
                "cardId": _CARD_ID,
                "initialPaymentId": _PAYMENT_ID,
                "recurringType": "SCHEDULED",
                "maxAmount": _AMOUNT,
                "minimumIntervalDays": 27,
                "consent": {"text": "Charge me up to 15 EUR each month.", **_AGREED},
            },
            "An agreement that was made elsewhere": {
                "cardId": _CARD_ID,
                "imported": {"networkTransactionId": "0160A5512B34567", "authenticatedAt": "2026-01-31T12:00:00Z"},
                "recurringType": "UNSCHEDULED",
            },
        },
        "chargeMandate": {
            "Charge a month": {
                "paymentRequestId": "order-1005-1",
                "paymentAmount": _AMOUNT,
                "order": _order(1005, "Second month"),
            }
        },
        "capturePayment": {"Capture all": {"captureRequestId": "order-1001-c1", "captureAmount": _AMOUNT}},
        "refundPayment": {
            "Give a part back": {
                "refundRequestId": "order-1001-r1",
                "refundAmount": {"currency": "EUR", "value": "500"},
                "refundReason": "One book came back",
            }
        },
        "createWebhookEndpoint": {
            "Be told of everything": {"url": "https://shop.example/webhooks"},
            "Be told of payments and captures": {
                "url": "https://shop.example/webhooks",
                "eventTypes": ["payment.*", "capture.*"],
            },
        },
    }
)


def show_examples(document: dict[str, Any]) -> None:
    """Add the examples to the bodies of their operations."""
    for item in document["paths"].values():
        for operation in item.values():
            shown = EXAMPLES.get(operation["operationId"])
            if shown:
                operation["requestBody"]["content"]["application/json"]["examples"] = {
                    f"{operation['operationId']}{number}": {"summary": summary, "value": body}
                    for number, (summary, body) in enumerate(shown.items(), 1)
                }

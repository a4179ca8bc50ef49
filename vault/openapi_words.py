"""What the OpenAPI document says about fields, parameters and the whole, in words that need no other page.

It refuses to know routes and validation: a field is named as it goes over the wire, and what a model says about a field
of its own stays. Invariant: every field by which a merchant asks or decides has its words (a test names the schemas).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

ABOUT: Final = """\
**Identify yourself** with `Authorization: Bearer cv_…`; each operation names the scope that the key needs.

**Bodies** are JSON objects. A field that is not known is refused, so that a misspelt one is never ignored. An amount is
text, in the currency's smallest unit: 15.00 EUR is `{"currency": "EUR", "value": "1500"}`.

**Requests may be repeated.** The id that you choose (`paymentRequestId`, `captureRequestId`, `refundRequestId`,
`vaultingRequestId`) makes it safe: the identical request again shows the same object, in its present state, and nothing
is made twice. The same id with another body is 409 `idempotency_conflict`.

**The outcome of a payment** is known once `paymentStatus` is `SUCCESS`, `FAIL` or `CANCELLED`. A decline is no error,
but a 201 with `FAIL`. Before that, send the buyer to `nextAction` where there is one, and wait for the webhook, or look
again.

**Errors** are problem documents (RFC 9457): decide by `code`, look at `errors` for the fields of a 422, and send the
identical request again only where `retryable` is true. They never repeat what was sent.

**For a subscription:** `POST /v1/webhook-endpoints`; `POST /v1/payments` with `storeCard` and `is3DSAuthentication`;
the buyer's browser to `nextAction`; once it is `SUCCESS`, `POST /v1/mandates` with a `recurringType`, the `cardId` of
its `card`, and its `paymentId` as `initialPaymentId`; then `POST /v1/mandates/{mandateId}/payments` for each charge.
What is told of all this is under `webhooks`.
"""

# By name, wherever a field of it has no words of its own; "Schema.name" goes before "name".
_FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        # What merchants send.
        "AmountField.value": "Digits alone, in the currency's smallest unit: `1500` is 15.00 EUR, and 1500 JPY.",
        "BuyerField.referenceBuyerId": "Your id of the buyer. Needed where the card is to be stored.",
        "CardField.expiryMonth": "Two digits.",
        "CaptureRequest.captureAmount": "At most what is left of the payment, in its currency.",
        "CardRequest.storage": "Who keeps the card: the vault, encrypted, or the gateway, as a token.",
        "CardRequest.vaultingRequestId": "The idempotency key, where the gateway is to keep the card.",
        "ConsentField.acceptedAt": "When the buyer agreed: not in the future, with `Z` or an offset.",
        "ConsentField.clientIp": "The address from which the buyer agreed.",
        "ConsentField.text": "What the buyer read and agreed to. Keep it yourself: only its SHA-256 is kept here.",
        "EndpointRequest.eventTypes": "What to be told of; `payment.*` is all of a kind. Absent: everything.",
        "ImportedField.authenticatedAt": "When the buyer authenticated for it.",
        "ImportedField.networkTransactionId": "The network's id of that authorisation, from whoever processed it.",
        "MandateRequest.cardId": "The card that is to be charged.",
        "MandateRequest.consent": "That the buyer agreed, as evidence; only the limits beside it are enforced.",
        "MandateRequest.imported": "An agreement that was made elsewhere, in place of a payment here.",
        "MandateRequest.initialPaymentId": "The buyer's own payment, which stored or used the card, with 3-D Secure.",
        "MandateRequest.maxAmount": "The most that one charge may be, and its currency. Without it neither is limited.",
        "MandateRequest.minimumIntervalDays": "Days of 24 hours from charge to charge: 27 for a month.",
        "MandateRequest.validUntil": "From then on nothing is charged.",
        "MandateRequest.vaultingCardId": "The same card, where it was stored without a payment and with 3-D Secure.",
        "MandatePaymentRequest.recurringType": "May be left out; where it is there it has to be the mandate's.",
        "OrderField.orderDescription": "What the buyer sees of the order. A card number in it is refused.",
        "OrderField.referenceOrderId": "Your id of the order. Several payments may have the same.",
        "RedeliverRequest.endpointId": "To this endpoint alone.",
        "RefundRequest.refundAmount": "At most what is left of what was captured, in its currency.",
        "RotateSecretRequest.overlapSeconds": "For how long webhooks carry the signature of the secret before, too.",
        "SessionRequest.cardId": "A stored card to pay with; the buyer only confirms.",
        "SessionRequest.mandateId": "Charge under this mandate, where the operator allows it in a session.",
        "SessionRequest.paymentSessionExpiryTime": "An end sooner than the usual hour.",
        "UpdateCardRequest.expiryMonth": "Two digits, with `expiryYear`.",
        "UpdateCardRequest.expiryYear": "The last two digits, with `expiryMonth`.",
        "allowedPaymentMethodRegions": "Ask about cards of these regions alone.",
        "allowedPaymentMethods": "Ask about these ways to pay alone.",
        "billingAddress": "The cardholder's address, for the issuer's address check.",
        "blockedPaymentMethods": "Leave these ways to pay out.",
        "buyer": "Who buys. Needed, with `referenceBuyerId`, where the card is to be stored.",
        "captureMode": "`AUTOMATIC`, the default: the gateway takes the money by itself. `MANUAL`: you capture it.",
        "captureRequestId": "Your id of the capture, and its idempotency key.",
        "card": "The card.",
        "CardPaymentRequest.card": "The card as it was typed. Without it the buyer types one on the gateway's page.",
        "cardholderName": "The name on the card.",
        "consent": "That the buyer agreed to have the card kept.",
        "creditPayPlan": "Pay by installments; ask `POST /v1/payment-options` first.",
        "enableAuthenticationUpgrade": "False: where the bank insists on 3-D Secure it is a decline.",
        "enableInstallmentCollection": "Have the SDK ask for the number of installments.",
        "env": "The buyer's device, for risk checks and 3-D Secure. Absent: as the merchant is set up.",
        "extraVerification": "What some countries ask for beside the card. It is sent and not stored.",
        "goods": "What is bought, for risk checks.",
        "is3DSAuthentication": "True: the buyer authenticates at the bank. Else the gateway decides.",
        "isDefault": "Whether it is the card that the buyer is offered first.",
        "isLastCapture": "True: nothing more will be captured.",
        "locale": "The language of the SDK.",
        "merchantRegion": "The country of the merchant. Absent: as the merchant is set up.",
        "metadata": "Your own notes, given back as they came. A card number in them is refused.",
        "mpiData": "The result of 3-D Secure that you did yourself, in place of the gateway's.",
        "order": "What is paid for.",
        "orderAmount": "Absent: the payment's amount.",
        "paymentAmount": "The amount and its currency.",
        "paymentExpiryTime": "When an unfinished payment ends by itself.",
        "paymentMethodRegion": "Which network of a co-badged card, by its region; not with `selectedCardBrand`.",
        "paymentRedirectUrl": "Where the buyer comes back to, whatever the outcome: look at the payment then. Required "
        "where the merchant is set up without one.",
        "paymentRequestId": "Your id of the payment, and its idempotency key.",
        "productScene": "Handed on to the SDK.",
        "recurringType": "Whether charges come at set times (`SCHEDULED`) or as needed (`UNSCHEDULED`).",
        "reference": "Your own id of the agreement.",
        "referenceBuyerId": "Your id of the buyer.",
        "refundRequestId": "Your id of the refund, and its idempotency key.",
        "selectedCardBrand": "Which network of a co-badged card the buyer chose; not with `paymentMethodRegion`.",
        "settlementStrategy": "The currency of the settlement. Absent: as the merchant is set up.",
        "shipping": "Where the goods go, for risk checks.",
        "storeCard": "Who keeps the card once the payment has succeeded. Absent: nobody.",
        "userRegion": "The buyer's country.",
        "validFrom": "Before then nothing is charged.",
        "vaultingRequestId": "Your id of the storing, and its idempotency key.",
        # What merchants read.
        "AuditActorView.kind": "What kind of caller it was.",
        "AuditEventView.eventId": "The id of the event.",
        "AttemptView.at": "When it was made.",
        "AttemptView.milliseconds": "How long it took.",
        "AttemptView.outcome": "How it ended; docs/webhooks.md says what to do about each.",
        "AttemptView.status": "The status of your answer; null where there was none.",
        "CaptureView.status": "`PENDING`: no outcome that can be trusted yet; the amount stays reserved.",
        "CardView.metadata": "Your own notes.",
        "DeclinedView.notBefore": "Not before this time, where only time helps and is known.",
        "DeliveryView.attempts": "The newest attempts, oldest first.",
        "EndpointView.url": "Where webhooks go.",
        "GatewayView.paymentId": "The gateway's id of the payment.",
        "ConsentView.acceptedAt": "When the buyer agreed.",
        "ConsentView.clientIp": "The address from which the buyer agreed.",
        "ConsentView.textSha256": "The SHA-256 of the text, in UTF-8, as hexadecimal digits.",
        "MandateView.consent": "What was sent as consent, with a hash in place of the text.",
        "MandateView.endedAt": "When the mandate was ended.",
        "MandateView.initialPaymentId": "The payment on which it rests; null where it rests on something else.",
        "MandateView.networkTransactionId": "The network's id to which the charges refer.",
        "MandateView.notBefore": "The earliest time of the next charge, where the interval decides it.",
        "MandateView.validUntil": "From then on nothing is charged.",
        "NewEndpointView.url": "Where webhooks go.",
        "NextActionView.method": "`GET`: open the address. `POST`: submit a form with `parameters` to it.",
        "NextActionView.type": "The browser goes elsewhere.",
        "NextActionView.url": "Where the buyer's browser goes.",
        "PaymentView.card": "The card that was paid with or stored; null where none is stored.",
        "PaymentOptionView.paymentMethodRegion": "The regions whose cards can be paid with.",
        "PaymentView.mandateId": "The mandate that it was charged under.",
        "applinkUrl": "The same for an app that opens links.",
        "attempt": "Counts within its round.",
        "authenticatedAt": "When the buyer authenticated.",
        "authorisationExpiresAt": "Until when it can be captured.",
        "cancelRequested": "True: it is to be cancelled as soon as its outcome is known.",
        "captureAmount": "The amount and its currency.",
        "captureId": "The vault's id of the capture.",
        "captureStatus": "How much of the authorised money was taken; `PENDING`: on its way.",
        "captures": "What was taken, or is to be.",
        "cardBin": "The first digits of the number, which tell the issuer.",
        "cardBrand": "Such as `VISA`.",
        "cardId": "The vault's id of the card: keep it with your buyer.",
        "category": "Why, in a word.",
        "code": "What to decide by; docs/problems.md says for each when it comes and what to do.",
        "createdAt": "When it was made.",
        "data": "The object as it stood after the change.",
        "declined": "Why it failed and what may be tried; null where it did not.",
        "detail": "For people. With a 422 of several fields it explains the first one.",
        "dsTransactionId": "The directory server's id of the authentication.",
        "eci": "The network's code for how the buyer authenticated: 02 and 05 are in full.",
        "endpointId": "The vault's id of the endpoint.",
        "errors": "With status 422: the fields that are not acceptable.",
        "eventId": "The same at every delivery: keep the ids that you have acted on.",
        "eventTypes": "What it is told of; null: everything.",
        "evidence": "How it is known that the buyer authenticated.",
        "expiryMonth": "Two digits; null where the gateway did not tell.",
        "expiryYear": "The last two digits; null where the gateway did not tell.",
        "funding": "Such as `CREDIT` or `DEBIT`, where the gateway told.",
        "gateway": "The gateway's own words.",
        "instance": "The request id as a URN.",
        "issuingCountry": "The issuer's country, where the gateway told.",
        "kind": "Why the card was charged.",
        "EvidenceView.kind": "By the gateway's 3-D Secure, yours, a redirect that succeeded, or your word.",
        "lastChargedAt": "When the last charge was made that was not declined or voided.",
        "lastFour": "The last four digits.",
        "mandateId": "The vault's id of the mandate.",
        "maskedCardNo": "All but the last four digits as asterisks.",
        "maxAmount": "The most that one charge may be; null: no limit.",
        "minimumIntervalDays": "Days of 24 hours between charges; null: any.",
        "nextAction": "Where the buyer has to go now; null where there is nothing to do.",
        "nextAttemptAt": "When it is tried again; null where it is not.",
        "nextCursor": "The `cursor` of the next page; null where there is none.",
        "objectId": "The id of what the event is about.",
        "parameters": "The fields of the form, where `method` is `POST`.",
        "paymentId": "The vault's id of the payment.",
        "paymentResultInfo": "What the gateway and the issuer told of the card and the authorisation.",
        "paymentStatus": "Where the payment stands.",
        "previousSecretExpiresAt": "Until when webhooks carry the signature of the secret before, too.",
        "referenceOrderId": "Your id of the order.",
        "refundAmount": "The amount and its currency.",
        "refundId": "The vault's id of the refund.",
        "refundedAmount": "What was given back for certain; null: nothing.",
        "refunds": "What was given back, or is to be.",
        "requestId": "What to quote to the operator; also in `X-Request-Id`.",
        "resultCode": "The gateway's word for the outcome.",
        "retry": "What has to change before another try.",
        "round": "Each redelivery begins a round.",
        "schemeUrl": "The same for an app with a scheme of its own.",
        "secret": "Keep all of it: it is never shown again. Webhooks are signed with what follows `whsec_`, decoded "
        "from base64.",
        "sequence": "Counts the events of the object, from 1 without gaps: a lower number is older.",
        "status": "Where it stands.",
        "storage": "Where the card is kept.",
        "threeDSVersion": "The version of 3-D Secure.",
        "timestamp": "When it happened.",
        "title": "For people: the code in words.",
        "type": "What happened.",
        "Problem.type": "The code as a URN.",
        "Problem.status": "The status of the answer.",
        "SessionView.paymentSessionExpiryTime": "Until when it can be paid in.",
        "updatedAt": "When it last changed.",
    }
)
_PARAMETERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "createdFrom": "From this time on. In a query `+` has to be written `%2B`; `Z` needs nothing.",
        "createdTo": "Before this time.",
        "cursor": "`nextCursor` of the page before.",
        "limit": "The most that one page holds.",
        "objectId": "Events of this object alone.",
        "outcome": "Events with this outcome alone.",
        "paymentRequestId": "Your id of the payment.",
        "referenceOrderId": "Your id of the order.",
        "referenceBuyerId": "Your id of the buyer.",
        "status": "Deliveries that stand so alone.",
        "type": "Events of this type alone.",
        "vaultingRequestId": "Your id of the storing.",
    }
)


def describe(document: dict[str, Any]) -> None:
    """Add the words to every field and parameter that has none."""
    document["info"]["description"] = ABOUT
    for name, schema in document["components"]["schemas"].items():
        for field, shape in schema.get("properties", {}).items():
            words = _FIELDS.get(f"{name}.{field}") or _FIELDS.get(field)
            if words and not _described(shape):
                schema["properties"][field] = shape | {"description": words}
    for item in document["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", ()):
                words = _PARAMETERS.get(parameter["name"])
                if words:
                    parameter.setdefault("description", words)


def _described(shape: dict[str, Any]) -> bool:
    return "description" in shape or any("description" in choice for choice in shape.get("anyOf", ()))

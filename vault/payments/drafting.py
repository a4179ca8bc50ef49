"""From a merchant's request to a draft that can be written before the call.

It refuses to know transactions and the wire to the gateway. Invariants: what waits with the payment is sealed for that
payment; the digest that recognises a repeated request covers the card number and leaves out CVV and PIN (design
section 4).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never

import orjson

from keys.keyring import Envelope, Fingerprint, Keyring, Label, Purpose
from vault.auth import Caller
from vault.card import Expiry
from vault.card_intake import consent_evidence, face_of_pan, profile_of
from vault.gateway.messages import Instrument, NewCardInstrument, PageInstrument, SealedInstrument, TokenInstrument
from vault.ids import Prefix, new_id
from vault.merchant import Merchant
from vault.payment import Channel, Credential, Kind
from vault.payments.retry_guard import RetryGuard
from vault.rules.scheme_declines import network_of
from vault.store.drafts import Draft
from vault.store.waiting import WITH_PAYMENTS
from vault.stored_card import CardFace, SecretKind, StoredCard
from vault.wire.requests import CardPaymentRequest, PaymentRequest, secrets_left_out


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to pay, with its route and its body as it was parsed, for recognising a repeat."""

    caller: Caller
    merchant: Merchant
    route: str
    body: Mapping[str, Any]


class Drafter:
    """Makes drafts."""

    def __init__(self, keyring: Keyring, guard: RetryGuard, *, sender_seconds: float) -> None:
        self._keyring = keyring
        self._guard = guard
        self._sender_seconds = sender_seconds

    async def digest(self, asked: Asked, key_id: bytes | None = None) -> Fingerprint:
        """Give the keyed hash by which a repeated request is recognised, under the given version of the key."""
        message = orjson.dumps([asked.route, secrets_left_out(dict(asked.body))], option=orjson.OPT_SORT_KEYS)
        return await self._keyring.digest(asked.caller.merchant_id, Label.REQUEST, message, key_id)

    async def new_card(
        self, asked: Asked, request: CardPaymentRequest, instrument: Instrument, channel: Channel
    ) -> Draft:
        """Draft a payment with a card that the buyer has just typed, or will type at the gateway."""
        payment_id = new_id(Prefix.PAYMENT)
        face, card = None, request.card
        brand = card.card_no.brand if card is not None else None
        if request.store_card is not None and card is not None:
            prints = await self._keyring.fingerprints(asked.caller.merchant_id, card.card_no)
            face = face_of_pan(card.card_no, card, prints[0])
        return Draft(
            **await self._common(asked, request, payment_id),
            **await self._named(asked, instrument, None, request.choice.brand or brand),
            kind=Kind.ONE_OFF,
            buyer=request.buyer_id,
            credential=Credential.UNSEEN if card is None else Credential.CARD_DATA,
            store_card=request.store_card,
            card_id=None,
            face=face,
            consent=consent_evidence(request.consent),
            secrets=await self._waiting(asked.caller.merchant_id, payment_id, request),
            choice=request.choice,
            channel=channel,
            masked=card.card_no.masked if card is not None else None,
        )

    async def stored_card(
        self, asked: Asked, request: PaymentRequest, card: StoredCard, instrument: Instrument, *, mandate_id: str | None
    ) -> Draft:
        """Draft a payment with a stored card: with the buyer present, or in the buyer's absence under a mandate."""
        choice = request.choice or card.choice
        return Draft(
            **await self._common(asked, request, new_id(Prefix.PAYMENT)),
            **await self._named(asked, instrument, card.face, choice.brand or card.face.brand),
            kind=Kind.MERCHANT_INITIATED if mandate_id else Kind.CARD_ON_FILE,
            buyer=card.buyer,
            credential=Credential.TOKEN if isinstance(instrument, TokenInstrument) else Credential.PAN,
            store_card=None,
            card_id=card.id,
            face=None,
            consent=None,
            secrets={},
            card_status=card.stored_status,
            mandate_id=mandate_id,
            choice=choice,
            masked=card.face.masked,
        )

    async def _common(self, asked: Asked, request: PaymentRequest, payment_id: str) -> dict[str, Any]:
        digest = await self.digest(asked)
        return {
            "merchant_id": asked.caller.merchant_id,
            "id": payment_id,
            "request_id": request.payment_request_id,
            "client_id": asked.caller.client_id,
            "amount": request.payment_amount.amount,
            "order_reference": request.order.reference_order_id,
            "digest": digest.value,
            "digest_key_id": digest.key_id,
            "capture_mode": request.capture_mode or "AUTOMATIC",
            "metadata": request.metadata,
            "sender_seconds": self._sender_seconds,
            "expires_at": request.payment_expiry_time,
            "authentication": request.authentication,
        }

    async def _named(
        self, asked: Asked, instrument: Instrument, face: CardFace | None, brand: str | None
    ) -> dict[str, Any]:
        """Say what the retry guard has to know: by what the number is known, whose rules it follows, its expiry."""
        prints = await self._guard.prints(asked.caller.merchant_id, instrument, face)
        expiry = _expiry_of(instrument, face)
        return {"prints": prints, "network": network_of(brand), "expiry": expiry and expiry.text}

    async def _waiting(
        self, merchant_id: str, payment_id: str, request: CardPaymentRequest
    ) -> dict[SecretKind, Envelope]:
        """Seal what has to wait for the authorisation."""
        secrets: dict[SecretKind, Envelope] = {}
        if request.store_card is None:
            return secrets
        if request.store_card.in_vault and request.card is not None:
            secrets[SecretKind.PAN] = await self._keyring.seal(
                Purpose.CARD,
                request.card.card_no.reveal().encode(),
                WITH_PAYMENTS.location(merchant_id, payment_id, SecretKind.PAN),
            )
        profile = profile_of(request.card, request.billing_address)
        if profile is not None:
            secrets[SecretKind.PROFILE] = await self._keyring.seal(
                Purpose.CARD, profile, WITH_PAYMENTS.location(merchant_id, payment_id, SecretKind.PROFILE)
            )
        return secrets


def _expiry_of(instrument: Instrument, face: CardFace | None) -> Expiry | None:
    match instrument:
        case NewCardInstrument(card=card):
            return card.expiry
        case SealedInstrument(expiry=expiry):
            return expiry
        case TokenInstrument() | PageInstrument():
            return face.expiry if face is not None else None
        case _ as unreachable:
            assert_never(unreachable)

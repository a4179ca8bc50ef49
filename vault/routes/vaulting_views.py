"""What the API shows of cards that are being stored at the gateway without a payment.

It refuses to know envelopes and tokens. Invariant: of a card that is not there yet, no more is shown than of one that
is; where its buyer has to go is shown as long as there is a reason to go there.
"""

from datetime import datetime
from typing import Any, Self

from vault.routes.shapes import DeclinedView, GatewayWords, View, words_shown
from vault.routes.views import CardView, NextActionView, face_shown
from vault.stored_card import CardStatus, Storage, StoredCard
from vault.vaulting import Vaulting, VaultingStatus
from vault.vaultings.declining import not_before, reading_of


class NewCardView(CardView):
    """A card, and what is still to be done where the gateway is being asked to hold it."""

    vaulting_request_id: str
    next_action: NextActionView | None

    @classmethod
    def of_storing(cls, card: StoredCard | None, vaulting: Vaulting) -> Self:
        """Show the card of a vaulting, or what it is going to be."""
        shown = CardView.of(card) if card is not None else _promised(vaulting)
        assert shown is not None  # noqa: S101 - there is no third
        return cls(**dict(shown), vaulting_request_id=vaulting.request_id, next_action=_next_action(vaulting))


class VaultingView(View):
    """The storing of a card without a payment, as it stands."""

    vaulting_request_id: str
    vaulting_status: VaultingStatus
    reference_buyer_id: str | None
    card: CardView | None
    next_action: NextActionView | None
    gateway: GatewayWords
    declined: DeclinedView | None
    metadata: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, vaulting: Vaulting, card: StoredCard | None) -> Self:
        """Show a vaulting with the card that it is about."""
        return cls(
            vaulting_request_id=vaulting.request_id,
            vaulting_status=vaulting.status,
            reference_buyer_id=vaulting.buyer,
            card=CardView.of(card) if card is not None else _promised(vaulting),
            next_action=_next_action(vaulting),
            gateway=GatewayWords(**words_shown(vaulting.result)),
            declined=_declined(vaulting),
            metadata=dict(vaulting.metadata) if vaulting.metadata is not None else None,
            created_at=vaulting.created_at,
            updated_at=vaulting.updated_at,
        )


class VaultingSessionView(VaultingView):
    """A vaulting with what opens its session, as long as the buyer can still type a card in it."""

    vaulting_session_data: str | None = None
    vaulting_session_id: str | None = None
    vaulting_session_expiry_time: datetime | None = None
    normal_url: str | None = None


def _next_action(vaulting: Vaulting) -> NextActionView | None:
    return None if vaulting.next_action is None else NextActionView.model_validate(vaulting.next_action)


def _declined(vaulting: Vaulting) -> DeclinedView | None:
    reading = reading_of(vaulting)
    if reading is None:
        return None
    return DeclinedView(category=reading.category, retry=reading.retry, not_before=not_before(vaulting, reading))


def _promised(vaulting: Vaulting) -> CardView | None:
    """Show a card that is not there yet, as long as it may still come."""
    card_id, face = vaulting.pending_card_id, vaulting.face
    if card_id is None or face is None or vaulting.status.final:
        return None
    return CardView(
        card_id=card_id,
        reference_buyer_id=vaulting.buyer,
        storage=Storage.GATEWAY,
        status=CardStatus.PENDING,
        **face_shown(face),
        issuing_country=None,
        funding=None,
        is_default=False,
        selected_card_brand=vaulting.choice.brand,
        payment_method_region=vaulting.choice.region,
        metadata=dict(vaulting.metadata) if vaulting.metadata is not None else None,
        created_at=vaulting.created_at,
        updated_at=vaulting.updated_at,
    )

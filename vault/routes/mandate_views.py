"""What the API shows of mandates: consent and evidence as they were recorded, and the limits of a charge.

It refuses to know cards and payments; the text that a buyer agreed to is shown as its hash. The shape is that of
design section 4.
"""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from vault.mandate import EvidenceKind, Mandate, MandateStatus, RecurringType
from vault.routes.shapes import View
from vault.wire.orders import AmountField


class EvidenceView(View):
    """That the buyer authenticated, and how it is known."""

    kind: EvidenceKind
    authenticated_at: datetime
    three_ds_version: Annotated[str | None, Field(alias="threeDSVersion")]
    eci: str | None
    ds_transaction_id: str | None


class ConsentView(View):
    """What the buyer agreed to, when, and from where."""

    text_sha256: str
    accepted_at: datetime
    client_ip: str


class MandateView(View):
    """A buyer's consent to be charged while absent; `notBefore` is the earliest time of the next charge."""

    mandate_id: str
    status: MandateStatus
    card_id: str
    initial_payment_id: str | None
    recurring_type: RecurringType
    network_transaction_id: str | None
    max_amount: AmountField | None
    valid_from: datetime | None
    valid_until: datetime | None
    minimum_interval_days: int | None
    last_charged_at: datetime | None
    not_before: datetime | None
    reference: str | None
    consent: ConsentView | None
    evidence: EvidenceView
    ended_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, mandate: Mandate) -> "MandateView":
        """Show a mandate."""
        limits = mandate.limits
        return cls(
            mandate_id=mandate.id,
            status=mandate.status,
            card_id=mandate.card_id,
            initial_payment_id=mandate.initial_payment_id,
            recurring_type=mandate.recurring_type,
            network_transaction_id=mandate.network_transaction_id,
            max_amount=AmountField(currency=limits.cap.currency, value=limits.cap.value) if limits.cap else None,
            valid_from=limits.start,
            valid_until=limits.until,
            minimum_interval_days=limits.interval_days,
            last_charged_at=mandate.last_charged_at,
            not_before=mandate.not_before,
            reference=mandate.reference,
            consent=ConsentView.model_validate(mandate.consent) if mandate.consent is not None else None,
            evidence=_evidence(mandate),
            ended_at=mandate.ended_at,
            created_at=mandate.created_at,
            updated_at=mandate.updated_at,
        )


class MandatePage(View):
    """A page of a card's mandates, newest first."""

    mandates: list[MandateView]
    next_cursor: str | None


def _evidence(mandate: Mandate) -> EvidenceView:
    known = mandate.evidence
    return EvidenceView(
        kind=known.kind,
        authenticated_at=known.authenticated_at,
        three_ds_version=known.three_ds_version,
        eci=known.eci,
        ds_transaction_id=known.ds_transaction_id,
    )

"""A card to be stored without a payment, as it was asked for and as it stands (antom-api.md 2.8).

Refuses to know how it gets there. Invariant: only a vaulting that succeeded has a token.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ops.sandbox.card_fields import CardFields
from ops.sandbox.cards import Card
from ops.sandbox.identifiers import session_data, session_id
from ops.sandbox.results import Code
from ops.sandbox.scenarios import Scenario


class VaultingStatus(StrEnum):
    """Where a vaulting stands."""

    PROCESSING = "PROCESSING"
    SUCCESS = "SUCCESS"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class VaultRequest:
    """One card to be stored, as it was asked for."""

    request_id: str
    fields: CardFields
    redirect_url: str
    notify_url: str | None
    metadata: str | None


@dataclass(slots=True)
class Vaulting:
    """One request to store a card, and what became of it; only sessions use `session_id` and `data`."""

    client_id: str
    request: VaultRequest
    card: Card
    brand: str
    scenario: Scenario
    fingerprint: bytes
    created_at: datetime
    expires_at: datetime
    session_id: str = field(default_factory=session_id)
    data: str = field(default_factory=session_data, repr=False)
    status: VaultingStatus = VaultingStatus.PROCESSING
    code: str = Code.VERIFICATION_IN_PROCESS
    challenge_url: str | None = None
    checkout_url: str | None = None
    network_transaction_id: str | None = None
    token: str | None = field(default=None, repr=False)
    held: bool = True

    @property
    def page_url(self) -> str | None:
        """Where the buyer has to go now, if anywhere."""
        return self.challenge_url or self.checkout_url

"""What a vaulting is: the storing of a card at the gateway without a payment, and how evidence about it is judged.

It refuses to know rows and messages. Invariant (design section 3, read for cards): a state only ever moves forward, and
after a final one nothing changes any more; what says otherwise is a contradiction.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from keys.sealed import Plaintext
from vault.card import CardToken
from vault.payment import Channel, Source
from vault.result import Result
from vault.stored_card import BrandChoice, CardFace


class VaultingStatus(StrEnum):
    """Where a vaulting stands; the order of the first three is their order in time."""

    CREATED = "CREATED"
    UNKNOWN = "UNKNOWN"
    PROCESSING = "PROCESSING"
    SUCCESS = "SUCCESS"
    FAIL = "FAIL"

    @property
    def final(self) -> bool:
        """Tell whether the outcome is known."""
        return self in _FINAL


_FINAL: Final = frozenset({VaultingStatus.SUCCESS, VaultingStatus.FAIL})
_PROGRESS: Final = {VaultingStatus.CREATED: 0, VaultingStatus.UNKNOWN: 1, VaultingStatus.PROCESSING: 2}


class Ending(StrEnum):
    """Why a vaulting failed without the gateway having said so."""

    NOT_SENT = "NOT_SENT"
    EXPIRED = "EXPIRED"
    ABANDONED = "ABANDONED"


@dataclass(frozen=True, slots=True)
class VaultingSeen:
    """What one verified message (or our own certainty) says about a vaulting; `status` None: nothing about its state.

    `info` holds allow-listed fields of the card; `session` is what opens a session in a client SDK, as JSON.
    """

    source: Source
    status: VaultingStatus | None
    result: Result | None = None
    ending: Ending | None = None
    next_action: Mapping[str, Any] | None = None
    info: Mapping[str, Any] | None = None
    token: CardToken | None = None
    session: Plaintext | None = None
    bound: bool = True


class Verdict(StrEnum):
    """What evidence does to a vaulting."""

    ADVANCE = "advance"
    ENRICH = "enrich"
    IGNORE = "ignore"
    CONTRADICTION = "contradiction"
    UNBOUND = "unbound"


@dataclass(frozen=True, slots=True)
class Vaulting:
    """A vaulting as it stands in the database.

    `pending_card_id` is the id that was promised for a new card, `card_id` the card that it is or became; `face` is
    what is known of a card that the vault has seen.
    """

    merchant_id: str
    id: str
    request_id: str
    channel: Channel
    status: VaultingStatus
    ending: Ending | None
    buyer: str | None
    pending_card_id: str | None
    card_id: str | None
    face: CardFace | None
    choice: BrandChoice
    is_default: bool
    digest: bytes
    digest_key_id: bytes
    next_action: Mapping[str, Any] | None
    redirected: bool
    result: Result | None
    result_info: Mapping[str, Any]
    authentication: Mapping[str, Any] | None
    metadata: Mapping[str, Any] | None
    consent: Mapping[str, Any] | None
    send_deadline: datetime
    expires_at: datetime
    created_at: datetime
    updated_at: datetime
    read_at: datetime

    @property
    def network_transaction_id(self) -> str | None:
        """Give the network's id of the verification, if the gateway told it."""
        told = self.result_info.get("networkTransactionId")
        return told if isinstance(told, str) else None


def judge(vaulting: Vaulting, seen: VaultingSeen) -> Verdict:
    """Decide what evidence does to a vaulting that stands as given."""
    now, new = vaulting.status, seen.status
    if not seen.bound:
        return Verdict.UNBOUND
    if new is None or new is now:
        return Verdict.ENRICH
    if now.final:
        contradicts = new.final and vaulting.ending is None
        return Verdict.CONTRADICTION if contradicts else Verdict.IGNORE
    return Verdict.ADVANCE if new.final or _PROGRESS[new] > _PROGRESS[now] else Verdict.IGNORE

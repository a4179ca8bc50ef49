"""A stored card as the database has it, and what follows from it: its storage, its present status, its view.

It refuses to know card numbers and tokens: those are sealed beside it. Invariant: `status` as shown is computed from
what is stored and the date, so that a card expires everywhere without a job having to run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from vault.card import Expiry


class CardStatus(StrEnum):
    """What can be done with a card; `EXPIRED` is computed, `PENDING` is a card that is not there yet."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    DISABLED = "DISABLED"
    DELETED = "DELETED"


class SecretKind(StrEnum):
    """What is sealed beside a card, or while it waits to become one."""

    PAN = "PAN"
    TOKEN = "TOKEN"  # noqa: S105 - the name of a kind of secret
    PROFILE = "PROFILE"
    SESSION = "SESSION"


class DeletionReason(StrEnum):
    """Why a card was deleted."""

    REQUESTED = "requested"
    BUYER_ERASED = "buyer_erased"
    RETENTION = "retention"


# What is kept with a card; the rest only waits.
OF_CARDS: Final = frozenset({SecretKind.PAN, SecretKind.TOKEN, SecretKind.PROFILE})


class Storage(StrEnum):
    """Where the card is kept: in the vault, as a token at the gateway, in both; nowhere once it is deleted."""

    VAULT = "VAULT"
    GATEWAY = "GATEWAY"
    BOTH = "BOTH"
    NONE = "NONE"

    @classmethod
    def of(cls, kinds: frozenset[SecretKind]) -> "Storage":
        """Say where a card with these secrets is kept."""
        match SecretKind.PAN in kinds, SecretKind.TOKEN in kinds:
            case True, True:
                return cls.BOTH
            case True, False:
                return cls.VAULT
            case False, True:
                return cls.GATEWAY
            case _:
                return cls.NONE


@dataclass(frozen=True, slots=True)
class BrandChoice:
    """Which network of a co-badged card the buyer wants: the brand's, or the region's (antom-api.md 5.7); never both.

    False where nothing was chosen, and the gateway chooses.
    """

    brand: str | None = None
    region: str | None = None

    def __bool__(self) -> bool:
        return self.brand is not None or self.region is not None


NO_CHOICE: Final = BrandChoice()


@dataclass(frozen=True, slots=True)
class CardFace:
    """What may be shown of a card, and its keyed fingerprint; the gateway does not tell the expiry of every card."""

    brand: str
    masked: str
    bin: str | None
    last_four: str
    expiry: Expiry | None
    fingerprint: bytes | None = None
    fingerprint_key_id: bytes | None = None


class StoredCard(NamedTuple):
    """A card as it stands in the database; `secrets` holds envelopes where they were asked for."""

    merchant_id: str
    id: str
    buyer: str | None
    face: CardFace
    issuing_country: str | None
    funding: str | None
    stored_status: CardStatus
    is_default: bool
    network_transaction_id: str | None
    metadata: Mapping[str, Any] | None
    created_at: datetime
    updated_at: datetime
    read_at: datetime
    secrets: Mapping[SecretKind, bytes]
    choice: BrandChoice = NO_CHOICE

    @property
    def status(self) -> CardStatus:
        """Give the status at the time of reading, by the database's clock."""
        expiry = self.face.expiry
        if self.stored_status is CardStatus.ACTIVE and expiry is not None and expiry.passed(self.read_at):
            return CardStatus.EXPIRED
        return self.stored_status

    @property
    def storage(self) -> Storage:
        """Say where the card is kept."""
        return Storage.of(frozenset(self.secrets))

"""Cards as they come into the vault: the row, what is sealed beside it and its event, in one statement.

It refuses to know where a card comes from. Invariants: an envelope is inserted only while its key is active; one buyer
has one live card for one number, by a unique index and not by looking first (design section 5, mechanics of a repeat).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from keys.keyring import Fingerprint
from vault.audit.events import Event
from vault.db import Session
from vault.store.audit import encoded
from vault.store.cards import Secrets, secret_arrays
from vault.store.columns import FACE_COLUMNS, face_values, json_text, keys_active
from vault.stored_card import NO_CHOICE, BrandChoice, CardFace, CardStatus, StoredCard

_INSERT = f"""
with key as (
    select {keys_active("$19::bytea[] || $23::bytea[]")} as active
), ins as (
    insert into vault.card (merchant_id, id, buyer, {FACE_COLUMNS}, issuing_country, funding, status, is_default,
        network_transaction_id, metadata, consent, selected_brand, selected_region, token_print, token_print_key_id)
    select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'ACTIVE', $14, $15, $16::jsonb, $17::jsonb,
        $24, $25, $26, $27
    from key where key.active
    on conflict (merchant_id, buyer, fingerprint) where fingerprint is not null do nothing
    returning id, created_at, updated_at
), sec as (
    insert into vault.card_secret (merchant_id, card_id, kind, envelope, key_id)
    select $1, ins.id, s.kind, s.envelope, s.key_id
    from ins, unnest($18::text[], $20::bytea[], $19::bytea[]) as s(kind, envelope, key_id)
), aud as (
    insert into vault.audit_pending (event_id, merchant_id, body) select $21, $1, $22 from ins
)
select key.active, ins.created_at, ins.updated_at, clock_timestamp() as read_at from key left join ins on true
"""


@dataclass(frozen=True, slots=True)
class NewCard:
    """A card to insert, its id chosen and its secrets sealed for that id, with the keyed hash of its token."""

    merchant_id: str
    id: str
    buyer: str
    face: CardFace
    secrets: Secrets
    is_default: bool = False
    metadata: Mapping[str, Any] | None = None
    consent: Mapping[str, Any] | None = None
    issuing_country: str | None = None
    funding: str | None = None
    network_transaction_id: str | None = None
    choice: BrandChoice = NO_CHOICE
    token_print: Fingerprint | None = None


@dataclass(frozen=True, slots=True)
class Inserted:
    """What an insertion came to; no card although the keys are active: this buyer has it already."""

    card: StoredCard | None
    keys_active: bool


async def insert(session: Session, card: NewCard, event: Event, *, also_active: Sequence[bytes] = ()) -> Inserted:
    """Insert a card with its secrets and its event in one statement, unless the buyer has it or a key is retired.

    The keys are those of the secrets, and `also_active`: a number that was fingerprinted just now under a version that
    has been retired since would make a second card of one that is known by the new version.
    """
    kinds, envelopes, key_ids = secret_arrays(card.secrets)
    row = await session.row(
        _INSERT,
        card.merchant_id,
        card.id,
        card.buyer,
        *face_values(card.face),
        card.issuing_country,
        card.funding,
        card.is_default,
        card.network_transaction_id,
        json_text(card.metadata),
        json_text(card.consent),
        kinds,
        key_ids,
        envelopes,
        *encoded(event),
        list(also_active),
        card.choice.brand,
        card.choice.region,
        card.token_print and card.token_print.value,
        card.token_print and card.token_print.key_id,
    )
    assert row is not None  # noqa: S101 - a select without a table gives one row
    return Inserted(_inserted(card, row) if row["created_at"] else None, row["active"])


def _inserted(card: NewCard, row: asyncpg.Record) -> StoredCard:
    return StoredCard(
        merchant_id=card.merchant_id,
        id=card.id,
        buyer=card.buyer,
        face=card.face,
        issuing_country=card.issuing_country,
        funding=card.funding,
        stored_status=CardStatus.ACTIVE,
        is_default=card.is_default,
        network_transaction_id=card.network_transaction_id,
        metadata=card.metadata,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        read_at=row["read_at"],
        choice=card.choice,
        secrets={kind: envelope.data for kind, envelope in card.secrets.items()},
    )

"""Payments as they are written before their call: the row, what is sealed with it, its schedule and its event.

It refuses to know the gateway. Invariants: all of it appears in one statement or not at all; a request id that is
taken, a key that is retired, a card that changed meanwhile or a number with a history leaves nothing behind.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from keys.keyring import Fingerprint
from vault.audit.events import Event
from vault.db import Session
from vault.money import Amount
from vault.payment import Channel, Credential, Kind, Payment, Status, StoreCard, StoreState
from vault.store.attempts import prints_arrays
from vault.store.audit import encoded
from vault.store.cards import Secrets, secret_arrays
from vault.store.columns import FACE_COLUMNS, face_values, json_text, keys_active
from vault.stored_card import NO_CHOICE, BrandChoice, CardFace, CardStatus

USUALLY_OPEN: Final = 14 * 60.0  # antom-api.md 2.1, paymentExpiryTime

_KEYS = "$30::bytea[] || array_remove(array[$21::bytea, $23], null)"  # those that seal, and those that hash
_BEGIN = f"""
with usable as (
    select {keys_active(_KEYS)} as keys, $12::text is null or exists (
        select 1 from vault.card c where c.merchant_id = $1 and c.id = $12 and c.status = $31) as card,
        $44::int > 0 or vault.untried($1, $41::bytea[]) as untried
), ins as (
    insert into vault.payment (merchant_id, id, request_id, client_id, kind, status, currency, value, order_reference,
        buyer, credential, card_id, store_card, store_state, {FACE_COLUMNS}, digest, digest_key_id, capture_mode,
        metadata, consent, send_deadline, expires_at, mandate_id, authentication, selected_brand, selected_region,
        channel)
    select $1, $2, $3, $4, $5, 'CREATED', $6, $7, $8, $9, $10, $12, $11, $13, $14, $15, $16, $17, $18, $19, $20, $21,
        $22, $23, $24, $25::jsonb, $26::jsonb, clock_timestamp() + make_interval(secs => $27),
        coalesce($28::timestamptz, clock_timestamp() + make_interval(secs => $40)), $35, $36::jsonb,
        $37, $38, $39
    from usable where keys and card and untried
    on conflict (merchant_id, request_id) do nothing
    returning id, send_deadline, expires_at, created_at, updated_at
), sec as (
    insert into vault.payment_secret (merchant_id, payment_id, kind, envelope, key_id)
    select $1, ins.id, s.kind, s.envelope, s.key_id
    from ins, unnest($29::text[], $32::bytea[], $30::bytea[]) as s(kind, envelope, key_id)
), inq as (
    insert into vault.payment_inquiry (merchant_id, payment_id, next_at) select $1, id, send_deadline from ins
), att as (
    insert into vault.card_attempt (merchant_id, print, print_key_id, place, payment_id, card_id, mandate_id, currency,
        value, network)
    select $1, p.print, p.key_id, $44, ins.id, $12, $35, $6, $7, $43
    from ins, unnest($41::bytea[], $42::bytea[]) as p(print, key_id)
), aud as (
    insert into vault.audit_pending (event_id, merchant_id, body) select $33, $1, $34 from ins
)
select usable.keys, usable.card, usable.untried, ins.*, clock_timestamp() as read_at from usable left join ins on true
"""


@dataclass(frozen=True, slots=True)
class Draft:
    """A payment as it is written before the call.

    `sender_seconds` from now the sender must not send any more; `open_seconds` from now it has expired, unless
    `expires_at` says something else; `prints` are the keyed hashes by which the charged number is known, `network` is
    the one whose rules it follows.
    """

    merchant_id: str
    id: str
    request_id: str
    client_id: str
    kind: Kind
    amount: Amount
    order_reference: str
    buyer: str | None
    credential: Credential
    store_card: StoreCard | None
    card_id: str | None
    face: CardFace | None
    digest: bytes
    digest_key_id: bytes
    capture_mode: str
    metadata: dict[str, Any] | None
    consent: dict[str, Any] | None
    sender_seconds: float
    expires_at: datetime | None
    secrets: Secrets
    card_status: CardStatus | None = None
    mandate_id: str | None = None
    authentication: dict[str, Any] | None = None
    choice: BrandChoice = NO_CHOICE
    channel: Channel = Channel.DIRECT
    open_seconds: float = USUALLY_OPEN
    prints: tuple[Fingerprint, ...] = ()
    network: str | None = None

    @property
    def store_state(self) -> StoreState:
        """Say how far the storing of the card is when it has not begun."""
        return StoreState.PENDING if self.store_card else StoreState.NONE


@dataclass(frozen=True, slots=True)
class Begun:
    """What writing a draft came to; no payment although all flags are true: the request id is taken."""

    payment: Payment | None
    keys_active: bool
    card_usable: bool
    untried: bool = True


async def begin(session: Session, draft: Draft, event: Event, place: int = 0) -> Begun:
    """Write a payment before its call, unless its request id is taken, a key is retired or its card unusable.

    At place 0 also unless its number was tried before or is being tried; other places are for those who hold the locks
    of `vault.store.attempts` and have judged what was tried. Several payments with one number fail at place 0 together.
    """
    kinds, envelopes, key_ids = secret_arrays(draft.secrets)
    row = await session.row(
        _BEGIN,
        draft.merchant_id,
        draft.id,
        draft.request_id,
        draft.client_id,
        draft.kind,
        draft.amount.currency,
        draft.amount.minor,
        draft.order_reference,
        draft.buyer,
        draft.credential,
        draft.store_card,
        draft.card_id,
        draft.store_state,
        *face_values(draft.face),
        draft.digest,
        draft.digest_key_id,
        draft.capture_mode,
        json_text(draft.metadata),
        json_text(draft.consent),
        draft.sender_seconds,
        draft.expires_at,
        kinds,
        key_ids,
        draft.card_status,
        envelopes,
        *encoded(event),
        *_ways(draft),
        place,
    )
    assert row is not None  # noqa: S101 - a select from a one-row CTE
    return Begun(_begun(draft, row) if row["id"] else None, row["keys"], row["card"], row["untried"])


def _ways(draft: Draft) -> tuple[Any, ...]:
    """Give the values that say how the payment is made, and how the number is known."""
    return (
        draft.mandate_id,
        json_text(draft.authentication),
        draft.choice.brand,
        draft.choice.region,
        draft.channel,
        draft.open_seconds,
        *prints_arrays(draft.prints),
        draft.network,
    )


def _begun(draft: Draft, row: asyncpg.Record) -> Payment:
    return Payment(
        merchant_id=draft.merchant_id,
        id=draft.id,
        request_id=draft.request_id,
        kind=draft.kind,
        status=Status.CREATED,
        amount=draft.amount,
        order_reference=draft.order_reference,
        buyer=draft.buyer,
        card_id=draft.card_id,
        credential=draft.credential,
        store_card=draft.store_card,
        store_state=draft.store_state,
        face=draft.face,
        digest=draft.digest,
        digest_key_id=draft.digest_key_id,
        capture_mode=draft.capture_mode,
        capture_status="NONE",
        next_action=None,
        gateway_payment_id=None,
        result=None,
        result_info={},
        not_sent=False,
        metadata=draft.metadata,
        consent=draft.consent,
        send_deadline=row["send_deadline"],
        expires_at=row["expires_at"],
        authorisation_expires_at=None,
        cancel_requested_at=None,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        read_at=row["read_at"],
        mandate_id=draft.mandate_id,
        authentication=draft.authentication,
        choice=draft.choice,
        channel=draft.channel,
    )

"""Payments as they are written before their call: the row, what is sealed with it, its schedule and its event.

It refuses to know the gateway. Invariants: all of it appears in one statement or not at all; a request id that is
taken, a key that is retired, a card that changed meanwhile or a number with a history leaves nothing behind.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import asyncpg

from keys.keyring import Fingerprint
from vault.audit.events import Event
from vault.db import Session
from vault.money import Amount
from vault.payment import Channel, Credential, Kind, Payment, Status, StoreCard, StoreState
from vault.store.audit import APPEND, EVENT, event_row
from vault.store.columns import FACE, SEALED, Secrets, as_row, face_row, key_active, rows_of, sealed_of
from vault.stored_card import NO_CHOICE, BrandChoice, CardFace, CardStatus

USUALLY_OPEN: Final = 14 * 60.0  # antom-api.md 2.1, paymentExpiryTime

_PAYMENT: Final = {
    "merchant_id": "text",
    "id": "text",
    "request_id": "text",
    "client_id": "text",
    "kind": "text",
    "currency": "text",
    "value": "bigint",
    "order_reference": "text",
    "buyer": "text",
    "credential": "text",
    "card_id": "text",
    "store_card": "text",
    "store_state": "text",
    **FACE,
    "digest": "bytea",
    "digest_key_id": "bytea",
    "capture_mode": "text",
    "metadata": "jsonb",
    "consent": "jsonb",
    "mandate_id": "text",
    "authentication": "jsonb",
    "selected_brand": "text",
    "selected_region": "text",
    "channel": "text",
}
_GIVEN: Final = _PAYMENT | {
    "sender_seconds": "float8",
    "open_seconds": "float8",
    "expires": "timestamptz",
    "card_status": "text",
    "prints": "bytea[]",
    "print_key_ids": "bytea[]",
    "place": "int",
    "network": "text",
    "charged_expiry": "text",
    "sealed": "jsonb",
    "key_ids": "bytea[]",
    **EVENT,
}
_COLUMNS: Final = ", ".join(_PAYMENT)
# In the order of the index by which transactions wait for each other, as cards are (`vault.store.new_cards`).
_BEGIN: Final = f"""
with given as (
    {rows_of(_GIVEN)}
), retired as (
    select given.id from given, unnest(given.key_ids) as key_id where not {key_active("key_id")}
), usable as (
    select id, id not in (select id from retired) as keys, card_id is null or exists (select from vault.card c
        where c.merchant_id = given.merchant_id and c.id = given.card_id and c.status = given.card_status) as card,
        place > 0 or vault.untried(merchant_id, prints) as untried
    from given
), ins as (
    insert into vault.payment ({_COLUMNS}, status, send_deadline, expires_at)
    select {_COLUMNS}, 'CREATED', clock_timestamp() + make_interval(secs => sender_seconds),
        coalesce(expires, clock_timestamp() + make_interval(secs => open_seconds))
    from given join usable using (id) where keys and card and untried order by merchant_id, request_id
    on conflict (merchant_id, request_id) do nothing
    returning merchant_id, id, send_deadline, expires_at, created_at, updated_at
), sec as (
    insert into vault.payment_secret (merchant_id, payment_id, kind, envelope, key_id)
    select merchant_id, id, s.kind, s.envelope, s.key_id from given join ins using (merchant_id, id), {SEALED}
), inq as (
    insert into vault.payment_inquiry (merchant_id, payment_id, next_at) select merchant_id, id, send_deadline from ins
), att as (
    insert into vault.card_attempt (merchant_id, print, print_key_id, place, payment_id, card_id, mandate_id, currency,
        value, network, expiry)
    select merchant_id, p.print, p.key_id, place, id, card_id, mandate_id, currency, value, network,
        charged_expiry
    from given join ins using (merchant_id, id), unnest(prints, print_key_ids) as p(print, key_id)
), aud as (
    {APPEND} given join ins using (merchant_id, id)
)
select id, keys, card, untried, send_deadline, expires_at, created_at, updated_at, clock_timestamp() as read_at
from usable left join ins using (id)
"""


class Draft(NamedTuple):
    """A payment as it is written before the call.

    `sender_seconds` from now the sender must not send any more; `open_seconds` from now it has expired, unless
    `expires_at` says something else; `masked` is the number as it may be shown, also of a card that is
    not kept; `prints` are the keyed hashes by which the charged number is known, `network` is
    the one whose rules it follows, `expiry` the card's as `YYYY-MM`, as far as the vault knows it.
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
    expiry: str | None = None
    masked: str | None = None

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


@dataclass(frozen=True, slots=True)
class ReadyDraft:
    """A draft and its event, ready for the statement."""

    draft: Draft
    row: str


def ready(draft: Draft, event: Event, place: int = 0) -> ReadyDraft:
    """Make a draft ready to be written.

    At place 0 only if its number was not tried before and is not being tried; other places are for those who hold the
    locks of `vault.store.attempts` and have judged what was tried.
    """
    row = {
        **_payment_row(draft),
        "sender_seconds": draft.sender_seconds,
        "open_seconds": draft.open_seconds,
        "expires": draft.expires_at,
        "card_status": draft.card_status,
        "prints": [each.value for each in draft.prints],
        "print_key_ids": [each.key_id for each in draft.prints],
        "place": place,
        "network": draft.network,
        "charged_expiry": draft.expiry,
        "sealed": sealed_of(draft.secrets),
        "key_ids": _keys(draft),
        **event_row(event),
    }
    return ReadyDraft(draft, as_row(row))


def _payment_row(draft: Draft) -> dict[str, Any]:
    return {
        "merchant_id": draft.merchant_id,
        "id": draft.id,
        "request_id": draft.request_id,
        "client_id": draft.client_id,
        "kind": draft.kind,
        "currency": draft.amount.currency,
        "value": draft.amount.minor,
        "order_reference": draft.order_reference,
        "buyer": draft.buyer,
        "credential": draft.credential,
        "card_id": draft.card_id,
        "store_card": draft.store_card,
        "store_state": draft.store_state,
        **face_row(draft.face),
        "masked": draft.masked,
        "digest": draft.digest,
        "digest_key_id": draft.digest_key_id,
        "capture_mode": draft.capture_mode,
        "metadata": draft.metadata,
        "consent": draft.consent,
        "mandate_id": draft.mandate_id,
        "authentication": draft.authentication,
        "selected_brand": draft.choice.brand,
        "selected_region": draft.choice.region,
        "channel": draft.channel,
    }


def _keys(draft: Draft) -> list[bytes]:
    """Name the keys that have to be active: those that seal, and those that hash."""
    sealing = [each.key_id for each in draft.secrets.values()]
    hashing = [draft.digest_key_id, draft.face.fingerprint_key_id if draft.face else None]
    return [*sealing, *(key_id for key_id in hashing if key_id is not None)]


async def begin(session: Session, wanted: Sequence[ReadyDraft]) -> list[Begun]:
    """Write payments before their calls, but none whose request id is taken, key retired or card unusable.

    One decides nothing for the others; of two with the same request id, one is written. Two with one number at place 0
    are refused together, by `StatementFailed`.
    """
    rows = await session.rows(_BEGIN, [each.row for each in wanted])
    found = {row["id"]: row for row in rows}
    return [_begun(each.draft, found[each.draft.id]) for each in wanted]


def _begun(draft: Draft, row: asyncpg.Record) -> Begun:
    payment = _payment(draft, row) if row["created_at"] else None
    return Begun(payment, row["keys"], row["card"], row["untried"])


def _payment(draft: Draft, row: asyncpg.Record) -> Payment:
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

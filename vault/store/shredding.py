"""Rows of shreddings: ceremonies, the cards that they cover, who has ever opened a root key, and what became of it.

It refuses to know key material and what a receipt looks like. Invariants: a card is covered only where every key that
ever sealed it is older than the ceremony; nothing that opens a root key in use is ever marked for destruction.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from keys.seals.seal import SHARES_PREFIX, seal_key_id
from vault.audit.events import Event
from vault.db import Session, Transaction
from vault.store.audit import append

_PORTION: Final = 5000
_SHREDDING: Final = "id, root_version, seals, threshold, custodians, created_at, completed_at"
_NEWEST: Final = "(select max(version) from vault.root_key where state = 'active')"
_SEVERING: Final = """
select min(n.version) from vault.root_key n
where n.version > $1 and n.version <= all (select version from vault.root_key where state = 'active')
and not exists (
    select from vault.root_opener o join vault.root_key r on r.id = o.root_key_id
    join vault.root_opener e on e.seal = o.seal join vault.root_key b on b.id = e.root_key_id
    where r.version >= n.version and b.version < n.version
)
"""
_OPENERS: Final = """
select e.seal, e.first, e.last, d.fate, d.due_at, d.updated_at
from (
    select o.seal, min(r.version) as first, max(r.version) as last
    from vault.root_opener o join vault.root_key r on r.id = o.root_key_id where r.version < $1 group by o.seal
) e left join vault.opener_end d on d.opener = e.seal order by e.first, e.seal
"""
_COVER: Final = """
with portion as (
    select merchant_id, id, status from vault.card
    where (merchant_id, id) > ($2, $3) order by merchant_id, id limit $4
), covered as (
    insert into vault.shredded_card (merchant_id, card_id, shredding_id)
    select c.merchant_id, c.id, $1 from portion c where c.status = 'DELETED' and not exists (
        select from vault.shredded_card e join vault.shredding s on s.id = e.shredding_id
        where e.merchant_id = c.merchant_id and e.card_id = c.id and s.completed_at is not null
    ) returning 1
)
select merchant_id, id, (select count(*) from covered) from portion order by merchant_id desc, id desc limit 1
"""
_SHARES: Final = """
select s.number, s.custodian, s.destroyed_at, d.fate, d.updated_at
from vault.custodian_share s left join vault.opener_end d on d.opener = $2 || '#' || s.number
where s.set_id = $1 order by s.number
"""


class Fate(StrEnum):
    """What became of something that opened a root key."""

    KEPT = "kept"
    BEGUN = "begun"
    SCHEDULED = "scheduled"
    DESTROYED = "destroyed"
    ATTESTED = "attested"

    @property
    def final(self) -> bool:
        """Whether it opens nothing any more, for good."""
        return self in {Fate.DESTROYED, Fate.ATTESTED}


@dataclass(frozen=True, slots=True)
class Shred:
    """One ceremony: the new seals' addresses, the new shares' custodians, the root key that was the newest then."""

    id: str
    root_version: int
    seals: Sequence[str]
    threshold: int | None
    custodians: Sequence[str]
    created_at: datetime
    completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Opener:
    """A seal, or a custodian's share, that opened root keys of these versions; `due_at`: when it is to be gone."""

    name: str
    custodian: str | None
    first: int
    last: int
    fate: Fate
    due_at: datetime | None
    since: datetime | None


@dataclass(frozen=True, slots=True)
class End:
    """What is noted of an opener that was at an address."""

    opener: str
    fate: Fate
    address: str | None = None
    due_at: datetime | None = None


async def insert(transaction: Transaction, shred: Shred) -> int:
    """Keep a new ceremony with the cards that are deleted; gives their number. The event is the caller's.

    A card that an earlier, complete ceremony covers is left out. The ceremony's time is taken after the look at cards:
    whatever key a covered card was ever sealed under is older. All cards are looked at, in portions: however many are
    deleted, no statement takes long.
    """
    await transaction.rows(
        "insert into vault.shredding (id, root_version, seals, threshold, custodians) values ($1, $2, $3, $4, $5)",
        shred.id,
        shred.root_version,
        list(shred.seals),
        shred.threshold,
        list(shred.custodians),
    )
    count, merchant_id, card_id = 0, "", ""
    while portion := await transaction.row(_COVER, shred.id, merchant_id, card_id, _PORTION):
        merchant_id, card_id, covered = portion
        count += covered
    await transaction.rows("update vault.shredding set created_at = clock_timestamp() where id = $1", shred.id)
    return count


async def newest(session: Session) -> Shred | None:
    """Give the ceremony that was begun last."""
    row = await session.row(f"select {_SHREDDING} from vault.shredding order by created_at desc, id desc limit 1")
    return Shred(*row) if row else None


async def cards(session: Session, shred: Shred) -> AsyncIterator[list[tuple[str, str]]]:
    """Give the cards that a ceremony covers (merchant, id), in their order, in portions."""
    after = ("", "")
    while True:
        rows = await session.rows(
            "select merchant_id, card_id from vault.shredded_card where shredding_id = $1 "
            f"and (merchant_id, card_id) > ($2, $3) order by merchant_id, card_id limit {_PORTION}",
            shred.id,
            *after,
        )
        if not rows:
            return
        portion = [(row[0], row[1]) for row in rows]
        yield portion
        after = portion[-1]


async def has_opened(session: Session, seal: str) -> bool:
    """Tell whether a seal opens a root key, or ever did."""
    return bool(await session.value("select exists (select from vault.root_opener where seal = $1)", seal))


async def severing_version(session: Session, shred: Shred) -> int | None:
    """Give the version of the root key that severs a ceremony's past from what is in use, once there is one.

    It came after the ceremony began, no earlier one is in use, and neither it nor a later one shares an opener with an
    earlier one: what was severed stays so through every later rotation.
    """
    found: int | None = await session.value(_SEVERING, shred.root_version)
    return found


async def has_shares(session: Session, version: int) -> bool:
    """Tell whether shares of a root key of this version, or a later one, were ever made."""
    return bool(
        await session.value(
            "select exists (select from vault.root_opener o join vault.root_key r on r.id = o.root_key_id "
            f"where r.version >= $1 and starts_with(o.seal, '{SHARES_PREFIX}'))",
            version,
        )
    )


async def is_share_set(session: Session, set_id: bytes) -> bool:
    """Tell whether shares of this set were ever kept."""
    return bool(await session.value("select exists (select from vault.share_set where id = $1)", set_id))


async def openers(session: Session, shred: Shred) -> list[Opener]:
    """Give everything that opened a root key from before the severing one, each share by itself, and its fate.

    Until there is one, the newest root key counts in its place.
    """
    found = []
    severing = await severing_version(session, shred)
    before = await session.value(f"select coalesce($1, {_NEWEST})", severing)
    for seal, first, last, fate, due_at, since in await session.rows(_OPENERS, before):
        if not seal.startswith(SHARES_PREFIX):
            found.append(Opener(seal, None, first, last, Fate(fate or Fate.KEPT), due_at, since))
            continue
        for number, custodian, destroyed_at, attested, at in await session.rows(_SHARES, seal_key_id(seal), seal):
            state = Fate.DESTROYED if destroyed_at else Fate(attested or Fate.KEPT)
            found.append(Opener(f"{seal}#{number}", custodian, first, last, state, None, destroyed_at or at))
    return found


async def begun_at(session: Session, address: str) -> str | None:
    """Name the opener whose destruction was begun, or is scheduled, at an address."""
    found: str | None = await session.value(
        "select opener from vault.opener_end where address = $1 and fate in ('begun', 'scheduled')", address
    )
    return found


async def is_in_use(session: Session, opener: str) -> bool:
    """Tell whether something opens a root key that is in use, by now or again."""
    return bool(await session.value("select exists (select from vault.root_wrap where seal = $1)", opener))


async def set_fate(transaction: Transaction, end: End, event: Event) -> bool:
    """Note what becomes of an opener, with the event; False and nothing noted where it opens a root key in use."""
    done = await transaction.value(
        "insert into vault.opener_end as d (opener, fate, address, due_at) select $1, $2, $3, $4 "
        "where not exists (select from vault.root_wrap w where w.seal = split_part($1, '#', 1)) "
        "on conflict (opener) do update set fate = $2, due_at = $4, address = coalesce($3, d.address), "
        "updated_at = clock_timestamp() returning true",
        end.opener,
        end.fate.value,
        end.address,
        end.due_at,
    )
    if done:
        await append(transaction, event)
    return bool(done)


async def complete(transaction: Transaction, shred: Shred) -> None:
    """Note that a ceremony is complete."""
    await transaction.rows(
        "update vault.shredding set completed_at = coalesce(completed_at, clock_timestamp()) where id = $1", shred.id
    )

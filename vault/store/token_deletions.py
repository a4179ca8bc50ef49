"""Tokens that the vault keeps no longer and that the gateway is still to be asked to delete: a queue for workers.

It refuses to know the gateway. Invariants: a token stays sealed for the place that it came from; a claim moves the time
on before it is answered, so that a worker that dies leaves the token to another one, a lease later.
"""

from dataclasses import dataclass

from keys.keyring import Envelope, Location
from vault.db import Session, Transaction
from vault.store.columns import keys_active
from vault.stored_card import SecretKind


@dataclass(frozen=True, slots=True)
class TokenDeletion:
    """A token to be deleted: what it belonged to (a card or a vaulting), and how often a worker took it."""

    merchant_id: str
    owner_id: str
    sealed_in: str
    envelope: bytes
    attempts: int

    @property
    def location(self) -> Location:
        """Say where the token was sealed; it opens nowhere else."""
        return Location(self.merchant_id, self.sealed_in, self.owner_id, SecretKind.TOKEN)


_CLAIM = """
with due as (
    select merchant_id, owner_id from vault.token_deletion where next_at <= clock_timestamp()
    order by next_at limit $1 for update skip locked
)
update vault.token_deletion t set next_at = clock_timestamp() + make_interval(secs => $2), attempts = t.attempts + 1
from due where (t.merchant_id, t.owner_id) = (due.merchant_id, due.owner_id)
returning t.merchant_id, t.owner_id, t.sealed_in, t.envelope, t.attempts
"""


async def put(transaction: Transaction, location: Location, envelope: Envelope) -> bool:
    """Have a token deleted that no card was kept with; False, and nothing done, when its key is no longer active."""
    return bool(
        await transaction.value(
            f"with key as (select {keys_active('$5')} as active), ins as ("
            "insert into vault.token_deletion (merchant_id, owner_id, sealed_in, envelope, key_id, next_at) "
            "select $1, $2, $3, $4, ($5::bytea[])[1], clock_timestamp() from key where key.active "
            "on conflict do nothing) select active from key",
            location.merchant_id,
            location.row_id,
            location.table,
            envelope.data,
            [envelope.key_id],
        )
    )


async def claim(session: Session, *, limit: int, lease_seconds: float) -> list[TokenDeletion]:
    """Take what is due for this worker, for as long as the lease lasts."""
    return [TokenDeletion(*row) for row in await session.rows(_CLAIM, limit, lease_seconds)]


async def postpone(session: Session, deletion: TokenDeletion, seconds: float) -> None:
    """Try again in that many seconds."""
    await session.rows(
        "update vault.token_deletion set next_at = clock_timestamp() + make_interval(secs => $3) "
        "where merchant_id = $1 and owner_id = $2",
        deletion.merchant_id,
        deletion.owner_id,
        seconds,
    )


async def drop(session: Session, deletion: TokenDeletion) -> bool:
    """Try no more; False when another worker had done so."""
    rows = await session.rows(
        "delete from vault.token_deletion where merchant_id = $1 and owner_id = $2 returning owner_id",
        deletion.merchant_id,
        deletion.owner_id,
    )
    return bool(rows)


async def count(session: Session) -> int:
    """Count the tokens that wait, of all merchants."""
    return int(await session.value("select count(*) from vault.token_deletion"))

"""Rows of what waits, sealed, until an outcome is known: with a payment, or with a card that is stored without one.

It refuses to know where it goes. Invariant: what was dropped is deleted, ciphertext included.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keys.keyring import Envelope, Location
from vault.db import Session, Transaction
from vault.store.cards import secret_arrays
from vault.store.columns import keys_active
from vault.stored_card import SecretKind

_ALL_KINDS: Final = frozenset(SecretKind)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A table of waiting secrets, and the column that names what they wait with."""

    table: str
    column: str

    def location(self, merchant_id: str, owner_id: str, kind: SecretKind) -> Location:
        """Say where a waiting secret belongs; it opens nowhere else."""
        return Location(merchant_id, self.table, owner_id, kind)

    async def secrets(self, session: Session, merchant_id: str, owner_id: str) -> dict[SecretKind, bytes]:
        """Give the envelopes that wait with something."""
        rows = await session.rows(
            f"select kind, envelope from vault.{self.table} where merchant_id = $1 and {self.column} = $2",
            merchant_id,
            owner_id,
        )
        return {SecretKind(row["kind"]): row["envelope"] for row in rows}

    async def put(
        self, transaction: Transaction, merchant_id: str, owner_id: str, secrets: Mapping[SecretKind, Envelope]
    ) -> bool:
        """Add what is to wait; False, and nothing done, when a key is no longer active."""
        kinds, envelopes, key_ids = secret_arrays(secrets)
        put = await transaction.rows(
            f"insert into vault.{self.table} (merchant_id, {self.column}, kind, envelope, key_id) "
            "select $1, $2, s.kind, s.envelope, s.key_id "
            "from unnest($3::text[], $4::bytea[], $5::bytea[]) as s(kind, envelope, key_id) "
            f"where {keys_active('$5')} returning kind",
            merchant_id,
            owner_id,
            kinds,
            envelopes,
            key_ids,
        )
        return len(put) == len(kinds)

    async def drop(
        self,
        transaction: Transaction,
        merchant_id: str,
        owner_ids: Sequence[str],
        kinds: Collection[SecretKind] = _ALL_KINDS,
    ) -> None:
        """Delete what waited, ciphertext included."""
        await transaction.rows(
            f"delete from vault.{self.table} where merchant_id = $1 and {self.column} = any($2) and kind = any($3)",
            merchant_id,
            list(owner_ids),
            list(kinds),
        )


WITH_PAYMENTS: Final = Waiting("payment_secret", "payment_id")
WITH_VAULTINGS: Final = Waiting("vaulting_secret", "vaulting_id")

"""Every place in the database that needs a data key, and how it is brought under another one: as data.

It refuses to know statements' order and transactions. Invariant: a column that is sealed, or refers to a data key, and
is not listed here fails a test, so that no rotation overlooks it (controls.md KEY-7).
"""

from dataclasses import dataclass
from typing import Final

from keys.keyring import Label, Purpose


@dataclass(frozen=True, slots=True)
class Place:
    """A column whose values are made with a data key, and what they are made from; the parts are fragments of SQL.

    `t` is the table's row, `s` the row of what is opened. `row` tells a merchant's rows apart. With a `label` the new
    value is the keyed hash of what was opened, otherwise it is sealed again for the same `home` (table, row, field).
    A row that `gives_way`, `u.new` being its new value, keeps none. `only` leaves out what cannot be moved yet.
    """

    table: str
    row: tuple[str, ...]
    home: tuple[str, str, str]
    purpose: Purpose
    column: str = "envelope"
    key_column: str = "key_id"
    merchant: str = "merchant_id"
    source: str = ""
    envelope: str = "t.envelope"
    only: str = "true"
    label: Label | None = None
    gives_way: str | None = None

    @property
    def name(self) -> str:
        """Name the column."""
        return f"{self.table}.{self.column}"

    @property
    def origin(self) -> str:
        """Give what follows `from`: the table as `t`, and where needed what is opened as `s`."""
        return f"vault.{self.table} t {self.source}"


def _waiting(table: str, owner: str) -> Place:
    return Place(table, (owner, "kind"), (f"'{table}'", f"t.{owner}", "t.kind"), Purpose.CARD)


def _hash_of_card(column: str, kind: str, label: Label, only: str = "true", gives_way: str | None = None) -> Place:
    return Place(
        table="card",
        row=("id",),
        home=("'card_secret'", "t.id", "s.kind"),
        purpose=Purpose.FINGERPRINT,
        column=column,
        key_column=f"{column}_key_id",
        source=f"join vault.card_secret s on (s.merchant_id, s.card_id, s.kind) = (t.merchant_id, t.id, '{kind}')",
        envelope="s.envelope",
        only=only,
        label=label,
        gives_way=gives_way,
    )


# A payment or vaulting under way recognises its buyer's card by the version it began with.
_NONE_UNDER_WAY: Final = """not exists (
    select from vault.payment p where p.merchant_id = t.merchant_id and p.buyer = t.buyer
    and p.store_state = 'PENDING' and p.fingerprint_key_id = t.fingerprint_key_id
) and not exists (
    select from vault.vaulting v where v.merchant_id = t.merchant_id and v.buyer = t.buyer
    and v.status not in ('SUCCESS', 'FAIL') and v.fingerprint_key_id = t.fingerprint_key_id
)"""
# One number of a buyer that was stored twice while the version changed: the other card goes on being known by it.
_KNOWN_TWICE: Final = """exists (
    select from vault.card o where o.merchant_id = t.merchant_id and o.buyer = t.buyer and o.fingerprint = u.new
)"""

PLACES: Final = (
    _waiting("card_secret", "card_id"),
    _waiting("payment_secret", "payment_id"),
    _waiting("vaulting_secret", "vaulting_id"),
    Place("token_deletion", ("owner_id",), ("t.sealed_in", "t.owner_id", "'TOKEN'"), Purpose.CARD),
    Place("webhook_secret", ("id",), ("'webhook_secret'", "t.id", "'envelope'"), Purpose.CREDENTIAL),
    Place(
        table="merchant",
        row=("id",),
        home=("'merchant'", "t.id", "'gateway_credentials'"),
        purpose=Purpose.CREDENTIAL,
        column="gateway_credentials",
        key_column="gateway_credentials_key_id",
        merchant="id",
        envelope="t.gateway_credentials",
    ),
    _hash_of_card("fingerprint", "PAN", Label.PAN, _NONE_UNDER_WAY, _KNOWN_TWICE),
    _hash_of_card("token_print", "TOKEN", Label.TOKEN),
)

# Hashes of what the vault does not keep: a key stays, to look under, until the row ends (table, column, key column).
KEPT_HASHES: Final = (
    ("api_secret", "hash", "key_id"),
    ("payment", "digest", "digest_key_id"),
    ("payment", "fingerprint", "fingerprint_key_id"),
    ("movement", "digest", "digest_key_id"),
    ("card_attempt", "print", "print_key_id"),
    ("vaulting", "digest", "digest_key_id"),
    ("vaulting", "fingerprint", "fingerprint_key_id"),
)

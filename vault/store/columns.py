"""How values travel between rows and values: JSON columns, faces of cards, checks on keys.

It refuses to know any statement. Invariant: a JSON column holds an object or nothing.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import asyncpg
import orjson

from keys.keyring import Envelope
from vault.card import Expiry
from vault.result import Result
from vault.stored_card import BrandChoice, CardFace, SecretKind

# Columns with their types.
FACE: Final = {
    "brand": "text",
    "masked": "text",
    "bin": "text",
    "last_four": "text",
    "expiry_month": "smallint",
    "expiry_year": "smallint",
    "fingerprint": "bytea",
    "fingerprint_key_id": "bytea",
}
SEALED: Final = "jsonb_to_recordset(given.sealed) as s(kind text, envelope bytea, key_id bytea)"
FACE_COLUMNS: Final = ", ".join(FACE)
Secrets: TypeAlias = Mapping[SecretKind, Envelope]


def rows_of(columns: Mapping[str, str]) -> str:
    """Give the query for parameter 1, a list of rows that `as_row` wrote; `columns` are names with types.

    A row is one document: PostgreSQL would take an array for each column apart one by one. The inner select keeps the
    planner from looking at how many there are: it would plan the statement anew each time, which costs more than a row.
    """
    declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    return f"select r.* from unnest((select $1::jsonb[])) as one(document), jsonb_to_record(document) as r({declared})"


def as_row(values: Mapping[str, Any]) -> str:
    """Write a row by the names of its columns; what is not named is null."""
    return orjson.dumps(values, default=_octets).decode()


def sealed_of(secrets: Secrets) -> list[Mapping[str, Any]]:
    """Give what is sealed as the value of a row's column `sealed`, which `SEALED` reads."""
    return [{"kind": kind, "envelope": each.data, "key_id": each.key_id} for kind, each in secrets.items()]


def _octets(value: bytes) -> str:
    return f"\\x{value.hex()}"


def key_active(named: str) -> str:
    """Give the condition that the key whose id an expression names is still active when the statement runs."""
    return f"exists (select from vault.data_key k where k.id = {named} and k.state = 'active')"


def keys_active(parameter: str) -> str:
    """Give the condition that every key in a bytea[] parameter is still active when the statement runs."""
    return f"not exists (select from unnest(({parameter})::bytea[]) as wanted(id) where not {key_active('wanted.id')})"


def face_row(face: CardFace | None) -> dict[str, Any]:
    """Give a face's values by the names in `FACE`."""
    return dict(zip(FACE, face_values(face), strict=True))


def face_values(face: CardFace | None) -> tuple[Any, ...]:
    """Give a face's values in the order of `FACE_COLUMNS`."""
    if face is None:
        return (None,) * 8
    return (
        face.brand,
        face.masked,
        face.bin,
        face.last_four,
        face.expiry and face.expiry.month,
        face.expiry and face.expiry.year,
        face.fingerprint,
        face.fingerprint_key_id,
    )


def face_of(row: asyncpg.Record) -> CardFace:
    """Give the face that a card's or a payment's row holds."""
    return CardFace(
        row["brand"],
        row["masked"],
        row["bin"],
        row["last_four"],
        None if row["expiry_month"] is None else Expiry(row["expiry_month"], row["expiry_year"]),
        row["fingerprint"],
        row["fingerprint_key_id"],
    )


def choice_of(row: asyncpg.Record) -> BrandChoice:
    """Give the network that a card's or a payment's row says was chosen."""
    return BrandChoice(row["selected_brand"], row["selected_region"])


def result_values(result: Result | None) -> tuple[str | None, str | None, str | None]:
    """Give the values of `result_code, result_status, result_message`."""
    return (result.code, result.status, result.message) if result else (None, None, None)


def result_of(row: Mapping[str, Any] | asyncpg.Record) -> Result | None:
    """Give the gateway's words that a row holds, if there are any."""
    if row["result_code"] is None:
        return None
    return Result(row["result_code"], row["result_status"], row["result_message"])


def json_text(value: Mapping[str, Any] | None) -> str | None:
    """Give what goes into a JSONB column as a parameter; what comes out of one is parsed by the driver."""
    return None if value is None else orjson.dumps(dict(value)).decode()

"""How values travel between rows and values: JSON columns, faces of cards, checks on keys.

It refuses to know any statement. Invariant: a JSON column holds an object or nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import asyncpg
import orjson

from vault.card import Expiry
from vault.result import Result
from vault.stored_card import BrandChoice, CardFace

FACE_COLUMNS = "brand, masked, bin, last_four, expiry_month, expiry_year, fingerprint, fingerprint_key_id"


def from_arrays(name: str, columns: Mapping[str, str], first: int = 1) -> str:
    """Give the table of rows that come as one array for each column, the parameters `$first` and those behind it.

    `columns` are names with types.
    """
    parameters = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(columns.values(), first))
    return f"unnest({parameters}) as {name}({', '.join(columns)})"


def as_arrays(columns: Mapping[str, str], rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Give rows as one array for each column."""
    return [list(values) for values in zip(*rows, strict=True)] or [[] for _ in columns]


def keys_active(parameter: str) -> str:
    """Give the condition that every key in a bytea[] parameter is still active when the statement runs."""
    return (
        f"not exists (select 1 from unnest(({parameter})::bytea[]) as wanted(id) "
        "where not exists (select 1 from vault.data_key k where k.id = wanted.id and k.state = 'active'))"
    )


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

"""How a table of the vault is declared: the schema's metadata and the few kinds of columns that tables are made of.

It refuses to know any table (those are in `vault.tables`). Invariant: a column cannot be declared without saying what
it holds (controls.md RET-4).
"""

from enum import StrEnum
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    LargeBinary,
    MetaData,
    text,
)
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import TypeEngine, UserDefinedType

SCHEMA = "vault"


class DataClass(StrEnum):
    """What a column holds, for the data inventory (controls.md RET-4)."""

    OUR_ID = "our_id"
    MERCHANT_REFERENCE = "merchant_reference"
    SEALED = "sealed"
    KEYED_HASH = "keyed_hash"
    TRUNCATED_PAN = "truncated_pan"
    CARD_ATTRIBUTE = "card_attribute"
    GATEWAY_RESULT = "gateway_result"
    WRAPPED_KEY = "wrapped_key"
    CONFIGURATION = "configuration"
    OPERATIONAL = "operational"
    AUDIT = "audit"


class XID8(UserDefinedType[str]):
    """PostgreSQL's 64-bit transaction id."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Name the type in DDL."""
        return "xid8"


ischema_names["xid8"] = XID8

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_ix",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    },
)


def column(
    name: str, kind: type[TypeEngine[Any]] | TypeEngine[Any], data: DataClass, *args: Any, **kwargs: Any
) -> Column[Any]:
    """Declare a column with what it holds; not null unless said otherwise."""
    kwargs.setdefault("nullable", False)
    return Column(name, kind, *args, info={"data": data}, **kwargs)


def created_at(name: str = "created_at") -> Column[Any]:
    """Declare a time that defaults to the start of the transaction."""
    return column(name, DateTime(timezone=True), DataClass.OPERATIONAL, server_default=text("now()"))


def moment(name: str, **kwargs: Any) -> Column[Any]:
    """Declare a time, absent unless said otherwise."""
    return column(name, DateTime(timezone=True), DataClass.OPERATIONAL, **{"nullable": True, **kwargs})


def key_reference(name: str, *, nullable: bool = False) -> Column[Any]:
    """Declare a reference to the data key that a sealed or keyed value needs, so that the key cannot go before it."""
    return column(name, LargeBinary, DataClass.OUR_ID, ForeignKey(f"{SCHEMA}.data_key.id"), nullable=nullable)


def one_of(column: str, *values: str) -> CheckConstraint:
    """Restrict a column to a closed set of values."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} in ({listed})", name=column)

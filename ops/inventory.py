"""The data inventory: every column of the database with what it holds, from the tables' own declarations (RET-4).

It refuses to know rows. Invariant: nothing is listed by hand that a declaration already says.
"""

from collections.abc import Iterator
from typing import Any, Final

from vault.every_table import metadata
from vault.schema import DataClass

# What has to be gone from every file once its row is deleted: sealed account data, and the keys that would open copies.
_SECRET: Final = frozenset({DataClass.SEALED, DataClass.WRAPPED_KEY})


def columns() -> Iterator[dict[str, Any]]:
    """Give every column: table, name, data class and whether it is sealed."""
    for table in sorted(metadata.tables.values(), key=lambda each: each.name):
        for column in table.columns:
            data = column.info["data"]
            yield {"table": table.name, "column": column.name, "holds": data.value, "encrypted": data in _SECRET}


def tables_with_secrets() -> list[str]:
    """Name the tables that hold sealed values or wrapped keys."""
    return sorted({each["table"] for each in columns() if each["encrypted"]})

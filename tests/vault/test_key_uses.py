"""Nothing that is sealed, and nothing that refers to a data key, is unknown to re-encryption (KEY-7)."""

import pkgutil
from importlib import import_module

import vault
from vault.key_uses import KEPT_HASHES, PLACES
from vault.schema import DataClass, metadata

for module in pkgutil.iter_modules(vault.__path__, "vault."):
    if module.name.endswith(("tables", "_table")):
        import_module(module.name)  # it adds its tables to the metadata
TABLES = metadata.tables.values()


def test_every_sealed_column_is_sealed_again() -> None:
    sealed = {(t.name, column.name) for t in TABLES for column in t.columns if column.info["data"] is DataClass.SEALED}
    assert sealed == {(place.table, place.column) for place in PLACES if place.label is None}


def test_every_reference_to_a_data_key_is_moved_or_known_to_stay() -> None:
    referring = {
        (t.name, key.parent.name) for t in TABLES for key in t.foreign_keys if key.column.table.name == "data_key"
    }
    moved = {(place.table, place.key_column) for place in PLACES}
    assert referring - {("key_usage", "key_id")} == moved | {(table, key) for table, _, key in KEPT_HASHES}

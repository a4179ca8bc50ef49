"""Data keys as an operator's commands change them.

It refuses to know the command line and how results are shown. Invariant: a record holds no key.
"""

from collections.abc import Collection
from typing import Any

from keys.keyring import Purpose
from ops.operating import operator_origin, with_database
from vault import custody
from vault.db import Database
from vault.directory import Directory
from vault.ids import key_name
from vault.key_life import KeyLife, Rotation
from vault.settings import Settings


def rotate(purposes: Collection[Purpose], merchant_id: str | None) -> list[dict[str, Any]]:
    """Rotate the keys of these purposes, of one merchant or of all; gives what was rotated. Raises `NotFound`."""

    async def run(settings: Settings, database: Database) -> list[dict[str, Any]]:
        keyring = await custody.open_keyring(settings, database)
        if merchant_id is not None:
            await Directory(database, keyring).merchant(merchant_id)
        life = KeyLife(database, keyring, operator_origin())
        return [_record(rotation) for rotation in await life.rotate(purposes, merchant_id)]

    return with_database(run)


def _record(rotation: Rotation) -> dict[str, Any]:
    return {
        "merchantId": rotation.retired.merchant_id or None,
        "purpose": rotation.retired.purpose.value,
        "retiredKeyId": key_name(rotation.retired.key_id),
        "activeKeyId": key_name(rotation.successor),
    }

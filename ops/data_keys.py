"""Data keys as an operator's commands change them.

It refuses to know the command line and how results are shown. Invariant: a record holds no key.
"""

from collections.abc import Collection
from typing import Any

from keys.keyring import Purpose
from ops.operating import operator_origin, under_control, with_database
from ops.refusal import NO_MERCHANT, Refused
from vault import custody
from vault.approval import Operation
from vault.db import Database
from vault.directory import Directory
from vault.errors import NotFound
from vault.ids import key_name, key_named
from vault.key_life import KeyLife, Rotation
from vault.settings import Settings


def rotate(purposes: Collection[Purpose], merchant_id: str | None) -> list[dict[str, Any]]:
    """Rotate the keys of these purposes, of one merchant or of all; gives what was rotated. Raises `Refused`."""

    async def run(settings: Settings, database: Database) -> list[dict[str, Any]]:
        keyring = await custody.open_keyring(settings, database)
        if merchant_id is not None:
            try:
                await Directory(database, keyring).merchant(merchant_id)
            except NotFound:
                raise Refused(NO_MERCHANT) from None
        life = KeyLife(database, keyring, operator_origin())
        return [_record(rotation) for rotation in await life.rotate(purposes, merchant_id)]

    return with_database(run)


def compromise(name: str, days: int) -> dict[str, Any]:
    """Take a key out of use for good, with a deadline for what it sealed; raises `NotFound` and `Conflict`."""

    async def run(settings: Settings, database: Database) -> dict[str, Any]:
        done = await (await _life(settings, database)).compromise(_key_id(name), days=days)
        return {
            "keyId": name,
            "state": "compromised",
            "deadline": done.deadline.isoformat(timespec="seconds"),
            "jobId": done.job.id,
            "settled": done.settled,
        }

    return with_database(run)


def destroy(name: str) -> dict[str, Any]:
    """Schedule a key's destruction, once others have approved; raises `NotFound` and `Conflict`."""
    key_id = _key_id(name)

    async def run(settings: Settings, database: Database) -> dict[str, Any]:
        life = await _life(settings, database)
        moment = await life.schedule_destruction(key_id, days=settings.key_destruction_days)
        return {"keyId": name, "destroyAfter": moment.isoformat(timespec="seconds")}

    return under_control(Operation.KEY_DESTROY, {"key": name}, run)


def undo_destruction(name: str) -> dict[str, Any]:
    """Take a scheduled destruction back; raises `NotFound` and `Conflict`."""

    async def run(settings: Settings, database: Database) -> dict[str, Any]:
        await (await _life(settings, database)).undo_destruction(_key_id(name))
        return {"keyId": name, "destroyAfter": None}

    return with_database(run)


async def _life(settings: Settings, database: Database) -> KeyLife:
    return KeyLife(database, await custody.open_keyring(settings, database), operator_origin())


def _key_id(name: str) -> bytes:
    key_id = key_named(name)
    if key_id is None:
        raise Refused("a key is named by its id, key_ and 26 characters: see cardvault keys status")
    return key_id


def _record(rotation: Rotation) -> dict[str, Any]:
    return {
        "merchantId": rotation.retired.merchant_id or None,
        "purpose": rotation.retired.purpose.value,
        "retiredKeyId": key_name(rotation.retired.key_id),
        "activeKeyId": key_name(rotation.successor),
    }

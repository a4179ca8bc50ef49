"""Data keys that another process retires, before something is sealed under them or while it is."""

from typing import Any

import pytest

from keys.keyring import Purpose, new_data_key
from tests.api.shop import Sql
from tests.installation import Installation


async def rotate(vault: Installation, sql: Sql, purpose: Purpose) -> bytes:
    """Do what another process would do: retire the active key and put another one in its place."""
    merchant_id = vault.tenants[0].merchant_id
    (root,) = vault.services.keyring._roots.values()
    fresh = new_data_key(root, merchant_id, purpose, vault.settings.environment)
    await sql.change(
        "update vault.data_key set state = 'decrypt_only' where merchant_id = $1 and purpose = $2 and state = 'active'",
        merchant_id,
        purpose,
    )
    await sql.change(
        "insert into vault.data_key (id, merchant_id, purpose, state, root_key_id, wrapped) "
        "values ($1, $2, $3, 'active', $4, $5)",
        fresh.key_id,
        merchant_id,
        purpose,
        fresh.root_key_id,
        fresh.wrapped,
    )
    await sql.change("insert into vault.key_usage (key_id) values ($1)", fresh.key_id)
    return fresh.key_id


def retire_while_sealing(
    monkeypatch: pytest.MonkeyPatch, keeper: Any, vault: Installation, sql: Sql, purpose: Purpose
) -> list[bytes]:
    """Retire the key once, right after a keeper sealed an opening with it; gives where the new key's id will stand."""
    seal, fresh = keeper.sealed_opening, list[bytes]()

    async def sealed(*arguments: Any) -> Any:
        made = await seal(*arguments)
        if not fresh:
            fresh.append(await rotate(vault, sql, purpose))
        return made

    monkeypatch.setattr(keeper, "sealed_opening", sealed)
    return fresh

import asyncio
import json
from pathlib import Path

import asyncpg

from tests.ops.cli.commands import Desk


def test_keys_are_made_once(bare_desk: Desk) -> None:
    made = bare_desk.data("keys", "init")
    assert made["rootKeyId"].startswith("key_")
    assert "has its keys already" in bare_desk.refusal("keys", "init")


def test_an_installation_of_an_earlier_version_gets_what_it_lacks(desk: Desk) -> None:
    async def forget() -> None:
        connection = await asyncpg.connect(desk.env["CARDVAULT_DATABASE_URL"], ssl=False)
        await connection.execute("set session_replication_role = replica")
        await connection.execute(
            "delete from vault.key_usage using vault.data_key where id = key_id and purpose = 'audit'"
        )
        await connection.execute("delete from vault.data_key where purpose = 'audit'")
        await connection.close()

    asyncio.run(forget())
    root = desk.data("keys", "status")["rootKeys"][0]["rootKeyId"]
    assert desk.data("keys", "init") == {"rootKeyId": root}
    assert "has its keys already" in desk.refusal("keys", "init")


def test_the_remark_about_copies_is_not_among_the_data(bare_desk: Desk) -> None:
    result = bare_desk.run("keys", "init", "--json")
    assert json.loads(result.stdout).keys() == {"rootKeyId"}
    assert "Keep copies" in result.stderr


def test_a_weak_passphrase_makes_no_keystore(bare_desk: Desk) -> None:
    bare_desk.file("passphrase", "short")
    assert "passphrase" in bare_desk.refusal("keys", "init")
    assert not (bare_desk.folder / "keystore.json").exists()


def test_a_passphrase_file_that_is_missing_is_named(bare_desk: Desk) -> None:
    missing = str(bare_desk.folder / "nothing")
    assert missing in bare_desk.refusal("keys", "init", seal_passphrase_file=missing)


def test_the_status_shows_whether_the_root_key_opens(desk: Desk) -> None:
    assert [root["opens"] for root in desk.data("keys", "status")["rootKeys"]] == [True]
    desk.file("passphrase", "another passphrase altogether")
    assert [root["opens"] for root in desk.data("keys", "status")["rootKeys"]] == [False]


def test_the_status_shows_use_against_the_limit(desk: Desk, merchant_id: str) -> None:
    rings = desk.data("keys", "status")["dataKeys"]
    assert {(ring["merchantId"], ring["purpose"]) for ring in rings} == {
        *((None, purpose) for purpose in ("fingerprint", "audit")),
        *((merchant_id, purpose) for purpose in ("card", "credential", "fingerprint")),
    }
    assert all(ring["limit"] == 2**31 and 0 <= ring["used"] < ring["limit"] for ring in rings)


def test_the_status_is_readable_without_json(desk: Desk) -> None:
    lines = desk.run("keys", "status").output.splitlines()
    assert lines[0].split() == ["rootKeyId", "version", "seal", "opens"]
    assert lines[1].endswith("yes")


def test_a_wrong_passphrase_says_which_setting_to_check(desk: Desk) -> None:
    desk.file("passphrase", "another passphrase altogether")
    for arguments in (("merchants", "list"), ("serve", "--port", "1024")):
        assert "check CARDVAULT_SEAL_PASSPHRASE_FILE" in desk.refusal(*arguments)


def test_a_missing_keystore_says_where_it_was_looked_for(desk: Desk) -> None:
    elsewhere = str(desk.folder / "elsewhere.json")
    assert elsewhere in desk.refusal("merchants", "list", seal=f"local:{elsewhere}")


def test_a_keystore_that_others_may_read_is_refused(desk: Desk) -> None:
    Path(desk.folder / "keystore.json").chmod(0o644)
    assert "set its mode to 600" in desk.refusal("merchants", "list")


def test_keys_of_another_environment_do_not_open(desk: Desk) -> None:
    changes = {
        "environment": "production",
        "gateway_url": "https://gateway.example",
        "public_url": "https://us.example",
    }
    assert "CARDVAULT_ENVIRONMENT" in desk.refusal("merchants", "list", **changes)


def test_nothing_works_before_the_keys_are_made(bare_desk: Desk) -> None:
    assert "run cardvault keys init" in bare_desk.refusal("merchants", "list")
    assert "run cardvault keys init" in bare_desk.refusal("serve", "--port", "1024")


def test_the_inventory_counts_what_needs_each_key(desk: Desk, merchant_id: str) -> None:
    desk.data("clients", "create", "--merchant", merchant_id, "--name", "app", "--scope", "cards:read")
    keys = desk.data("keys", "status")["keys"]
    needed = {(key["merchantId"], key["purpose"]): key["rowsByPlace"] for key in keys}
    assert needed == {
        (None, "root"): {"data_key.root_key_id": len(keys) - 1},
        (None, "fingerprint"): {"api_secret.key_id": 1},
        (None, "audit"): {},
        (merchant_id, "card"): {},
        (merchant_id, "credential"): {"merchant.gateway_credentials_key_id": 1},
        (merchant_id, "fingerprint"): {},
    }
    assert {key["purpose"] for key in keys if key["due"] != "rotate"} == {"audit"}
    assert {(key["state"], key["warning"]) for key in keys} == {("active", None)}
    assert {key["rows"] for key in desk.data("keys", "status", "--no-rows")["keys"]} == {None}

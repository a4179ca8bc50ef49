"""Rotating keys by hand (T-9, T-12): every run of a command opens everything anew."""

import json
import subprocess
import sys
from typing import Any

from tests.ops.cli.commands import Desk
from tests.ops.cli.conftest import KeyTexts, make_merchant
from vault.ids import key_named


def _keys(desk: Desk, state: str) -> set[tuple[str | None, str]]:
    rings = desk.data("keys", "status")["dataKeys"]
    return {(ring["merchantId"], ring["purpose"]) for ring in rings if ring["state"] == state}


def test_data_keys_are_rotated_for_all_merchants_and_old_values_stay_readable(
    desk: Desk, merchant_id: str, key_texts: KeyTexts
) -> None:
    """T-9."""
    other = make_merchant(desk, key_texts, "GATEWAY_2")["merchantId"]
    done: list[dict[str, Any]] = desk.data("keys", "rotate", "data")
    wanted = {(merchant, purpose) for merchant in (merchant_id, other) for purpose in ("card", "credential")}
    assert {(each["merchantId"], each["purpose"]) for each in done} == wanted
    assert all(key_named(each["activeKeyId"]) != key_named(each["retiredKeyId"]) is not None for each in done)
    assert _keys(desk, "decrypt_only") == wanted
    assert desk.data("merchants", "show", merchant_id)["gatewayKeys"]


def test_one_merchants_fingerprint_key_is_rotated_alone(desk: Desk, merchant_id: str) -> None:
    [done] = desk.data("keys", "rotate", "fingerprint", "--merchant", merchant_id)
    assert (done["merchantId"], done["purpose"]) == (merchant_id, "fingerprint")
    assert _keys(desk, "decrypt_only") == {(merchant_id, "fingerprint")}


def test_the_installations_own_key_is_rotated_with_all(desk: Desk) -> None:
    assert [each["merchantId"] for each in desk.data("keys", "rotate", "fingerprint")] == [None]


def test_a_merchant_that_is_not_known_is_refused(desk: Desk) -> None:
    assert "no merchant has this id" in desk.refusal("keys", "rotate", "data", "--merchant", "mer_nobody")


def test_the_command_says_what_to_do_next(desk: Desk, merchant_id: str) -> None:
    result = desk.run("keys", "rotate", "data")
    assert result.stdout.splitlines()[0].split() == ["merchantId", "purpose", "retiredKeyId", "activeKeyId"]
    assert "cardvault keys reencrypt" in result.stderr


def test_the_script_is_the_command(desk: Desk, merchant_id: str) -> None:
    script = (sys.executable, "-m", "ops.rotate_keys", "data", "--merchant", merchant_id, "--json")
    finished = subprocess.run(script, env=dict(desk.env), capture_output=True, text=True, check=True, timeout=60)
    assert [each["purpose"] for each in json.loads(finished.stdout)] == ["card", "credential"]

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ops.doctor_findings import Finding, Level
from ops.doctor_view import plain_lines, tree
from tests.ops.cli.commands import Desk, desk_at
from tests.vault.gateway.certificates import DAY, NOW, Authority
from vault.db import Database
from vault.roles import APP
from vault.store.workers import Beat, beat


def findings(desk: Desk, code: int, **changes: str) -> list[dict[str, Any]]:
    result = desk.run("doctor", "--json", **changes)
    assert result.exit_code == code, result.output
    report = json.loads(result.stdout)
    assert all(area["level"] in {each["level"] for each in area["findings"]} for area in report["areas"])
    assert report["ok"] is (code == 0)
    return [{"area": area["area"], **each} for area in report["areas"] for each in area["findings"]]


def levels(found: list[dict[str, Any]]) -> dict[str, set[str]]:
    return {
        area: {each["level"] for each in found if each["area"] == area} for area in {each["area"] for each in found}
    }


def test_a_sound_installation_has_no_failure(desk: Desk, merchant_id: str) -> None:
    found = findings(desk, 0)
    assert levels(found).keys() >= {"settings", "database", "clock", "capacity", "schema", "roles", "keys", "audit"}
    assert any(merchant_id in each["finding"] for each in found)


def test_a_gateway_that_does_not_answer_is_a_warning(desk: Desk) -> None:
    assert levels(findings(desk, 0))["gateway"] == {"warn"}


def test_servers_that_may_change_the_schema_are_a_warning_in_development(desk: Desk) -> None:
    assert levels(findings(desk, 0))["roles"] == {"warn"}


def test_every_missing_setting_is_a_finding(tmp_path: Path) -> None:
    found = findings(Desk(tmp_path, {}), 1)
    assert {each["finding"].split()[0] for each in found} >= {"CARDVAULT_DATABASE_URL", "CARDVAULT_SEAL"}
    assert all(each["advice"] for each in found)


def test_an_unusable_file_of_retry_rules_is_a_finding(tmp_path: Path) -> None:
    desk = desk_at(tmp_path, "postgresql://a:b@127.0.0.1:9/x")
    [found] = findings(desk, 1, retry_rules_file=str(tmp_path / "missing.json"))
    assert found["finding"] == "CARDVAULT_RETRY_RULES_FILE the file cannot be read"
    assert found["advice"] == "check its path and its permissions"


def test_a_database_that_is_down_ends_the_examination_of_it(tmp_path: Path) -> None:
    found = levels(findings(desk_at(tmp_path, "postgresql://a:hunter2@127.0.0.1:9/x"), 1))
    assert found["database"] == {"fail"}
    assert "schema" not in found


def test_a_database_without_a_schema_fails(tmp_path: Path, empty_database_url: str) -> None:
    found = findings(desk_at(tmp_path, empty_database_url), 1)
    assert [each["advice"] for each in found if each["area"] == "schema"] == ["run cardvault db upgrade"]


def test_a_wrong_passphrase_fails(desk: Desk) -> None:
    desk.file("passphrase", "another passphrase altogether")
    assert levels(findings(desk, 1))["keys"] == {"fail"}


def test_missing_keys_fail(bare_desk: Desk) -> None:
    found = [each for each in findings(bare_desk, 1) if each["area"] == "keys"]
    assert [each["level"] for each in found] == ["fail"]
    assert "cardvault keys init" in found[0]["advice"]


def test_a_passphrase_that_others_may_read_is_a_warning(desk: Desk) -> None:
    (desk.folder / "passphrase").chmod(0o644)
    assert "warn" in levels(findings(desk, 0))["keys"]


def test_a_keystore_beside_its_passphrase_is_a_warning(desk: Desk) -> None:
    """KEY-3."""
    found = findings(desk, 0)
    assert levels(found)["custody"] == {"warn"}
    assert any("keystore and its passphrase are in one folder" in each["finding"] for each in found)


def test_a_pool_larger_than_the_database_is_a_warning(desk: Desk) -> None:
    assert levels(findings(desk, 0, pool_size="200"))["capacity"] == {"warn"}


@pytest.mark.parametrize("level", Level)
def test_lines_and_tree_show_the_same(level: Level) -> None:
    finding = Finding("keys", level, "something [odd]", "mend it")
    assert list(plain_lines([finding])) == [f"{level:<4}  keys: something [odd] (mend it)"]
    (branch,) = tree([finding]).children
    (leaf,) = branch.children
    assert "something [odd]" in str(leaf.label)


def test_people_get_lines_where_there_is_no_terminal(desk: Desk) -> None:
    assert desk.run("doctor").output.startswith("ok    settings: complete, for development\n")


@pytest.mark.parametrize(("days", "level"), [(90, "ok"), (7, "warn"), (-1, "fail")])
def test_a_certificate_that_ends_is_told_in_time(tmp_path: Path, days: int, level: str) -> None:
    """NET-3."""
    identity = Authority.new().identity(tmp_path, until=NOW + (days + 0.5) * DAY)
    desk = desk_at(tmp_path, "postgresql://a:b@127.0.0.1:9/x")
    files = {"tls_certificate_file": str(identity), "tls_key_file": str(identity)}
    assert levels(findings(desk, 1, **files))["tls"] == {level}


def test_a_file_without_a_certificate_fails(tmp_path: Path) -> None:
    desk = desk_at(tmp_path, "postgresql://a:b@127.0.0.1:9/x")
    assert levels(findings(desk, 1, gateway_ca_file=desk.file("ca.pem", "nothing")))["tls"] == {"fail"}


def test_workers_that_are_not_there_and_loops_that_fail_are_warnings(desk: Desk, database_url: str) -> None:
    def workers() -> list[str]:
        return [each["finding"] for each in findings(desk, 0) if each["area"] == "workers"]

    assert workers() == ["none was there in the last 30 s"]
    asyncio.run(_beat(database_url))
    assert workers() == ["the loop b failed 3 times in a row", "2 loops are looked after"]


async def _beat(url: str) -> None:
    database = Database(url, role=APP, pool_size=1)
    async with database.session() as session:
        await beat(session, "wrk_1", [Beat("a", 0, 1.0), Beat("b", 3, None)])
    await database.close()


async def _late(url: str) -> None:
    connection = await asyncpg.connect(url, ssl=False)
    await connection.execute("update vault.audit_pending set occurred_at = now() - interval '5 minutes'")
    for name, trouble in (("here", None), ("there", "hanging")):
        await connection.execute(
            "insert into vault.audit_sink (name, told, trouble) values ($1, 'events', $2)", name, trouble
        )
    await connection.close()


def test_a_log_that_does_not_grow_and_a_sink_in_trouble_are_warnings(desk: Desk, database_url: str) -> None:
    asyncio.run(_late(database_url))
    found = {each["finding"]: each for each in findings(desk, 0) if each["area"] == "audit"}
    assert {each["level"] for said, each in found.items() if "wait for the log" in said} == {"warn"}
    assert found["events to here: 0, behind by 0 s"]["level"] == "ok"
    assert "--forget" in found["events to there: 0, behind by 0 s (hanging)"]["advice"]
    assert found["no checkpoint leaves the database"]["level"] == "ok"


def test_a_login_that_is_no_sequencers_or_auditors_is_a_warning(desk: Desk, database_url: str) -> None:
    login = f"server_{database_url.rpartition('/')[2]}"

    async def make(*statements: str) -> None:
        connection = await asyncpg.connect(database_url, ssl=False)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    asyncio.run(make(f"create role {login} login password 'only-here' in role cardvault_app"))
    try:
        url = f"postgresql://{login}:only-here@{database_url.rpartition('@')[2]}"
        found = findings(desk, 0, database_url=url, admin_database_url=database_url)
        for role in ("cardvault_sequencer", "cardvault_auditor"):
            assert any(f"may not act as {role}" in each["finding"] and each["level"] == "warn" for each in found)
        found = findings(desk, 0, database_url=url, auditor_database_url=database_url, admin_database_url=database_url)
        assert not any("cardvault_auditor" in each["finding"] for each in found)
    finally:
        asyncio.run(make(f"drop role {login}"))

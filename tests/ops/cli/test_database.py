from pathlib import Path

from tests.ops.cli.commands import Desk, desk_at


def test_a_fresh_database_has_to_be_upgraded(tmp_path: Path, empty_database_url: str) -> None:
    desk = desk_at(tmp_path, empty_database_url)
    assert "run cardvault db upgrade" in desk.refusal("db", "check")
    assert desk.run("db", "upgrade").exit_code == 0
    assert desk.run("db", "check").output == "The schema is current.\n"


def test_an_upgrade_may_be_repeated(bare_desk: Desk) -> None:
    assert [bare_desk.run("db", "upgrade").exit_code for _ in range(2)] == [0, 0]


def test_commands_before_the_upgrade_say_that_it_is_missing(tmp_path: Path, empty_database_url: str) -> None:
    assert "run cardvault db upgrade" in desk_at(tmp_path, empty_database_url).refusal("keys", "status")


def test_a_wrong_password_is_named_and_not_repeated(bare_desk: Desk) -> None:
    url = bare_desk.env["CARDVAULT_DATABASE_URL"]
    wrong = url.partition("://")[0] + "://postgres:hunter2-secret@" + url.partition("@")[2]
    for arguments in (("keys", "status"), ("db", "upgrade")):
        said = bare_desk.refusal(*arguments, database_url=wrong)
        assert "it refuses the login; check user and password" in said
        assert "hunter2" not in said


def test_a_database_that_does_not_exist_is_named(bare_desk: Desk) -> None:
    url = bare_desk.env["CARDVAULT_DATABASE_URL"].rpartition("/")[0] + "/nowhere"
    assert "there is no database of that name" in bare_desk.refusal("keys", "status", database_url=url)


def test_the_operators_url_is_the_one_that_is_upgraded(bare_desk: Desk) -> None:
    url = bare_desk.env["CARDVAULT_DATABASE_URL"]
    result = bare_desk.run("db", "upgrade", database_url="postgresql://a:b@127.0.0.1:9/x", admin_database_url=url)
    assert result.exit_code == 0

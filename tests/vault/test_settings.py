from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from keys.seals.address import AwsKmsAddress, LocalAddress
from tests.vault.web import CANARY, settings
from vault.card_policy import CardPolicy
from vault.settings import Environment, LogFormat, SettingsInvalid, load_settings

BASE = {
    "CARDVAULT_DATABASE_URL": "postgresql+asyncpg://vault:s3cr%40t@db.example:5432/vault",
    "CARDVAULT_SEAL": "local:/var/lib/cardvault/keystore",
    "CARDVAULT_SEAL_PASSPHRASE_FILE": "/run/secrets/passphrase",
    "CARDVAULT_GATEWAY_URL": "https://gateway.example",
    "CARDVAULT_PUBLIC_URL": "https://vault.example",
}
DEVELOPMENT = {**BASE, "CARDVAULT_ENVIRONMENT": "development"}


def complaint(**changes: str) -> str:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings({**BASE, **{f"CARDVAULT_{name.upper()}": value for name, value in changes.items()}})
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database_url", "mysql://vault:hunter2@db.example/vault"),
        ("database_url", "postgresql://vault:hunter2@/vault"),
        ("database_url", "postgresql://vault:hunter2@db.example"),
        ("database_url", "postgresql://vault:hunter2@db.example:port/vault"),
        ("database_url", "postgresql://[hunter2/vault"),
        ("database_url", "postgresql://vault:hunter2@db.example:5432,db.example:port/vault"),
        ("admin_database_url", "postgresql://vault:hunter2@db.example/vault?pgbouncer=true"),
        ("public_url", "https://vault.example,hunter2"),
        ("admin_database_url", "hunter2"),
        ("environment", "hunter2"),
        ("gateway_url", "ftp://hunter2"),
        ("gateway_url", "https://"),
        ("gateway_url", "https://hunter2@gateway.example"),
        ("gateway_url", "https://gateway.example/hunter2"),
        ("gateway_url", "https://gateway.example?hunter2"),
        ("public_url", "https://vault.example/#hunter2"),
        ("public_url", "https://vault.example/hunter2 "),
        ("public_url", "https://vault.example/hunter2\n"),
        ("public_url", "https://väult.example/hunter2"),
        ("audit_anchor", "hunter2"),
        ("audit_anchor", "s3:/hunter2"),
        ("audit_anchor", "/a/b,file:/c/hunter2"),
        ("audit_anchor", "syslog+tls://user:hunter2@siem.example"),
        ("audit_stream", "/var/log/hunter2"),
        ("audit_stream", "syslog://hunter2:514"),
        ("audit_stream", "syslog+tls://siem.example/hunter2"),
        ("audit_stream", "syslog+tcp://hunter2.example:514"),
        ("kms_networks", "hunter2"),
        ("otlp_url", "hunter2"),
        ("otlp_url", "http://hunter2.example:4318"),
        ("otlp_url", "https://collector.example/hunter2"),
        ("otlp_share", "1.5"),
        ("seal", "hunter2"),
        ("seal", "local:hunter2"),
        ("seal", "pkcs11:hunter2"),
        ("seal", "awskms:hunter2"),
        ("seal", "transit:hunter2"),
        ("log_format", "hunter2"),
        ("card_policy", "hunter2"),
        ("trusted_proxies", "hunter2"),
        ("trusted_proxies", "10.0.0.1/8"),
        ("pool_size", "hunter2"),
        ("pool_size", "0"),
        ("pool_size", "201"),
        ("max_body_bytes", CANARY),
        ("request_deadline", "nan"),
        ("sender_deadline", "-1"),
        ("inquiry_first", "inf"),
    ],
)
def test_a_refused_value_is_named_by_its_variable_and_not_repeated(name: str, value: str) -> None:
    text = complaint(**{name: value})

    assert text.startswith(f"CARDVAULT_{name.upper()}: ")
    assert "\n" not in text
    assert "hunter2" not in text
    assert CANARY not in text


@pytest.mark.parametrize("name", BASE)
def test_what_has_no_default_is_asked_for(name: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"{name}: is not set; set it to "):
        load_settings({key: value for key, value in BASE.items() if key != name})


def test_an_empty_environment_is_told_everything_at_once() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings({})

    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == sorted(
        BASE.keys() - {"CARDVAULT_SEAL_PASSPHRASE_FILE"}
    )


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    assert (
        load_settings({**BASE, "CARDVAULT_GATEWAY_CA_FILE": "", "CARDVAULT_DATABASE_URL_FILE": ""}).gateway_ca_file
        is None
    )
    assert "CARDVAULT_SEAL: is not set" in complaint(seal="")


def test_an_unknown_variable_is_refused_with_the_one_that_was_meant() -> None:
    assert (
        complaint(gatway_url="hunter2") == "CARDVAULT_GATWAY_URL: is not a setting; did you mean CARDVAULT_GATEWAY_URL?"
    )
    assert complaint(zzzzzzzzzz="hunter2") == "CARDVAULT_ZZZZZZZZZZ: is not a setting; remove it"


@pytest.mark.parametrize("name", ["CARDVAULT_seal", "CARDVAULT_\x1b[2J", "CARDVAULT_" + "A" * 1000, "CARDVAULT_"])
def test_an_unprintable_name_is_refused_without_being_repeated(name: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings({**BASE, name: "x"})

    assert str(caught.value) == "CARDVAULT_…: a variable is set that is not a setting; remove it"


def test_variables_of_others_are_not_looked_at() -> None:
    assert load_settings({**BASE, "PATH": "/bin", "PGPASSWORD": "x", "cardvault_x": "y"}) == load_settings(BASE)


def test_production_is_the_default_and_refuses_published_test_numbers() -> None:
    found = load_settings(BASE)

    assert found.in_production
    assert found.card_policy is CardPolicy.LIVE_ONLY
    assert found.log_format is LogFormat.JSON


def test_development_takes_any_card_number() -> None:
    found = load_settings(DEVELOPMENT)

    assert found.environment is Environment.DEVELOPMENT
    assert found.card_policy is CardPolicy.ANY


def test_a_card_policy_that_is_set_wins_over_the_default_of_production() -> None:
    assert load_settings({**BASE, "CARDVAULT_CARD_POLICY": "test-only"}).card_policy is CardPolicy.TEST_ONLY


def test_production_refuses_plain_http_in_both_directions() -> None:
    """NET-2."""
    text = complaint(gateway_url="http://127.0.0.1:8080", public_url="http://vault.example")

    assert text.splitlines() == [
        "CARDVAULT_GATEWAY_URL: has to be https in production",
        "CARDVAULT_PUBLIC_URL: has to be https in production",
    ]


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://localhost:8080/", "http://[::1]:8080"])
def test_development_reaches_a_gateway_on_this_machine_in_plain_http(url: str) -> None:
    assert load_settings({**DEVELOPMENT, "CARDVAULT_GATEWAY_URL": url}).gateway_url == url.rstrip("/")


@pytest.mark.parametrize("url", ["http://gateway.example", "http://10.0.0.1", "http://127.0.0.1.example"])
def test_development_refuses_plain_http_to_another_machine(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="CARDVAULT_GATEWAY_URL: may be http only for a gateway on this machine"):
        load_settings({**DEVELOPMENT, "CARDVAULT_GATEWAY_URL": url})


def test_development_may_be_reached_in_plain_http() -> None:
    assert (
        load_settings({**DEVELOPMENT, "CARDVAULT_PUBLIC_URL": "http://127.0.0.1:8/"}).public_url == "http://127.0.0.1:8"
    )


def test_a_request_has_to_outlive_its_payment_call() -> None:
    assert "CARDVAULT_REQUEST_DEADLINE: has to be longer" in complaint(request_deadline="20", sender_deadline="20")


def test_a_key_is_not_destroyed_at_once_in_production() -> None:
    assert "CARDVAULT_KEY_DESTRUCTION_DAYS: has to be at least 1" in complaint(
        environment="production", key_destruction_days="0"
    )


def test_inquiries_cannot_end_before_they_begin() -> None:
    assert "CARDVAULT_INQUIRY_MAX: has to be at least" in complaint(inquiry_first="10", inquiry_max="9")


@pytest.mark.parametrize("blocks", ["0.0.0.0/0", "10.0.0.0/8,::/0"])
def test_not_everybody_can_be_a_trusted_proxy(blocks: str) -> None:
    """T-50: a spoofed X-Forwarded-For would count."""
    assert "must not hold a block of all addresses" in complaint(trusted_proxies=blocks)


def test_trusted_proxies_are_read_as_blocks() -> None:
    found = load_settings({**BASE, "CARDVAULT_TRUSTED_PROXIES": "10.0.0.0/8, 2001:db8::/32,"})

    assert [str(block) for block in found.trusted_proxies] == ["10.0.0.0/8", "2001:db8::/32"]


def test_trusted_proxies_have_to_be_text_or_blocks() -> None:
    with pytest.raises(ValidationError):
        settings(trusted_proxies=7)


def test_webhooks_come_to_this_machine_in_development_alone() -> None:
    assert "must not hold this machine's own addresses" in complaint(webhook_networks="10.0.0.0/8,127.0.0.0/8")
    found = load_settings({**DEVELOPMENT, "CARDVAULT_WEBHOOK_NETWORKS": "127.0.0.0/8"})
    assert [str(block) for block in found.webhook_networks] == ["127.0.0.0/8"]


@pytest.mark.parametrize("text", ["", "5,", "5,soon", "0", "-1", "nan", "1e9", ",".join(["1"] * 101)])
def test_pauses_have_to_be_a_few_numbers_of_seconds(text: str) -> None:
    with pytest.raises((SettingsInvalid, ValidationError)):
        settings(webhook_retries=text)


def test_pauses_are_read_in_their_order() -> None:
    assert settings(webhook_retries="0.5, 2,1").webhook_retries == (0.5, 2.0, 1.0)
    assert settings(webhook_retries=(1.0,)).webhook_retries == (1.0,)


def test_both_spellings_of_a_database_url_come_out_the_same() -> None:
    expected = SecretStr("postgresql://vault:s3cr%40t@db.example:5432/vault")

    assert load_settings(BASE).database_url == expected
    plain = BASE["CARDVAULT_DATABASE_URL"].replace("+asyncpg", "")
    assert load_settings({**BASE, "CARDVAULT_DATABASE_URL": plain}).database_url == expected


def test_a_database_url_may_name_several_hosts() -> None:
    url = "postgresql://vault:pw@one.example:5432,two.example/vault?sslmode=require"
    assert load_settings({**BASE, "CARDVAULT_DATABASE_URL": url}).database_url.get_secret_value() == url


def test_a_database_url_may_name_its_hosts_in_the_query() -> None:
    url = "postgresql:///vault?host=a:1&host=b:2"

    assert load_settings({**BASE, "CARDVAULT_DATABASE_URL": url}).database_url.get_secret_value() == url


def test_operators_use_the_administrators_url_where_there_is_one() -> None:
    admin = "postgresql://owner:pw@db.example/vault"

    assert load_settings(BASE).operator_database_url == load_settings(BASE).database_url
    assert load_settings({**BASE, "CARDVAULT_ADMIN_DATABASE_URL": admin}).operator_database_url == SecretStr(admin)


def test_the_anchor_is_a_file_with_or_without_its_scheme() -> None:
    assert settings().anchor_path is None
    assert settings(audit_anchor="file:/a/b").anchor_path == Path("/a/b")
    assert settings(audit_anchor="/a/b").anchor_path == Path("/a/b")


def test_anchors_and_streams_are_receivers_of_syslog() -> None:
    both = settings(audit_anchor="file:/a/b, syslog+tls://siem.example", audit_stream="syslog+tcp://[::1]")
    assert both.anchor_path == Path("/a/b")
    assert [str(each) for each in both.anchor_receivers] == ["syslog+tls://siem.example:6514"]
    assert [str(each) for each in both.stream_receivers] == ["syslog+tcp://[::1]:514"]
    assert settings(audit_anchor="syslog+tls://siem.example:1").anchor_path is None
    assert settings().stream_receivers == ()


def test_the_keystore_lies_where_the_seal_says() -> None:
    assert load_settings(BASE).seals == (
        LocalAddress(Path("/var/lib/cardvault/keystore"), Path("/run/secrets/passphrase")),
    )


def test_several_seals_are_named_one_after_the_other() -> None:
    kms = "awskms:arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    both = {**BASE, "CARDVAULT_SEAL": f"{kms}, local:/var/lib/the keystore"}
    assert [str(seal) for seal in load_settings(both).seals] == [kms, "local:/var/lib/the keystore"]
    assert load_settings({**both, "CARDVAULT_SEAL": kms, "CARDVAULT_SEAL_PASSPHRASE_FILE": ""}).seals


def test_a_keystore_may_have_a_passphrase_of_its_own() -> None:
    own = {**BASE, "CARDVAULT_SEAL": "local:/var/a?passphrase-file=/run/a local:/var/b"}
    assert [getattr(seal, "passphrase_file", None) for seal in load_settings(own).seals] == [
        Path("/run/a"),
        Path("/run/secrets/passphrase"),
    ]
    assert str(load_settings(BASE).seal_at("local:/var/c")) == "local:/var/c"


def test_every_service_of_keys_is_held_to_its_networks() -> None:
    """NET-2."""
    kms = "awskms:arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    found = load_settings({**BASE, "CARDVAULT_SEAL": kms, "CARDVAULT_KMS_NETWORKS": "198.51.100.16/28"})
    for seal in (*found.seals, found.seal_at(kms)):
        assert isinstance(seal, AwsKmsAddress)
        assert seal.networks == (ip_network("198.51.100.16/28"),)


def without_database_url() -> dict[str, str]:
    return {name: value for name, value in BASE.items() if name != "CARDVAULT_DATABASE_URL"}


def test_a_secret_can_lie_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://vault:pw@db.example/vault\n")

    found = load_settings({**without_database_url(), "CARDVAULT_DATABASE_URL_FILE": str(file)})

    assert found.database_url == SecretStr("postgresql://vault:pw@db.example/vault")


@pytest.mark.parametrize("content", [b"", b"\n \n", b"x" * 65_537, b"\xff\xfe"])
def test_a_file_that_holds_no_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "url"
    file.write_bytes(content)

    with pytest.raises(SettingsInvalid, match="CARDVAULT_DATABASE_URL_FILE: the file "):
        load_settings({**without_database_url(), "CARDVAULT_DATABASE_URL_FILE": str(file)})


def test_a_file_that_is_not_there_is_refused_without_its_path() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings({**without_database_url(), "CARDVAULT_DATABASE_URL_FILE": "/nowhere/hunter2"})

    assert str(caught.value).startswith("CARDVAULT_DATABASE_URL_FILE: the file cannot be read")
    assert "hunter2" not in str(caught.value)


def test_a_secret_and_its_file_cannot_both_be_set(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://vault:pw@db.example/vault")

    assert "CARDVAULT_DATABASE_URL: is set beside CARDVAULT_DATABASE_URL_FILE" in complaint(database_url_file=str(file))


def test_only_secrets_can_lie_in_files() -> None:
    assert "CARDVAULT_PUBLIC_URL_FILE: is not a setting" in complaint(public_url_file="/etc/hostname")


def test_settings_do_not_change() -> None:
    found: Any = load_settings(BASE)

    with pytest.raises(ValidationError):
        found.pool_size = 3


def test_settings_print_no_secret() -> None:
    assert "s3cr" not in repr(load_settings(BASE)) + str(load_settings(BASE)) + load_settings(BASE).model_dump_json()


def test_settings_made_of_keywords_ignore_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDVAULT_POOL_SIZE", "99")
    monkeypatch.setenv("POOL_SIZE", "99")

    assert settings().pool_size == 10


def test_the_process_environment_is_what_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in BASE.items():
        monkeypatch.setenv(name, value)

    assert load_settings().public_url == "https://vault.example"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"CARDVAULT_TLS_CERTIFICATE_FILE": "/a"}, "CARDVAULT_TLS_KEY_FILE"),
        ({"CARDVAULT_TLS_KEY_FILE": "/a"}, "CARDVAULT_TLS_CERTIFICATE_FILE"),
        ({"CARDVAULT_TLS_CLIENT_CA_FILE": "/a"}, "CARDVAULT_TLS_CLIENT_CA_FILE"),
    ],
)
def test_tls_is_set_as_a_whole(given: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"^{named}: "):
        load_settings(DEVELOPMENT | given)

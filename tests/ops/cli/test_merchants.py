import pytest
from pydantic.alias_generators import to_camel

from tests.ops.cli.commands import Desk
from tests.ops.cli.conftest import KeyTexts, make_merchant
from vault.rules.regions import Feature


def create(desk: Desk, private: str, public: str, given: str | None = None) -> str:
    return desk.refusal(
        *("merchants", "create", "--name", "Shop", "--gateway-client-id", "GATEWAY_1"),
        *("--gateway-private-key-file", private, "--gateway-public-key-file", public),
        given=given,
    )


def test_a_merchant_is_made_with_its_defaults(desk: Desk, key_texts: KeyTexts) -> None:
    options = ("--payment-redirect-url", "https://shop.example/back", "--settlement-currency", "EUR")
    made = make_merchant(desk, key_texts, "GATEWAY_1", *options)
    shown = desk.data("merchants", "show", made["merchantId"])
    assert shown.pop("gatewayKeys")["signing"]["keyVersion"] == "1"
    assert shown == made
    assert shown["settings"]["settlementStrategy"] == {"settlementCurrency": "EUR"}
    assert shown["notificationPath"] == f"/v1/gateway/notifications/{made['merchantId']}"


def test_the_private_key_can_come_through_standard_input(desk: Desk, key_texts: KeyTexts) -> None:
    result = desk.run(
        *(
            "merchants",
            "create",
            "--name",
            "Shop",
            "--gateway-client-id",
            "GATEWAY_1",
            "--gateway-private-key-file",
            "-",
        ),
        *("--gateway-public-key-file", desk.file("gateway.pem", key_texts.public)),
        given=key_texts.private,
    )
    assert result.exit_code == 0
    assert key_texts.private not in result.output


def test_no_option_takes_a_key_itself(desk: Desk) -> None:
    assert "--gateway-private-key " not in desk.run("merchants", "create", "--help").output


def test_keys_that_are_none_are_refused_without_being_repeated(desk: Desk, key_texts: KeyTexts) -> None:
    private, public = desk.file("private", key_texts.private), desk.file("public", key_texts.public)
    nonsense = desk.file("nonsense", "no key at all !")
    assert "no key at all" not in create(desk, nonsense, public)
    assert "gateway's public key" in create(desk, private, nonsense)
    assert "RSA key" in create(desk, public, public) or "private key" in create(desk, public, public)
    assert desk.data("merchants", "list") == []


def test_a_key_file_that_is_missing_is_wrong_usage(desk: Desk, key_texts: KeyTexts) -> None:
    options = (
        "--name",
        "Shop",
        "--gateway-client-id",
        "G",
        "--gateway-public-key-file",
        desk.file("p", key_texts.public),
    )
    result = desk.run("merchants", "create", *options, "--gateway-private-key-file", str(desk.folder / "nothing"))
    assert result.exit_code == 2


def test_a_gateway_client_id_belongs_to_one_merchant(desk: Desk, key_texts: KeyTexts, merchant_id: str) -> None:
    private, public = desk.file("private", key_texts.private), desk.file("public", key_texts.public)
    assert "Another merchant has this gateway client id" in create(desk, private, public)
    assert [merchant["merchantId"] for merchant in desk.data("merchants", "list")] == [merchant_id]


def test_a_change_keeps_what_it_does_not_name(desk: Desk, key_texts: KeyTexts) -> None:
    made = make_merchant(desk, key_texts, "GATEWAY_1", "--payment-redirect-url", "https://shop.example/back")
    changed = desk.data("merchants", "update", made["merchantId"], "--name", "Other", "--reference-policy", "reject")
    assert changed["name"] == "Other"
    assert changed["settings"]["paymentRedirectUrl"] == "https://shop.example/back"
    assert changed["settings"]["referencePolicy"] == "reject"


def test_what_mandates_may_do_is_a_setting_of_the_merchant(desk: Desk, merchant_id: str) -> None:
    options = ("--mandate-region-policy", "warn", "--assume-authentication", "no", "--charge-expired-cards", "no")
    kept = desk.data("merchants", "update", merchant_id, *options)["settings"]
    assert (kept["mandateRegionPolicy"], kept["assumeAuthentication"], kept["chargeExpiredCards"]) == (
        "warn",
        False,
        False,
    )


def test_every_rule_about_regions_can_be_a_warning(desk: Desk, merchant_id: str) -> None:
    for feature in Feature:
        option = f"--{feature.replace('_', '-')}-region-policy"
        kept = desk.data("merchants", "update", merchant_id, option, "warn")["settings"]
    assert {kept[to_camel(f"{feature}_region_policy")] for feature in Feature} == {"warn"}


def test_the_gateways_spellings_are_settings_of_the_merchant(desk: Desk, merchant_id: str) -> None:
    options = ("--cavv-spelling", "caav", "--card-brand-spelling", "selectedCardBrands")
    kept = desk.data("merchants", "update", merchant_id, *options)["settings"]
    assert (kept["cavvSpelling"], kept["cardBrandSpelling"]) == ("caav", "selectedCardBrands")


def test_how_sessions_are_opened_is_a_setting_of_the_merchant(desk: Desk, merchant_id: str) -> None:
    options = ("--session-card-form", "savedPaymentMethods", "--session-mandates", "yes")
    kept = desk.data("merchants", "update", merchant_id, *options)["settings"]
    assert (kept["sessionCardForm"], kept["sessionMandates"]) == ("savedPaymentMethods", True)


def test_a_merchant_can_be_disabled_and_enabled(desk: Desk, merchant_id: str) -> None:
    assert desk.data("merchants", "disable", merchant_id)["status"] == "DISABLED"
    assert desk.data("merchants", "update", merchant_id, "--name", "Still")["status"] == "DISABLED"
    assert desk.data("merchants", "update", merchant_id, "--enable")["status"] == "ACTIVE"


def test_a_default_that_is_not_acceptable_is_named(desk: Desk, merchant_id: str) -> None:
    said = desk.refusal("merchants", "update", merchant_id, "--settlement-currency", "euros")
    assert "settlementStrategy" in said
    assert "euros" not in said


@pytest.mark.parametrize("command", ["show", "update", "disable"])
def test_an_unknown_merchant_is_said_to_be(desk: Desk, command: str) -> None:
    assert "no merchant has this id" in desk.refusal("merchants", command, "mer_nobody")


def test_the_list_is_columns_without_json(desk: Desk, merchant_id: str) -> None:
    header, line = desk.run("merchants", "list").output.splitlines()
    assert header.split() == ["merchantId", "name", "status", "gatewayClientId"]
    assert line.split() == [merchant_id, "Shop", "ACTIVE", "GATEWAY_1"]

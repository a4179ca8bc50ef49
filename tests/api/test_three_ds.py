"""Every row of the gateway's tables about 3-D Secure, through the vault: who is sent to the bank, and how (antom-api.md 5.1)."""

from itertools import product
from typing import Any, TypeAlias

import pytest

from tests.api.gateway import IN_PROCESS, SUCCESS, Puppet, courier, told
from tests.api.shop import Sql, card_on_file, paid, paid_on_file, payment, shown, stored
from tests.installation import Blueprint, Installation, installed

pytestmark = pytest.mark.anyio
RISKY, HARMLESS = "700000", "1200"
FLAGS = ("is3DSAuthentication", "enableAuthenticationUpgrade")
PAID, SENT, DECLINED = ("SUCCESS", None), ("PROCESSING", "REDIRECT"), ("FAIL", None)


Flags: TypeAlias = tuple[bool | None, bool | None]
# By is3DSAuthentication (absent reads as false) and enableAuthenticationUpgrade (absent reads as true): what follows, and
# what follows where the issuer insists. Where the risk service wants a challenge, there is one.
TABLE = {
    (False, True): (PAID, SENT),
    (False, False): (PAID, DECLINED),
    (True, True): (SENT, SENT),
    (True, False): (SENT, SENT),
}


def expected(flags: Flags, *, insists: bool, risky: bool) -> tuple[str, str | None]:
    """Look an outcome up."""
    authenticate, upgrade = flags
    return SENT if risky else TABLE[authenticate is True, upgrade is not False][insists]


async def played(
    vault: Installation, flags: Flags, value: str, *, insists: bool, card_id: str | None
) -> dict[str, Any]:
    """Pay with the flags that are not None, and give the payment's view; what went out is compared."""
    given = {name: flag for name, flag in zip(FLAGS, flags, strict=True) if flag is not None}
    body = (card_on_file() if card_id else payment()) | {"paymentAmount": {"currency": "EUR", "value": value}} | given
    if insists:
        await vault.arm(body["paymentRequestId"], "REQUIRE_3DS")
    view = await (paid_on_file(vault, card_id, body) if card_id else paid(vault, body))
    (sent,) = await vault.sent(body["paymentRequestId"])
    details = sent["paymentMethod"]["paymentMethodMetaData"]
    assert {name: details[name] for name in FLAGS if name in details} == given
    return view


@pytest.mark.parametrize("service", [False, True], ids=["no risk service", "risk service"])
async def test_every_outcome_of_the_tables_is_honoured(
    blueprint: Blueprint, onboarded_url: str, *, service: bool
) -> None:
    sandbox: dict[str, Any] = {"notification_scale": 0.0001}
    if service:
        sandbox["risk_challenge_from"] = int(RISKY)
    async with installed(blueprint, onboarded_url, sandbox=sandbox) as vault:
        card_id = (await stored(vault))["cardId"]
        choices = (None, False, True)
        for authenticate, upgrade, insists, value in product(choices, choices, (False, True), (HARMLESS, RISKY)):
            wanted = expected((authenticate, upgrade), insists=insists, risky=service and value == RISKY)
            for card in (None, card_id):
                view = await played(vault, (authenticate, upgrade), value, insists=insists, card_id=card)
                action = view["nextAction"]
                row = (authenticate, upgrade, insists, value, card)
                assert (view["paymentStatus"], action and action["type"]) == wanted, row
                if wanted is DECLINED:
                    assert view["declined"]["retry"] == "AUTHENTICATE", row
                if wanted is SENT and card is None:
                    await vault.sandbox_api.post(action["url"], data={"outcome": "success"})
                    settled = await vault.settle(view["paymentId"])
                    assert (settled["paymentStatus"], settled["nextAction"]) == PAID, row
                    assert settled["paymentResultInfo"]["threeDSResult"]["eci"] == "05", row


async def test_a_challenge_that_is_failed_is_a_decline(vault: Installation) -> None:
    view = await paid(vault, payment(is3DSAuthentication=True, storeCard="BOTH"))
    await vault.sandbox_api.post(view["nextAction"]["url"], data={"outcome": "fail"})
    settled = await vault.settle(view["paymentId"])
    assert (settled["paymentStatus"], settled["declined"]["retry"]) == ("FAIL", "AUTHENTICATE")
    assert (settled["card"], settled["nextAction"]) == (None, None)


@pytest.mark.parametrize(
    ("form", "members"),
    [
        ("URL", {"url": str, "method": "GET", "parameters": None, "schemeUrl": None, "applinkUrl": None}),
        ("GET", {"url": str, "method": "GET", "parameters": None, "schemeUrl": None, "applinkUrl": None}),
        ("POST", {"url": str, "method": "POST", "parameters": dict, "schemeUrl": None, "applinkUrl": None}),
        ("APP", {"url": None, "method": "GET", "parameters": None, "schemeUrl": str, "applinkUrl": str}),
    ],
)
async def test_each_way_to_the_bank_is_handed_on_and_stays_while_it_is_open(
    vault: Installation, form: str, members: dict[str, Any]
) -> None:
    body = payment(is3DSAuthentication=True)
    await vault.arm(body["paymentRequestId"], f"REDIRECT:{form}")
    view = await paid(vault, body)
    action = view["nextAction"]
    for name, member in members.items():
        assert isinstance(action[name], member) if isinstance(member, type) else action[name] == member, name
    again = await vault.api.post("/v1/payments", json=body)
    assert again.json()["nextAction"] == action
    await vault.work()
    assert (await shown(vault, view["paymentId"]))["nextAction"] == action
    await vault.sandbox_api.post(action["url"] or action["applinkUrl"], data={"outcome": "success"})
    assert (await vault.settle(view["paymentId"]))["nextAction"] is None


def _redirect(address: str, **form: Any) -> dict[str, Any]:
    return {"redirectActionForm": {"redirectUrl": address, **form}}


async def test_a_newer_address_replaces_an_older_one_and_links_for_apps_stay(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    links = {"schemeUrl": "bank://1", "applinkUrl": "https://bank.example/1"}
    form = _redirect("https://acs.example/1", method="POST", parameters='{"PaReq": "x"}')
    puppet.says("pay", {"result": IN_PROCESS, **form, **links})
    view = await paid(puppeteer, payment())
    old = {"type": "REDIRECT", "url": "https://acs.example/1", "method": "POST", "parameters": {"PaReq": "x"}, **links}
    assert view["nextAction"] == old
    told_again: dict[str, Any] = {
        "result": SUCCESS,
        "paymentStatus": "PROCESSING",
        "paymentAmount": view["paymentAmount"],
    }
    for news, way in [
        ({"applinkUrl": "https://bank.example/2"}, old | {"applinkUrl": "https://bank.example/2"}),
        (
            _redirect("https://acs.example/2", method="get"),
            links
            | {
                "type": "REDIRECT",
                "url": "https://acs.example/2",
                "method": "GET",
                "parameters": None,
                "applinkUrl": "https://bank.example/2",
            },
        ),
    ]:
        puppet.says("inquiryPayment", told_again | news)
        await sql.change("update vault.payment_inquiry set next_at = now()")
        await puppeteer.work()
        assert (await shown(puppeteer, view["paymentId"]))["nextAction"] == way


async def test_parameters_that_are_no_json_go_on_as_they_came(puppeteer: Installation, puppet: Puppet) -> None:
    form = _redirect("https://acs.example/1", method="POST", parameters="PaReq=x&TermUrl=y")
    puppet.says("pay", {"result": IN_PROCESS, **form})
    assert (await paid(puppeteer, payment()))["nextAction"]["parameters"] == "PaReq=x&TermUrl=y"


async def test_a_payment_that_became_final_leads_nowhere_any_more(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint
) -> None:
    puppet.says("pay", {"result": IN_PROCESS, "normalUrl": "https://acs.example/1"})
    view = await paid(puppeteer, payment())
    gateway = courier(puppeteer, blueprint)
    for news in (told(view), told(view, IN_PROCESS, notifyType="PAYMENT_PENDING", normalUrl="https://acs.example/2")):
        assert (await gateway.bring(news)).status_code == 200
    after = await shown(puppeteer, view["paymentId"])
    assert (after["paymentStatus"], after["nextAction"]) == ("SUCCESS", None)

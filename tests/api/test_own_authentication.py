"""3-D Secure that the merchant did elsewhere (MPI): sent, never done twice, its secret value neither kept nor shown."""

from typing import Any

import pytest

from tests.api.shop import Sql, card_on_file, configure, paid, paid_on_file, payment, problem, stored
from tests.api.subscriptions import charged, recorded
from tests.installation import Installation

pytestmark = pytest.mark.anyio
CAVV = "AAABBJkZUQAAAABjRWWZEEFgFz8="
OWN = {"threeDSVersion": "2.2.0", "eci": "05", "cavv": CAVV, "dsTransactionId": "1f0e"}
OFF = {"is3DSAuthentication": False, "enableAuthenticationUpgrade": False}


def without(name: str, **changes: Any) -> dict[str, Any]:
    return {key: value for key, value in OWN.items() if key != name} | changes


async def details_of(vault: Installation, view: dict[str, Any]) -> dict[str, Any]:
    (body,) = await vault.sent(view["paymentRequestId"])
    details: dict[str, Any] = body["paymentMethod"]["paymentMethodMetaData"]
    return details


@pytest.mark.parametrize("flags", [{}, OFF, {"is3DSAuthentication": False}])
async def test_the_gateway_is_told_to_do_no_authentication_of_its_own(
    vault: Installation, flags: dict[str, bool]
) -> None:
    body = payment(mpiData=OWN) | flags
    await vault.arm(body["paymentRequestId"], "REQUIRE_3DS")
    view = await paid(vault, body)
    assert (view["paymentStatus"], view["nextAction"]) == ("SUCCESS", None)
    details = await details_of(vault, view)
    assert details["mpiData"] == OWN
    assert {name: details[name] for name in OFF} == OFF


@pytest.mark.parametrize("flag", OFF)
async def test_a_flag_that_asks_for_it_contradicts(vault: Installation, sql: Sql, flag: str) -> None:
    card_id = (await stored(vault))["cardId"]
    for path, body in [("/v1/payments", payment()), (f"/v1/cards/{card_id}/payments", card_on_file())]:
        answer = await vault.api.post(path, json=body | {"mpiData": OWN, flag: True})
        document = problem(answer, 422, "request_invalid")
        assert document["errors"] == [{"pointer": "/mpiData", "code": "contradictory"}]
    assert await sql.count("payment") == 0


@pytest.mark.parametrize(
    ("own", "pointer", "code"),
    [
        (without("dsTransactionId"), "/mpiData/dsTransactionId", "missing"),
        (without("cavv"), "/mpiData/cavv", "missing"),
        (without("eci"), "/mpiData/eci", "missing"),
        (without("eci", eci="09"), "/mpiData/eci", "invalid_value"),
        (without("threeDSVersion"), "/mpiData/threeDSVersion", "missing"),
        (without("threeDSVersion", threeDSVersion="two"), "/mpiData/threeDSVersion", "invalid_value"),
    ],
)
async def test_what_is_incomplete_is_refused_before_anything_is_sent(
    vault: Installation, own: dict[str, str], pointer: str, code: str
) -> None:
    body = payment(mpiData=own)
    document = problem(await vault.api.post("/v1/payments", json=body), 422, "request_invalid")
    assert {"pointer": pointer, "code": code} in document["errors"]
    assert CAVV not in str(document)
    assert await vault.sent(body["paymentRequestId"]) == []


async def test_the_first_version_has_no_directory_servers_id(vault: Installation) -> None:
    view = await paid(vault, payment(mpiData=without("dsTransactionId", threeDSVersion="1.0.2")))
    assert view["paymentStatus"] == "SUCCESS"


async def test_a_stored_card_can_be_authenticated_elsewhere_too(vault: Installation) -> None:
    view = await paid_on_file(vault, (await stored(vault))["cardId"], card_on_file(mpiData=OWN))
    assert (await details_of(vault, view))["mpiData"] == OWN


@pytest.mark.parametrize(("setting", "expected"), [(None, "cavv"), ("caav", "caav")])
@pytest.mark.parametrize("spelt", ["cavv", "caav"])
async def test_both_spellings_are_taken_and_the_merchants_is_sent(
    vault: Installation, sql: Sql, setting: str | None, expected: str, spelt: str
) -> None:
    if setting is not None:
        await configure(sql, "cavvSpelling", f'"{setting}"')
    view = await paid(vault, payment(mpiData=without("cavv", **{spelt: CAVV})))
    assert (await details_of(vault, view))["mpiData"] == without("cavv", **{expected: CAVV})


async def test_it_is_evidence_for_a_mandate_and_its_secret_value_stays_nowhere(vault: Installation, sql: Sql) -> None:
    view = await paid(vault, payment(storeCard="BOTH", mpiData=OWN))
    body = {"cardId": view["card"]["cardId"], "initialPaymentId": view["paymentId"], "recurringType": "SCHEDULED"}
    mandate = await recorded(vault, body)
    assert mandate["evidence"]["kind"] == "MPI"
    charge = await charged(vault, mandate)
    assert charge["paymentStatus"] == "SUCCESS"
    assert CAVV not in str([view, mandate, charge])
    for table in ("payment", "card", "mandate", "audit_pending", "alarm"):
        rows = await sql.rows(f"select t::text as text from vault.{table} t")
        assert not any(CAVV in row["text"] for row in rows), table


async def test_an_attempt_alone_is_no_evidence(vault: Installation) -> None:
    view = await paid(vault, payment(storeCard="VAULT", mpiData=without("eci", eci="06")))
    body = {"cardId": view["card"]["cardId"], "initialPaymentId": view["paymentId"], "recurringType": "SCHEDULED"}
    problem(await vault.api.post("/v1/mandates", json=body), 422, "authentication_evidence_missing")


async def test_a_repeat_with_the_other_spelling_is_another_request(vault: Installation) -> None:
    body = payment(mpiData=OWN)
    await paid(vault, body)
    again = body | {"mpiData": without("cavv", caav=CAVV)}
    problem(await vault.api.post("/v1/payments", json=again), 409, "idempotency_conflict")

"""The running server against its own OpenAPI document: what schemathesis makes of it is answered as described (T-47)."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.api.conftest import QUICK
from tests.api.money import ask_capture, capture, refunded
from tests.api.reading import sequenced
from tests.api.receiver import endpoint, told
from tests.api.shop import paid, payment, store, stored
from tests.api.subscriptions import authenticated, consent, recorded
from tests.api.vaultings import keep, kept
from tests.canary import CVV_CANARY, VISA_CANARY, leaks_in_folder
from tests.installation import Blueprint, Installation, installed

HERE = Path(__file__).resolve().parent
# Nobody but the gateway can sign one (test_notifications.py).
NEVER_ACCEPTED = {"POST /v1/gateway/notifications/{merchantId}"}
SPARES = 8


@pytest.fixture
def portal() -> Iterator[BlockingPortal]:
    """The thread in which the server runs."""
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture
def served(onboarded_url: str, blueprint: Blueprint, portal: BlockingPortal) -> Iterator[Installation]:
    """A running vault for programs that are not asynchronous."""
    with portal.wrap_async_context_manager(installed(blueprint, onboarded_url, sandbox=QUICK)) as vault:
        yield vault


async def objects(vault: Installation) -> dict[str, str]:
    """Make one of each kind; what refers to it by another name is beside it."""
    first = await authenticated(vault)
    assert (await ask_capture(vault, first, capture("1000"))).status_code == 201
    card = await stored(vault)
    mandate = await recorded(vault, consent(cardId=card["cardId"], recurringType="UNSCHEDULED"))
    return {
        "merchantId": vault.tenants[0].merchant_id,
        "referenceBuyerId": card["referenceBuyerId"],
        "cardId": card["cardId"],
        "mandateId": mandate["mandateId"],
        "paymentId": first["paymentId"],
        "initialPaymentId": first["paymentId"],
        "refundId": (await refunded(vault, first))["refundId"],
        "vaultingRequestId": (await kept(vault, keep(buyer="vaulter")))["vaultingRequestId"],
        "endpointId": (await endpoint(vault, "http://127.0.0.1:9/"))["endpointId"],
        "eventId": (await told(vault, objectId=card["cardId"]))[0]["eventId"],
        "auditEventId": await sequenced(vault),
    }


async def spares(vault: Installation) -> dict[str, list[str]]:
    """Make some of each kind for what ends them."""
    cards = [await stored(vault, store(buyer=f"spare-{number}")) for number in range(2 * SPARES)]
    mandates = [await recorded(vault, consent(cardId=card["cardId"])) for card in cards[:SPARES]]
    payments = [await paid(vault, payment()) for _ in range(SPARES)]
    return {
        "referenceBuyerId": [card["referenceBuyerId"] for card in cards[:SPARES]],
        "cardId": [card["cardId"] for card in cards[SPARES:]],
        "mandateId": [mandate["mandateId"] for mandate in reversed(mandates)],
        "paymentId": [payment["paymentId"] for payment in payments],
        "endpointId": [(await endpoint(vault, "http://127.0.0.1:9/"))["endpointId"] for _ in range(SPARES)],
    }


@pytest.fixture
def environment(served: Installation, portal: BlockingPortal) -> dict[str, str]:
    """What the hooks and the settings of schemathesis are told."""
    return {
        "PYTHONPATH": str(HERE.parents[1]),
        "SCHEMATHESIS_API_KEY": served.tenants[0].api_key,
        "SCHEMATHESIS_KNOWN": json.dumps(portal.call(objects, served)),
        "SCHEMATHESIS_SPARE": json.dumps(portal.call(spares, served)),
    }


@pytest.mark.timeout(900)
@pytest.mark.parametrize("phases", ["coverage", "examples,fuzzing,stateful"])
def test_every_request_is_answered_as_described(
    phases: str, served: Installation, environment: dict[str, str], tmp_path: Path
) -> None:
    program = Path(sys.executable).with_name("schemathesis")
    where = ["--config-file", str(HERE / "schemathesis.toml"), "run", f"{served.api.base_url}/openapi.json"]
    accepted = tmp_path / "accepted"
    done = subprocess.run(
        [program, *where, "--phases", phases],
        cwd=tmp_path,
        env=os.environ | environment | {"SCHEMATHESIS_ACCEPTED": str(accepted)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = (done.stdout + done.stderr).replace(VISA_CANARY, "<number>").replace(CVV_CANARY, "<code>")
    assert done.returncode == 0, said
    assert leaks_in_folder(tmp_path, text=True) == []
    if "fuzzing" in phases:
        assert operations(served.app.openapi()) - set(accepted.read_text().splitlines()) == NEVER_ACCEPTED


def operations(document: dict[str, Any]) -> set[str]:
    """Name the operations of a document."""
    return {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}

"""What schemathesis cannot know from the OpenAPI document: objects that exist, and card data that could be real.

It is loaded by schemathesis, in a process of its own. Card data are the canaries: no answer may hold them.
"""

import itertools
import json
import os
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, GenerationMode, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.generation.meta import TestPhase
from schemathesis.openapi.checks import RejectedPositiveData

from tests.canary import CVV_CANARY, VISA_CANARY, assert_clean

# Objects that stay, by the names of the members that refer to them, and others to be ended.
KNOWN: dict[str, str] = json.loads(os.environ["SCHEMATHESIS_KNOWN"])
SPARE: dict[str, Iterator[str]] = {
    name: iter(ids) for name, ids in json.loads(os.environ["SCHEMATHESIS_SPARE"]).items()
}

# What has to fit together, or to be true at the time, is beyond a schema that a person could read.
BEYOND_A_SCHEMA = {"buyer_absent", "buyer_required", "contradictory", "expiry_incomplete", "gateway_storage_only"}
FOR_THE_GATEWAY = {
    "vaultingRequestId", "paymentRedirectUrl", "env", "merchantRegion", "is3DSAuthentication",
    "enableAuthenticationUpgrade", "mpiData", "extraVerification",
}  # fmt: skip
DEPENDENT = {
    "/consent/acceptedAt", "/imported/authenticatedAt", "/mpiData/dsTransactionId", "/paymentSessionExpiryTime", "/validUntil",
}  # fmt: skip
_numbers = itertools.count()
_accepted: set[str] = set()


@schemathesis.hook
def before_load_schema(context: HookContext, raw_schema: dict[str, Any]) -> None:
    """Let two currencies stand for all: each value of a closed list would be tried wherever it may occur."""
    for schema in raw_schema["components"]["schemas"].values():
        for field in schema.get("properties", {}).values():
            if "EUR" in field.get("enum", ()):
                field["enum"] = ["EUR", "JPY"]


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Complete a request that is meant to be good; examples, and every second one of the rest, so that it succeeds."""
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    number = next(_numbers)
    known = number % 2 == 1 or case.meta.phase.name is TestPhase.EXAMPLES
    case.query.pop("cursor", None)
    ends = case.method == "DELETE" or case.path.endswith("/cancel")
    for name, value in case.path_parameters.items():
        if ends and (known or value in KNOWN.values()):
            case.path_parameters[name] = next(SPARE.get(name, iter(())), "nothing")
        elif known:
            case.path_parameters[name] = KNOWN.get(name, value)
    if isinstance(case.body, dict):
        case.body = plausible(case.body, likely(number) if known else {})


def likely(number: int) -> dict[str, Any]:
    """Give what a body may refer to or ask for, under ids that were not used before."""
    ids = ("paymentRequestId", "captureRequestId", "refundRequestId", "vaultingRequestId")
    new = dict.fromkeys(ids, f"made-{number}")
    cent = {name: {"currency": "EUR", "value": "1"} for name in ("captureAmount", "refundAmount")}
    times = dict.fromkeys(("paymentSessionExpiryTime", "paymentExpiryTime", "validFrom", "validUntil"))
    kinds = {"storage": "VAULT", "recurringType": "UNSCHEDULED", "url": "https://shop.example/hook"}
    return {**KNOWN, **new, **cent, **times, **kinds}


def plausible(body: dict[str, Any], likely: dict[str, Any]) -> dict[str, Any]:
    """Put card data that could be real, and what is likely to succeed, in place of what only looks like it."""
    made: dict[str, Any] = real(body)
    made |= {name: value for name, value in likely.items() if body.get(name) is not None}
    if made.get("storage") == "VAULT" and likely:
        made["card"].pop("cvv", None)
        made = {name: value for name, value in made.items() if name not in FOR_THE_GATEWAY}
    ways = [name for name in ("cardId", "card", "mandateId") if made.get(name) is not None]
    contradictory = {*ways[1:], "storeCard"} if likely and len(ways) > 1 else set()
    return {name: value for name, value in made.items() if name not in contradictory}


def real(value: Any) -> Any:
    """Put numbers, codes and years that a card can have in place of those that only look like it."""
    if isinstance(value, list):
        return [real(each) for each in value]
    if not isinstance(value, dict):
        return value
    made = {name: real(each) for name, each in value.items()}
    card = {"cardNo": VISA_CANARY, "cvv": CVV_CANARY, "expiryYear": "39"}
    return made | {name: each for name, each in card.items() if made.get(name) is not None}


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Let a good request be refused for what no schema says: the state of things, or how members fit together."""
    if not isinstance(failure, RejectedPositiveData):
        return True
    problem = response.json()
    if problem["code"] == "request_invalid":
        return any(
            each["code"] not in BEYOND_A_SCHEMA and each["pointer"] not in DEPENDENT for each in problem["errors"]
        )
    return problem["status"] not in {410, 422}


@schemathesis.hook
def after_call(context: HookContext, case: Case[Any], response: Response) -> None:
    """Note which operations were accepted."""
    if response.status_code < HTTPStatus.BAD_REQUEST and f"{case.method} {case.path}" not in _accepted:
        _accepted.add(f"{case.method} {case.path}")
        Path(os.environ["SCHEMATHESIS_ACCEPTED"]).write_text("\n".join(_accepted))


@schemathesis.check
def no_card_data_in_answers(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """Fail where an answer holds a canary."""
    assert_clean(response.content, "the answer")
    assert_clean(json.dumps(dict(response.headers)), "the answer's headers")

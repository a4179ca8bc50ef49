"""The ways to misbehave on request, and the amounts that ask for them without a request.

Parses `DECLINE:DO_NOT_HONOR+SLOW:500` into one value. Refuses to know how any of it is carried out.
Invariant: every name here is documented in docs/sandbox.md, and two that contradict each other never combine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from ops.sandbox.results import RawDecline, Status, status_of

RAW = re.compile(r"[A-Z0-9]{1,8}")
MOST_RAW = 2
CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
LONGEST_DELAY_MS = 600_000


class ScenarioUnknown(ValueError):
    """A scenario text that names nothing this sandbox can do; the message is for the person who wrote it."""


class Fault(StrEnum):
    """How the answer to a request is spoilt."""

    LOST_ANSWER = "LOST_ANSWER"
    RESET = "RESET"
    BAD_SIGNATURE = "BAD_SIGNATURE"
    UNSIGNED = "UNSIGNED"
    HTTP_500 = "HTTP_500"
    RATE_LIMIT = "RATE_LIMIT"


class Notifying(StrEnum):
    """How the notifications of a payment depart from one, after the answer, until acknowledged."""

    NO_NOTIFICATION = "NO_NOTIFICATION"
    DUPLICATE_NOTIFICATIONS = "DUPLICATE_NOTIFICATIONS"
    NOTIFY_FIRST = "NOTIFY_FIRST"


class Redirect(StrEnum):
    """How the buyer is sent to a page: by an address, by a form, or by links for an app alone."""

    URL = "URL"
    GET = "GET"
    POST = "POST"
    APP = "APP"


NOT_CHARGED = frozenset({Fault.RESET, Fault.RATE_LIMIT})


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is to go differently for one request; the empty one is honest."""

    decline: str | None = None
    issuer_says: RawDecline | None = None
    require_3ds: bool = False
    redirect: Redirect = Redirect.GET
    late_success: bool = False
    slow_ms: int = 0
    fault: Fault | None = None
    notifying: frozenset[Notifying] = frozenset()


HONEST = Scenario()


def parse_scenario(text: str) -> Scenario:
    """Read scenario names joined by `+`; raise `ScenarioUnknown` for anything unknown, doubled or contradictory."""
    scenario = HONEST
    names = text.split("+")
    for name in names:
        scenario = _add(scenario, name)
    if len({name.partition(":")[0] for name in names}) != len(names):
        raise ScenarioUnknown("a scenario is named twice")
    if Notifying.NO_NOTIFICATION in scenario.notifying and len(scenario.notifying) > 1:
        raise ScenarioUnknown("NO_NOTIFICATION contradicts the other notification scenarios")
    return scenario


def _add(scenario: Scenario, name: str) -> Scenario:
    word, colon, argument = name.partition(":")
    if word == "DECLINE":
        code, *raw = argument.split(":")
        return replace(scenario, decline=_decline(code), issuer_says=_issuer_says(raw))
    if word == "SLOW":
        return replace(scenario, slow_ms=_delay(argument))
    if word == "REDIRECT":
        return replace(scenario, redirect=_redirect(argument))
    if colon:
        raise ScenarioUnknown("only DECLINE, SLOW and REDIRECT take an argument")
    return _add_plain(scenario, word)


def _add_plain(scenario: Scenario, word: str) -> Scenario:
    if word == "REQUIRE_3DS":
        return replace(scenario, require_3ds=True)
    if word == "LATE_SUCCESS":
        return replace(scenario, late_success=True)
    if word in Notifying.__members__:
        return replace(scenario, notifying=scenario.notifying | {Notifying(word)})
    if word not in Fault.__members__:
        raise ScenarioUnknown(f"unknown scenario; known are {', '.join(NAMES)}")
    if scenario.fault is not None:
        raise ScenarioUnknown("one answer cannot go wrong in two ways")
    return replace(scenario, fault=Fault(word))


def _decline(code: str) -> str:
    if not CODE.fullmatch(code) or status_of(code) is not Status.FAILURE:
        raise ScenarioUnknown("DECLINE takes a result code that means failure, as in DECLINE:DO_NOT_HONOR")
    return code


def _issuer_says(raw: Sequence[str]) -> RawDecline | None:
    if not raw:
        return None
    if len(raw) > MOST_RAW or not all(RAW.fullmatch(code) for code in raw):
        raise ScenarioUnknown("the issuer's code and the scheme's advice follow, as in DECLINE:DO_NOT_HONOR:05:03")
    return RawDecline(raw[0], "As armed", *raw[1:])


def _delay(milliseconds: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", milliseconds) or int(milliseconds) > LONGEST_DELAY_MS:
        raise ScenarioUnknown("SLOW takes milliseconds up to 600000, as in SLOW:1500")
    return int(milliseconds)


def _redirect(form: str) -> Redirect:
    if form not in Redirect.__members__:
        raise ScenarioUnknown(f"REDIRECT takes one of {', '.join(Redirect)}, as in REDIRECT:POST")
    return Redirect(form)


NAMES = ("DECLINE:<resultCode>", "REQUIRE_3DS", "REDIRECT:<form>", "LATE_SUCCESS", "SLOW:<ms>", *Fault, *Notifying)

# An amount whose value ends with one of these asks for the scenario; the last two digits follow ISO 8583.
MAGIC_AMOUNTS: Mapping[str, Scenario] = {
    ending: parse_scenario(text)
    for ending, text in {
        "9990004": "DECLINE:PICKUP_CARD",
        "9990005": "DECLINE:DO_NOT_HONOR",
        "9990014": "DECLINE:INVALID_CARD_NUMBER",
        "9990041": "DECLINE:LOST_CARD",
        "9990043": "DECLINE:STOLEN_CARD",
        "9990046": "DECLINE:ACCOUNT_CLOSED",
        "9990051": "DECLINE:USER_BALANCE_NOT_ENOUGH",
        "9990054": "DECLINE:CARD_EXPIRED",
        "9990059": "DECLINE:FRAUD_REJECT",
        "9990061": "DECLINE:PAYMENT_AMOUNT_EXCEED_LIMIT",
        "9990062": "DECLINE:RESTRICTED_CARD",
        "9990065": "REQUIRE_3DS",
        "9990068": "LATE_SUCCESS",
        "9990082": "DECLINE:INVALID_CVV",
        "9990091": "SLOW:5000",
        "9990096": "DECLINE:PROCESS_FAIL",
    }.items()
}
MAGIC_ENDING = 7


def magic_scenario(value: str) -> Scenario:
    """Return what the ending of an amount asks for, the honest scenario for ordinary amounts."""
    return MAGIC_AMOUNTS.get(value[-MAGIC_ENDING:], HONEST)

"""Traces: what goes on, what is dropped, and what the next system is told (API-6)."""

import re
from collections.abc import Iterator
from uuid import UUID

import pytest

from tests.canary import VISA_CANARY
from vault import trace
from vault.pan_detector import contains_pan

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    yield
    assert trace.current() is None


def passed_on(parent: str = PARENT, state: str = "") -> dict[str, str]:
    token = trace.begin(parent, state)
    try:
        return trace.outgoing()
    finally:
        trace.end(token)


def test_a_callers_trace_goes_on_in_a_span_of_its_own() -> None:
    told = passed_on()
    assert told.keys() == {"traceparent"}
    found = re.fullmatch(rf"00-{TRACE}-([0-9a-f]{{16}})-01", told["traceparent"])
    assert found is not None
    assert found[1] != "b7ad6b7169203331"


@pytest.mark.parametrize("parent", ["", "00-0-0-00", f"00-{VISA_CANARY}abcdefabcdefabcd-b7ad6b7169203331-01"])
def test_what_is_no_parent_begins_a_trace_without_its_state(parent: str) -> None:
    told = passed_on(parent, "vendor=1")
    assert told.keys() == {"traceparent"}
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", told["traceparent"])
    assert VISA_CANARY not in told["traceparent"]


@pytest.mark.parametrize("state", ["vendor=1", "a=1,b=2", "x=" + "y" * 510, ",".join(f"v{n}=1" for n in range(32))])
def test_a_state_goes_on_with_its_parent(state: str) -> None:
    assert passed_on(PARENT, state)["tracestate"] == state


@pytest.mark.parametrize(
    "state",
    ["", "no member", "x=" + "y" * 511, ",".join(f"v{n}=1" for n in range(33)), f"card={VISA_CANARY}", "a=1\r\nb: 2"],
)
def test_a_state_that_may_not_go_on_is_dropped(state: str) -> None:
    assert "tracestate" not in passed_on(PARENT, state)


def test_outside_of_a_request_there_is_no_trace() -> None:
    assert (trace.trace_id(), trace.outgoing()) == ("", {})


def test_ids_of_ours_have_no_long_run_of_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vault.trace.os.urandom", lambda octets: bytes.fromhex((VISA_CANARY * 2)[: 2 * octets]))
    token = trace.begin()
    told = trace.outgoing()["traceparent"]
    trace.end(token)
    assert max(map(len, re.split("[^0-9]", told))) <= 7
    assert not contains_pan(told)


def test_what_is_sent_again_stays_in_its_trace() -> None:
    event = UUID("019a3b1c-2d3e-7f40-8a5b-6c7d8e9fa0b1")
    assert {trace.of(event).headers()["traceparent"].split("-")[1] for _ in range(2)} == {event.hex}
    assert trace.of(UUID(hex=VISA_CANARY + "a" * 16)).trace_id[:16] != VISA_CANARY

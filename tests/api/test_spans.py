"""Spans at a collector: what is sent, how it joins up, what it never holds, and a collector that is away (API-6, T-36)."""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.api.gateway import SUCCESS, Puppet
from tests.api.shop import Sql, paid, payment
from tests.canary import VISA_CANARY, assert_clean
from tests.collector import Collector, collecting, facts
from tests.installation import Blueprint, Installation, installed, settings_for
from vault import spans
from vault.collecting import spans_collected
from vault.settings import SettingsInvalid

pytestmark = pytest.mark.anyio
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
NOWHERE = "http://127.0.0.1:9"
LIBRARIES = ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto", "vault.spans")
LOADED = f"import sys, ops.serving, ops.working; print(*[name for name in sys.modules if name.startswith({LIBRARIES})])"
Traced: TypeAlias = Callable[[str, float], AbstractAsyncContextManager[Installation]]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
def traced(blueprint: Blueprint, onboarded_url: str, puppet: Puppet) -> Traced:
    """A vault before the puppet that sends spans; all of them have been sent when it has ended."""
    puppet.says("pay", {"result": SUCCESS})

    @asynccontextmanager
    async def opened(url: str, share: float) -> AsyncIterator[Installation]:
        changes = {"gateway_url": puppet.url, "otlp_url": url, "otlp_share": share}
        async with installed(blueprint, onboarded_url, **changes) as vault:
            yield vault

    return opened


def by_kind(spans: list[Span]) -> dict[int, Span]:
    assert len(spans) == len({span.kind for span in spans})
    return {span.kind: span for span in spans}


async def test_a_callers_trace_goes_through_the_vault_to_the_gateway(
    traced: Traced, collector: Collector, puppet: Puppet
) -> None:
    async with traced(collector.url, 0.0) as vault:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "order-77"}
        answer = await vault.api.post("/v1/payments", json=payment(), headers=headers)
        assert answer.status_code == 201
    found = by_kind(collector.spans)
    ours, theirs = found[Span.SPAN_KIND_SERVER], found[Span.SPAN_KIND_CLIENT]
    assert {span.trace_id.hex() for span in (ours, theirs)} == {TRACE}
    assert ours.parent_span_id.hex() == PARENT
    assert theirs.parent_span_id == ours.span_id
    assert puppet.parents == [f"00-{TRACE}-{theirs.span_id.hex()}-01"]
    assert ours.start_time_unix_nano <= theirs.start_time_unix_nano < theirs.end_time_unix_nano
    assert theirs.end_time_unix_nano <= ours.end_time_unix_nano
    assert (ours.name, theirs.name) == ("POST /v1/payments", "gateway pay")
    assert facts(ours) == {
        "http.request.method": "POST",
        "http.route": "/v1/payments",
        "http.response.status_code": 201,
        "cardvault.request_id": "order-77",
    }
    assert facts(theirs) == {"cardvault.gateway.operation": "pay", "cardvault.gateway.outcome": "answered"}


async def test_what_callers_write_is_in_no_span(traced: Traced, collector: Collector) -> None:
    async with traced(collector.url, 1.0) as vault:
        await paid(vault, payment(storeCard="BOTH", number=VISA_CANARY))
        await vault.api.get(f"/v1/cards/{VISA_CANARY}", params={"cursor": VISA_CANARY})
        await vault.api.get(f"/{VISA_CANARY}", headers={"x-request-id": VISA_CANARY, "user-agent": VISA_CANARY})
        await vault.api.post("/v1/payments", json={VISA_CANARY: VISA_CANARY})
    assert len(collector.spans) == 5
    for body in collector.bodies:
        assert_clean(body, "a span")
    secret = vault.tenants[0].api_key.encode()
    assert not any(secret in body for body in collector.bodies)


@pytest.mark.parametrize(("share", "flags"), [(0.0, "00"), (1.0, "01")])
async def test_of_traces_that_begin_here_a_share_is_sampled(
    traced: Traced, collector: Collector, puppet: Puppet, share: float, flags: str
) -> None:
    async with traced(collector.url, share) as vault:
        await paid(vault, payment())
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
        assert (await vault.api.post("/v1/payments", json=payment(), headers=headers)).status_code == 201
    assert len(collector.spans) == 2 * int(share), "whoever began a trace has decided"
    assert [parent[-2:] for parent in puppet.parents] == [flags, "00"]


async def test_a_call_that_nobody_asked_for_is_a_trace_of_its_own(
    traced: Traced, collector: Collector, puppet: Puppet, sql: Sql
) -> None:
    """A worker's inquiry, for example."""
    puppet.says("pay", {"result": {"resultCode": "UNKNOWN_EXCEPTION", "resultStatus": "U"}, "paymentId": None})
    puppet.says("inquiryPayment", {"result": SUCCESS})
    async with traced(collector.url, 1.0) as vault:
        await paid(vault, payment(), status=202)
        await sql.change("update vault.payment_inquiry set next_at = now()")
        await vault.work()
    asked = {span.name: span for span in collector.spans}
    inquiry = asked["gateway inquiryPayment"]
    assert inquiry.parent_span_id == b""
    assert inquiry.trace_id != asked["gateway pay"].trace_id
    assert puppet.parents[-1] == f"00-{inquiry.trace_id.hex()}-{inquiry.span_id.hex()}-01"


async def test_a_call_that_fails_says_why(blueprint: Blueprint, onboarded_url: str, collector: Collector) -> None:
    changes = {"gateway_url": NOWHERE, "otlp_url": collector.url, "otlp_share": 1.0}
    async with installed(blueprint, onboarded_url, **changes) as vault:
        await paid(vault, payment())
    call = by_kind(collector.spans)[Span.SPAN_KIND_CLIENT]
    assert call.status.code == Status.STATUS_CODE_ERROR
    assert facts(call)["cardvault.gateway.outcome"] == "not_sent"
    assert facts(call)["cardvault.gateway.reason"] == "connect_failed"


@pytest.mark.parametrize("away", ["away", ""])
async def test_a_collector_that_does_not_take_spans_holds_nobody_up(
    traced: Traced, collector: Collector, monkeypatch: pytest.MonkeyPatch, away: str
) -> None:
    monkeypatch.setattr(spans, "_PATIENCE", 0.1)
    collector.status = 503
    async with traced(NOWHERE if away else collector.url, 1.0) as vault:
        await paid(vault, payment())


def test_without_a_collector_nothing_of_it_is_loaded() -> None:
    told = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == ""


def test_missing_libraries_are_named(blueprint: Blueprint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vault.spans", None)
    settings = settings_for(blueprint.folder, "postgresql://127.0.0.1/vault", otlp_url=NOWHERE)
    with (
        pytest.raises(SettingsInvalid, match=r"CARDVAULT_OTLP_URL: .* install cardvault\[otel\]"),
        spans_collected(settings),
    ):
        pass

"""Sends spans to an OpenTelemetry collector over OTLP/HTTP; loaded only where a collector is named (ADR 0039).

It refuses to know what work is, and takes of a span's facts only those listed here. Invariants: collecting never waits,
whatever the collector does: what does not fit in memory is dropped; ids are the traces' own, so that what callers and
the gateway send joins up.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from vault import trace
from vault.trace import Side, Span

_PATH: Final = "/v1/traces"
_PATIENCE: Final = 3.0  # seconds, for a batch, and for all that is left at the end
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_KINDS: Final = {Side.SERVER: SpanKind.SERVER, Side.CLIENT: SpanKind.CLIENT}
# What is not listed here leaves nobody's memory; the names are those of OpenTelemetry's conventions where it has one.
_ATTRIBUTES: Final = {
    "method": "http.request.method",
    "route": "http.route",
    "status": "http.response.status_code",
    "request_id": "cardvault.request_id",
    "operation": "cardvault.gateway.operation",
    "outcome": "cardvault.gateway.outcome",
    "reason": "cardvault.gateway.reason",
}
_SCOPE: Final = InstrumentationScope("cardvault")


@contextmanager
def exported(url: str, share: float) -> Iterator[None]:
    """Send this process's spans to the collector at `url`, of traces that begin here a `share`.

    What else the exporter can be told (headers, a certificate authority) it reads from `OTEL_EXPORTER_OTLP_*`.
    """
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)  # it warns of each span that it drops
    resource = Resource.create({"service.name": "cardvault", "service.version": version("cardvault")})
    processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=url + _PATH, timeout=_PATIENCE))
    try:
        with trace.collected(lambda span: processor.on_end(_readable(span, resource)), share):
            yield
    finally:
        _ended(processor)


def _ended(processor: BatchSpanProcessor) -> None:
    """Send what is left, in a thread that nobody waits for any longer than is reasonable."""
    ending = threading.Thread(target=processor.shutdown, daemon=True)
    ending.start()
    ending.join(_PATIENCE)


def _readable(span: Span, resource: Resource) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace_id, span.span_id, is_remote=False),
        parent=_context(span.trace_id, span.parent_id, is_remote=span.side is Side.SERVER) if span.parent_id else None,
        resource=resource,
        attributes={_ATTRIBUTES[name]: fact for name, fact in span.facts.items() if name in _ATTRIBUTES and fact},
        kind=_KINDS[span.side],
        status=Status(StatusCode.ERROR if span.failed else StatusCode.UNSET),
        start_time=span.began,
        end_time=span.ended,
        instrumentation_scope=_SCOPE,
    )


def _context(trace_id: str, span_id: str, *, is_remote: bool) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=is_remote, trace_flags=_SAMPLED)

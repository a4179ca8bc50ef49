"""What this process counts, under names that dashboards and alerts hold on to.

It refuses to know who counts and who asks. Invariants: a label's values are a closed set of ours (a route's template,
never a path), so that no card number, token or id can be one; counting never fails and never waits. With
`PROMETHEUS_MULTIPROC_DIR` in the environment before this module is imported, the processes of a server count into
files of that folder, and each of them can tell the sum (ADR 0033).
"""

import os
from functools import lru_cache
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
OWN: Final = CollectorRegistry()

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_requests: Final = Counter(
    "cardvault_http_requests", "Requests that were answered", ("method", "route", "status"), registry=OWN
)
_request_seconds: Final = Histogram(
    "cardvault_http_request_seconds", "Time to the end of an answer", ("route",), buckets=_SECONDS, registry=OWN
)
_gateway_calls: Final = Counter(
    "cardvault_gateway_calls", "Calls to the gateway", ("operation", "outcome", "reason"), registry=OWN
)
_gateway_seconds: Final = Histogram(
    "cardvault_gateway_call_seconds", "Time that a call to the gateway took", ("operation",), buckets=_SECONDS,
    registry=OWN,
)  # fmt: skip
_payment_states: Final = Counter("cardvault_payment_states", "Payments that came to a state", ("state",), registry=OWN)
_limited: Final = Counter("cardvault_requests_limited", "Requests over a limit", ("limit",), registry=OWN)
_card_testing: Final = Counter(
    "cardvault_card_testing", "Requests that were slowed or stopped as card testing", ("action",), registry=OWN
)
_webhooks: Final = Counter("cardvault_webhook_attempts", "Attempts to deliver an event", ("outcome",), registry=OWN)
_rounds: Final = Counter("cardvault_worker_rounds", "Rounds of the worker's loops", ("loop", "outcome"), registry=OWN)
_pool: Final = Gauge(
    "cardvault_pool_connections", "Places of the pools of database connections", ("state",), registry=OWN,
    multiprocess_mode="livesum",
)  # fmt: skip
_pool_waits: Final = Counter("cardvault_pool_waits", "Users that had to wait for a connection", registry=OWN)
_pool_timeouts: Final = Counter("cardvault_pool_timeouts", "Users that waited in vain", registry=OWN)

# Finding a label's counter costs more than counting; the sets are closed, so these stay small.
_request = lru_cache(maxsize=4096)(_requests.labels)
_request_time = lru_cache(maxsize=512)(_request_seconds.labels)
_gateway_call = lru_cache(maxsize=512)(_gateway_calls.labels)
_gateway_time = lru_cache(maxsize=64)(_gateway_seconds.labels)
_payment_state = lru_cache(maxsize=16)(_payment_states.labels)


def count_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count an answer; `route` is the template, `status` 0 where there was none."""
    _request(method, route, status).inc()
    _request_time(route).observe(seconds)


def count_gateway_call(operation: str, outcome: str, reason: str, seconds: float) -> None:
    """Count a call: `answered`, `not_sent` or `unknown`, and why."""
    _gateway_call(operation, outcome, reason).inc()
    _gateway_time(operation).observe(seconds)


def count_payment(state: str) -> None:
    """Count a payment that has come to a state."""
    _payment_state(state).inc()


def count_limited(limit: str) -> None:
    """Count a request over a limit."""
    _limited.labels(limit).inc()


def count_card_testing(action: str) -> None:
    """Count a request that is taken for card testing: `slowed` or `stopped`."""
    _card_testing.labels(action).inc()


def count_webhook(outcome: str) -> None:
    """Count an attempt to deliver an event."""
    _webhooks.labels(outcome).inc()


def count_round(loop: str, *, failed: bool) -> None:
    """Count a round of a worker's loop."""
    _rounds.labels(loop, "failed" if failed else "done").inc()


def count_pool_wait() -> None:
    """Count somebody who waits for a connection."""
    _pool_waits.inc()


def count_pool_timeout() -> None:
    """Count somebody who waited in vain."""
    _pool_timeouts.inc()


def show_pool(**places: int) -> None:
    """Note how many places of the pools are in each state."""
    for state, count in places.items():
        _pool.labels(state).set(count)


def text_of_processes(folder: Path | None = None) -> bytes:
    """Write what this process, or with a folder all that share it, have counted (Prometheus text format 0.0.4)."""
    shared = folder or (Path(os.environ[FOLDER]) if FOLDER in os.environ else None)
    if shared is None:
        return generate_latest(OWN)
    _forget_gauges_of_the_dead(shared)
    everybody = CollectorRegistry()
    MultiProcessCollector(everybody, path=str(shared))  # type: ignore[no-untyped-call]  # the library's
    return generate_latest(everybody)


def _forget_gauges_of_the_dead(folder: Path) -> None:
    """Take away what processes that are gone would still be holding; what they counted stays."""
    for file in folder.glob("gauge_live*_*.db"):
        try:
            os.kill(int(file.stem.rpartition("_")[2]), 0)
        except ProcessLookupError:
            file.unlink(missing_ok=True)
        except PermissionError:  # it is alive, and somebody else's
            continue

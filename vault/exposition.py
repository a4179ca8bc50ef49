"""What monitoring is told: what the processes counted, how work stands in the database, and whether all works.

It refuses to know HTTP. Invariants: who asks from elsewhere than the networks of the settings is told nothing; without
a database the processes' own figures go out all the same (design section 4, `/metrics`).
"""

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from vault import metrics
from vault.db import StatementFailed
from vault.errors import DatabaseUnavailable
from vault.health import examine
from vault.reachable import within
from vault.services import Services
from vault.settings import Settings
from vault.store.standing import Figure, standing

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_FORWARDED: Final = frozenset({b"forwarded", b"x-forwarded-for", b"via"})


class _Once(Collector):
    """Figures that were just asked for."""

    def __init__(self, families: Iterable[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> Iterable[GaugeMetricFamily]:
        return self._families


def may_ask(settings: Settings, address: str, headers: Mapping[bytes, bytes]) -> bool:
    """Tell whether monitoring may be told something at this address, which a proxy must not lend to its callers."""
    if not settings.trusted_proxies and not _FORWARDED.isdisjoint(headers):
        return False
    return within(address, settings.metrics_networks)


async def exposition(services: Services) -> bytes:
    """Write all figures in Prometheus' text format 0.0.4."""
    health = await examine(services.database, services.keyring)
    ready = GaugeMetricFamily("cardvault_ready", "Whether a part works, as /readyz says", labels=("part",))
    for part, works in health.parts.items():
        ready.add_metric((part,), works)
    asked = CollectorRegistry()
    asked.register(_Once([ready, *map(_family, await _figures(services) if health.database else ())]))
    return metrics.text_of_processes() + generate_latest(asked)


async def _figures(services: Services) -> Iterable[Figure]:
    try:
        async with services.database.session() as session:
            return await standing(session)
    except (DatabaseUnavailable, StatementFailed):
        return ()


def _family(figure: Figure) -> GaugeMetricFamily:
    question = figure.question
    family = GaugeMetricFamily(question.name, question.said, labels=(question.label,) if question.label else ())
    for label, value in figure.values.items():
        family.add_metric((label,) if question.label else (), value)
    return family

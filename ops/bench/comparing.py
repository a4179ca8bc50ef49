"""Runs a plan: the vault and its limit in turns, then the vault on databases of different sizes in turns.

It refuses to know how figures are shown. Invariants: what is compared is measured in the same round, one after the
other, and every other round begins with the other one; rounds go around all kinds of requests, so that a clock that
drifts reaches all of them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from ops.bench.layers import sampled_parts
from ops.bench.measuring import Meter, Sample
from ops.bench.plan import Case, Plan
from ops.bench.queries import pages_by_case
from ops.bench.site import Server, Site

Step = Callable[[str], None]
_LOOKS: Final = 4


@dataclass(frozen=True, slots=True)
class Pair:
    """The vault and its limit, measured one after the other."""

    limit: Sample
    product: Sample

    @property
    def rate_ratio(self) -> float:
        """The part of the limit's rate that the vault reaches."""
        return self.product.rate / self.limit.rate

    @property
    def cpu_ratio(self) -> float:
        """The part of the vault's processor time that the limit would have needed."""
        return self.limit.cpu_us / self.product.cpu_us


@dataclass(frozen=True, slots=True)
class Comparison:
    """The rounds of one kind of request with so many server processes; `direct` is the gateway called without any.

    `kept` is the limit of a payment with the two writes that a vault cannot do without.

    `layers` are parts of the vault's processor time, looked at where there is one process.
    """

    case: Case
    processes: int
    pairs: list[Pair] = field(default_factory=list)
    direct: list[Sample] = field(default_factory=list)
    kept: list[Sample] = field(default_factory=list)
    layers: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Growth:
    """The rounds of one kind of request on a database with so many cards, and the pages that its query looks at."""

    case: Case
    cards: int
    pages: float
    samples: list[Sample] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that was measured."""

    comparisons: list[Comparison]
    growth: list[Growth]
    limited: list[Comparison]


def carry_out(plan: Plan, site: Site, step: Step) -> Outcome:
    """Carry a plan out; `step` is told before each part what is done."""
    with Meter(site, plan) as meter:
        return Outcome(
            _beside_the_limit(plan, site, meter, step),
            _by_size(plan, site, meter, step),
            _counted(plan, site, meter, step),
        )


def _beside_the_limit(plan: Plan, site: Site, meter: Meter, step: Step) -> list[Comparison]:
    if not plan.processes:
        return []
    step(f"storing {plan.cards:,} cards")
    site.make_database("pairs", plan.cards, limit=True)
    found = []
    for processes in plan.processes:
        comparisons = [Comparison(case, processes) for case in plan.cases]
        step(f"starting servers with {processes} processes each")
        with _running(site, meter, plan, _start_pair(plan, site, processes)) as servers:
            for number in range(plan.rounds):
                for comparison in comparisons:
                    step(f"{comparison.case.route}, {processes} processes, round {number + 1}")
                    _compare(comparison, site, meter, servers, turned=bool(number % 2))
            if processes == 1:
                for comparison in comparisons:
                    step(f"{comparison.case.route}, where the time goes")
                    _look_inside(comparison, site, meter, servers[0])
        found += comparisons
    return found


def _start_pair(plan: Plan, site: Site, processes: int) -> list[Server]:
    """Start the vault and its limit; a vault of one process so that it can be sampled."""
    limit = site.start_limit("pairs", plan.cards, processes)
    if processes == 1:
        return [site.start_sampled("pairs", plan.cards), limit]
    return [site.start_product("pairs", plan.cards, processes), limit]


def _look_inside(comparison: Comparison, site: Site, meter: Meter, product: Server) -> None:
    """Note where the vault's time goes, over a few measurements that count for nothing else."""

    def work() -> None:
        for _ in range(_LOOKS):
            meter.measure(comparison.case, product)

    comparison.layers.update(sampled_parts(product, site.stacks, work))


def _compare(comparison: Comparison, site: Site, meter: Meter, servers: list[Server], *, turned: bool) -> None:
    """Add one round; `turned` lets the vault begin."""
    comparison.pairs.append(_pair(comparison.case, meter, servers, turned=turned))
    if comparison.case is Case.PAY:
        comparison.direct.append(meter.measure(Case.DIRECT, site.gateway))
        comparison.kept.append(meter.measure(Case.KEPT, servers[1]))


def _pair(case: Case, meter: Meter, servers: list[Server], *, turned: bool) -> Pair:
    product, limit = servers
    order = (product, limit) if turned else (limit, product)
    samples = {id(server): meter.measure(case, server) for server in order}
    return Pair(samples[id(limit)], samples[id(product)])


def _counted(plan: Plan, site: Site, meter: Meter, step: Step) -> list[Comparison]:
    """Measure the vault with its limits on, under quotas that are never reached, beside itself with them off."""
    if not plan.limited:
        return []
    step(f"storing {plan.cards:,} cards")
    site.make_database("counted", plan.cards, limit=False)
    processes = max(plan.processes, default=1)
    found = [Comparison(case, processes) for case in plan.cases]
    step("starting servers with limits and without")
    pair = [site.start_product("counted", plan.cards, processes, limits=limits) for limits in (True, False)]
    with _running(site, meter, plan, pair) as servers:
        for number in range(plan.rounds):
            for comparison in found:
                step(f"{comparison.case.route} with limits and without, round {number + 1}")
                comparison.pairs.append(_pair(comparison.case, meter, servers, turned=bool(number % 2)))
    return found


def _by_size(plan: Plan, site: Site, meter: Meter, step: Step) -> list[Growth]:
    """Measure the vault on databases of all sizes in turns, first what reads and then what stores."""
    if not plan.sizes:
        return []
    found = []
    for size in plan.sizes:
        step(f"storing {size:,} cards")
        site.make_database(f"cards{size}", size, limit=False)
    processes = max(plan.processes, default=1)
    step("starting a server for each size")
    with _running(
        site, meter, plan, [site.start_product(f"cards{size}", size, processes) for size in plan.sizes]
    ) as servers:
        pages = {size: pages_by_case(site.superuser_url(f"cards{size}"), site.shop, size) for size in plan.sizes}
        for case in plan.cases:
            growth = [Growth(case, size, pages[size][case]) for size in plan.sizes]
            for number in range(plan.size_rounds):
                step(f"{case.route} with growing numbers of cards, round {number + 1}")
                for entry, server in zip(growth, servers, strict=True):
                    entry.samples.append(meter.measure(case, server))
            found += growth
    return found


@contextmanager
def _running(site: Site, meter: Meter, plan: Plan, servers: list[Server]) -> Iterator[list[Server]]:
    """Have servers run and warm for a block."""
    site.await_ready(servers)
    for server in servers:
        meter.warm(server, plan.cases)
    site.refresh_statistics()
    yield servers
    site.stop(servers)

"""Turns samples into figures: least, median and most, as values for programs and as tables for people.

It refuses to know how samples came about. Invariant: a document keeps every byte outside the two marks.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final, Self

from ops.bench.comparing import Comparison, Growth, Outcome
from ops.bench.measuring import Sample
from ops.bench.plan import Plan
from ops.refusal import Refused

_BEGIN: Final = "<!-- figures: begin -->\n"
_END: Final = "<!-- figures: end -->\n"


@dataclass(frozen=True, slots=True)
class Spread:
    """Least, median and most of some values."""

    least: float
    median: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Sum values up."""
        known = list(values)
        return cls(min(known), median(known), max(known))

    def shown(self, pattern: str) -> str:
        """Write the median, and the others in brackets."""
        low, middle, high = (format(value, pattern) for value in (self.least, self.median, self.most))
        return f"{middle} ({low} to {high})"


@dataclass(frozen=True, slots=True)
class Grid:
    """A table with its heading."""

    title: str
    heading: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def as_values(plan: Plan, machine: dict[str, str], outcome: Outcome) -> dict[str, Any]:
    """Give everything that was measured, for programs."""
    return {
        "machine": machine,
        "plan": asdict(plan),
        "pairs": [
            {
                "request": comparison.case.route,
                "processes": comparison.processes,
                "aim": comparison.case.aim,
                "rateRatio": asdict(Spread.of(pair.rate_ratio for pair in comparison.pairs)),
                "cpuRatio": asdict(Spread.of(pair.cpu_ratio for pair in comparison.pairs)),
                "limit": _columns(pair.limit for pair in comparison.pairs),
                "vault": _columns(pair.product for pair in comparison.pairs),
                "direct": _columns(comparison.direct) if comparison.direct else None,
                "kept": _columns(comparison.kept) if comparison.kept else None,
                "layers": comparison.layers,
            }
            for comparison in outcome.comparisons
        ],
        "sizes": [
            {"request": entry.case.route, "cards": entry.cards, "pages": entry.pages, "vault": _columns(entry.samples)}
            for entry in outcome.growth
        ],
        "limited": [
            {
                "request": comparison.case.route,
                "processes": comparison.processes,
                "rateRatio": asdict(Spread.of(pair.rate_ratio for pair in comparison.pairs)),
                "cpuRatio": asdict(Spread.of(pair.cpu_ratio for pair in comparison.pairs)),
                "with": _columns(pair.product for pair in comparison.pairs),
                "without": _columns(pair.limit for pair in comparison.pairs),
            }
            for comparison in outcome.limited
        ],
    }


def _columns(samples: Iterable[Sample]) -> dict[str, Any]:
    known = [asdict(sample) | {"cpu_us": sample.cpu_us} for sample in samples]
    return {name: asdict(Spread.of(sample[name] for sample in known)) for name in known[0]}


def grids(outcome: Outcome) -> list[Grid]:
    """Give the tables."""
    found = []
    if outcome.comparisons:
        found += [_ratios(outcome.comparisons), _rates(outcome.comparisons)]
    if outcome.growth:
        found.append(_sizes(outcome.growth))
    if outcome.limited:
        found.append(_counted(outcome.limited))
    sampled = [comparison for comparison in outcome.comparisons if comparison.layers]
    return [*found, _layers(sampled)] if sampled else found


def _ratios(comparisons: Sequence[Comparison]) -> Grid:
    rows = []
    for comparison in comparisons:
        rates = Spread.of(pair.rate_ratio for pair in comparison.pairs)
        cpu = Spread.of(pair.cpu_ratio for pair in comparison.pairs)
        aim = str(comparison.case.aim)
        rows.append((comparison.case.route, str(comparison.processes), aim, rates.shown(".2f"), cpu.shown(".2f")))
    heading = ("request", "processes", "aim", "requests/s", "processor time")
    return Grid(
        "The vault's rate as a part of its limit's; the limit's processor time as a part of the vault's",
        heading,
        rows,
    )


def _rates(comparisons: Sequence[Comparison]) -> Grid:
    rows = []
    for comparison in comparisons:
        sides = {
            "limit": [pair.limit for pair in comparison.pairs],
            "vault": [pair.product for pair in comparison.pairs],
            "direct call": comparison.direct,
            "limit and two writes": comparison.kept,
        }
        for side, samples in sides.items():
            if samples:
                rows.append((comparison.case.route, str(comparison.processes), side, *_measured(samples)))
    return Grid(
        "What was measured, with the processor time of one request", ("request", "processes", "", *_MEASURED), rows
    )


_MEASURED: Final = (
    "requests/s",
    "µs server + database",
    "µs gateway",
    "µs load",
    "p50 ms",
    "p99 ms",
)


def _measured(samples: Sequence[Sample]) -> tuple[str, ...]:
    def middle(choose: Callable[[Sample], float]) -> float:
        return median(map(choose, samples))

    server, database = middle(lambda each: each.server_us), middle(lambda each: each.database_us)
    return (
        Spread.of(each.rate for each in samples).shown(".0f"),
        f"{server:.0f} + {database:.0f}",
        f"{middle(lambda each: each.gateway_us):.0f}",
        f"{middle(lambda each: each.load_us):.0f}",
        f"{middle(lambda each: each.median_ms):.1f}",
        f"{middle(lambda each: each.slowest_ms):.1f}",
    )


def _sizes(growth: Sequence[Growth]) -> Grid:
    rows = []
    for entry in growth:
        cpu = Spread.of(sample.cpu_us for sample in entry.samples).shown(".0f")
        rate, parts, *_ = _measured(entry.samples)
        rows.append((entry.case.route, f"{entry.cards:,}", cpu, parts, f"{entry.pages:.0f}", rate))
    heading = ("request", "stored cards", "µs of processor time", "µs server + database", "pages", "requests/s")
    return Grid("The vault with more and more stored cards", heading, rows)


def _counted(comparisons: Sequence[Comparison]) -> Grid:
    rows = []
    for comparison in comparisons:
        rates = Spread.of(pair.rate_ratio for pair in comparison.pairs)
        cpu = Spread.of(pair.cpu_ratio for pair in comparison.pairs)
        more = Spread.of(pair.product.cpu_us - pair.limit.cpu_us for pair in comparison.pairs)
        shown = (rates.shown(".2f"), cpu.shown(".2f"), more.shown("+.0f"))
        rows.append((comparison.case.route, str(comparison.processes), *shown))
    heading = ("request", "processes", "requests/s", "processor time", "µs more")
    return Grid("The vault with limits: its rate as a part of that without; without, its processor time", heading, rows)


def _layers(comparisons: Sequence[Comparison]) -> Grid:
    products = [[pair.product for pair in each.pairs] for each in comparisons]
    limits = [[pair.limit for pair in each.pairs] for each in comparisons]

    def middles(sides: Sequence[Sequence[Sample]], choose: Callable[[Sample], float]) -> list[float]:
        return [median(map(choose, samples)) for samples in sides]

    whole = middles(products, lambda each: each.server_us)
    rows = [
        (layer, [each.layers[layer] * server for each, server in zip(comparisons, whole, strict=True)])
        for layer in comparisons[0].layers
    ]
    rows += [
        ("the server in all", whole),
        ("PostgreSQL", middles(products, lambda each: each.database_us)),
        ("the limit's server", middles(limits, lambda each: each.server_us)),
        ("the limit's PostgreSQL", middles(limits, lambda each: each.database_us)),
    ]
    heading = ("µs of processor time for one request", *(each.case.route for each in comparisons))
    shown = [(name, *(f"{value:.0f}" for value in values)) for name, values in rows]
    return Grid("Where the time goes, one process", heading, shown)


def as_markdown(command: str, plan: Plan, machine: dict[str, str], tables: Sequence[Grid]) -> str:
    """Give the section of a document."""
    known = ", ".join(f"{name} {value}" for name, value in machine.items())
    how = (
        f"`{command}`: {plan.connections} connections, {plan.rounds} rounds of {plan.seconds:g} s each, "
        f"{plan.cards:,} stored cards; {plan.size_rounds} rounds for each number of cards. Measured on: {known}."
    )
    return "\n".join([how, *(line for table in tables for line in _lines(table)), ""])


def _lines(table: Grid) -> list[str]:
    rows = [table.heading, ("---",) * len(table.heading), *table.rows]
    return ["", f"**{table.title}**", "", *(f"| {' | '.join(row)} |" for row in rows)]


def write_section(document: Path, section: str) -> None:
    """Replace what is between the marks of a document; raises `Refused` where they are missing."""
    before, after = around_section(document)
    document.write_text(f"{before}\n{section}\n{after}")


def around_section(document: Path) -> tuple[str, str]:
    """Give what stands before and after the section, marks included; raises `Refused` where they are missing."""
    text = document.read_text() if document.exists() else ""
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise Refused(f"{document.name} has no place for figures: the lines {_BEGIN.strip()} and {_END.strip()}")
    return before + begin, end + after

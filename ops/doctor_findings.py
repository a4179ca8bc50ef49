"""What the doctor says: findings of three levels, grouped by the area that they belong to.

It refuses to know what is examined. Invariants: a finding holds no secret and no driver's text; an area is as bad as
its worst finding.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from ops.doctor_facts import Facts, read_facts
from ops.failures import explained
from vault.errors import DatabaseUnavailable
from vault.settings import Settings


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


_SEVERITY = tuple(Level)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: the area, what was found, and what to do unless it is well."""

    area: str
    level: Level
    said: str
    advice: str | None = None

    def as_record(self) -> dict[str, Any]:
        """Give the fields as JSON-like values, without the area."""
        return {"level": self.level.value, "finding": self.said, "advice": self.advice}


Findings: TypeAlias = AsyncIterator[Finding]


@dataclass(slots=True)
class Patient:
    """The installation that is examined; what its database says of itself is asked once."""

    settings: Settings
    gateway_answers: bool = field(default=False, init=False)
    _facts: Facts | None = field(default=None, init=False)

    async def facts(self) -> Facts:
        """Give what was read of the database; OSError and the errors of a connection."""
        if self._facts is None:
            self._facts = await read_facts(self.settings)
        return self._facts

    @property
    def severity(self) -> Level:
        """How bad something is that is wrong in production and usual in development."""
        return Level.FAIL if self.settings.in_production else Level.WARN


Look: TypeAlias = Callable[[Patient], Findings]


@dataclass(frozen=True, slots=True)
class Check:
    """One look at one area, which makes sense only where no finding of the areas it `needs` is a failure."""

    area: str
    look: Look
    needs: frozenset[str] = frozenset()


def worst(findings: Iterable[Finding]) -> Level:
    """Give the level of the worst finding; of none, that all is well."""
    return max((each.level for each in findings), key=_SEVERITY.index, default=Level.OK)


def by_area(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Group findings, in the order in which their areas were met."""
    areas: dict[str, list[Finding]] = {}
    for finding in findings:
        areas.setdefault(finding.area, []).append(finding)
    return areas


def report(findings: Sequence[Finding]) -> dict[str, Any]:
    """Give everything as JSON-like values: areas, each with its level and its findings."""
    areas = [
        {"area": area, "level": worst(found).value, "findings": [each.as_record() for each in found]}
        for area, found in by_area(findings).items()
    ]
    level = worst(findings)
    return {"ok": level is not Level.FAIL, "level": level.value, "areas": areas}


def why(error: Exception) -> str:
    """Say why; a database that has answered until now has its causes examined already."""
    return "the database stopped answering" if isinstance(error, DatabaseUnavailable) else explained(error)


def one(ask: Callable[[Patient], Awaitable[Finding]]) -> Look:
    """Make a look of what gives one finding."""

    async def look(patient: Patient) -> Findings:
        yield await ask(patient)

    return look

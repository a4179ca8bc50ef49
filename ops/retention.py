"""Retention as an operator's commands set and show it.

It refuses to know the command line. Invariant: a period comes with its reason or not at all (controls.md RET-1).
"""

from dataclasses import dataclass
from typing import Any

from ops.refusal import Refused
from vault.db import Database
from vault.onboarding import Onboarding
from vault.retention_class import RetentionClass, RetentionInvalid, Starts
from vault.settings import Settings
from vault.store import retention
from vault.store.retention import KeptClass, Run, RunKind


def class_from(days: int | None, starts: str | None, reason: str | None) -> RetentionClass | None:
    """Make a class of what was given, None of nothing; raises `Refused`."""
    if days is None and starts is None and reason is None:
        return None
    if days is None or reason is None:
        raise Refused("--retention and --retention-reason are given together: a period needs its written reason")
    try:
        return RetentionClass(days, Starts((starts or "expired").upper()), reason)
    except RetentionInvalid as error:
        raise Refused(str(error)) from None


def class_record(retention_class: RetentionClass) -> dict[str, Any]:
    """Give the fields of a class that are shown."""
    return {
        "days": retention_class.days,
        "from": retention_class.starts.lower(),
        "reason": retention_class.reason,
    }


async def with_class(onboarding: Onboarding, record: dict[str, Any]) -> dict[str, Any]:
    """Add to a merchant's fields the class that its new cards get."""
    return record | {"retention": class_record(await onboarding.retention(record["merchantId"]))}


@dataclass(frozen=True, slots=True)
class RetentionStatus:
    """All classes with their cards, the last run of each kind, and how long a card has been waiting to be purged."""

    classes: list[KeptClass]
    runs: dict[RunKind, Run | None]
    oldest_seconds: float | None

    def as_record(self) -> dict[str, Any]:
        """Give the fields as JSON-like values."""
        return {
            "classes": self.class_rows(),
            "runs": [run_record(run) for run in self.runs.values() if run is not None],
            "oldestExpiredUnpurgedSeconds": self.oldest_seconds,
        }

    def class_rows(self) -> list[dict[str, Any]]:
        """Give a row for each class."""
        return [
            {"merchantId": each.merchant_id, "version": each.version, "cards": each.cards}
            | class_record(each.retention)
            for each in self.classes
        ]


def run_record(run: Run) -> dict[str, Any]:
    """Give the fields of a run: the verification record of RET-3 is one of kind VERIFY."""
    return {
        "runId": run.id,
        "kind": run.kind.value,
        "startedAt": run.started_at.isoformat(),
        "finishedAt": run.finished_at and run.finished_at.isoformat(),
        "examined": run.examined,
        "purged": run.purged,
        "held": run.held,
        "overdue": run.overdue,
    }


async def read_status(_settings: Settings, database: Database) -> RetentionStatus:
    """Read everything there is to show."""
    async with database.session() as session:
        return RetentionStatus(
            await retention.classes(session),
            {kind: await retention.latest_finished(session, kind) for kind in RunKind},
            await retention.oldest_expired_unpurged_seconds(session),
        )

"""Examines an installation without a running server and says what is wrong with it and how to mend that.

It refuses to know how findings are shown, and how an area is examined. Invariants: it changes nothing; what cannot be
examined because of an earlier failure is left out rather than guessed; a look that fails is a finding itself.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from ops import doctor_audit, doctor_database, doctor_duties, doctor_gateway, doctor_keys, doctor_serving
from ops.doctor_findings import Check, Finding, Level, Patient, one, why
from ops.failures import FORESEEN
from vault.rules.retries import load_rules
from vault.settings import SettingsInvalid, load_settings

_CONNECTED: Final = frozenset({"database"})
_USABLE: Final = _CONNECTED | {"schema", "roles"}
_ALL_WELL: Final = _USABLE | {"keys", "audit"}

# In the order in which one thing needs the other.
_CHECKS: Final = (
    Check("database", doctor_database.connections),
    Check("database", one(doctor_database.version), _CONNECTED),
    Check("clock", one(doctor_database.clock), _CONNECTED),
    Check("capacity", one(doctor_database.capacity), _CONNECTED),
    Check("schema", one(doctor_database.schema), _CONNECTED),
    Check("roles", doctor_database.roles, _CONNECTED | {"schema"}),
    Check("keys", doctor_keys.files, _USABLE),
    Check("keys", doctor_keys.keys, _USABLE),
    Check("custody", doctor_keys.custody, _USABLE),
    Check("approvals", one(doctor_duties.dual_control), _USABLE),
    Check("audit", one(doctor_duties.rehearsal), _USABLE),
    Check("audit", doctor_audit.log, _USABLE),
    Check("retention", one(doctor_duties.purges), _USABLE),
    Check("workers", doctor_serving.loops, _USABLE),
    Check("tls", doctor_serving.certificates),
    Check("gateway", one(doctor_gateway.answers)),
    Check("gateway", doctor_gateway.merchants, _ALL_WELL),
)


async def examine(environ: Mapping[str, str]) -> list[Finding]:
    """Look at everything that can be looked at."""
    try:
        settings = load_settings(environ)
        load_rules(settings.retry_rules_file, datetime.now(UTC).date())
    except SettingsInvalid as error:
        return list(_complaints(error))
    patient = Patient(settings)
    findings = [Finding("settings", Level.OK, f"complete, for {settings.environment}")]
    for check in _CHECKS:
        failed = {finding.area for finding in findings if finding.level is Level.FAIL}
        if not check.needs & failed:
            findings += await _looked(check, patient)
    return findings


async def _looked(check: Check, patient: Patient) -> list[Finding]:
    found = []
    try:
        async for finding in check.look(patient):
            found.append(finding)  # noqa: PERF401 - what was found before a failure is kept
    except FORESEEN as error:
        said, _, advice = why(error).partition(": ")
        found.append(Finding(check.area, Level.FAIL, said, advice or "try again"))
    return found


def _complaints(error: SettingsInvalid) -> Iterator[Finding]:
    for line in str(error).splitlines():
        name, _, mend = line.partition(": ")
        said, _, advice = mend.partition("; ")
        yield Finding("settings", Level.FAIL, f"{name} {said}", advice or "mend it")

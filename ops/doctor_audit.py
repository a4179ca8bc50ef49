"""The doctor's looks at the audit log: whether it grows, and whether those outside of the database hear of it.

It refuses to know how either is done. Invariant: it asks in the role that the workers' login needs anyway.
"""

from typing import Final

from ops.doctor_findings import Finding, Findings, Level, Patient
from vault.db import Database
from vault.roles import SEQUENCER
from vault.store import audit_log, audit_sinks
from vault.store.audit_sinks import Lag

_LATE: Final = 60.0  # controls.md AUD-6


async def log(patient: Patient) -> Findings:
    """Look at the queue, at the anchors and at the receivers of events."""
    settings = patient.settings
    if not (await patient.facts()).is_sequencer:
        said = f"the login of CARDVAULT_DATABASE_URL may not act as {SEQUENCER}, as a worker has to"
        yield Finding("audit", Level.WARN, said, f"where workers run: grant {SEQUENCER} to their login")
        return
    if settings.audit_anchor is None:
        severity = Level.WARN if settings.in_production else Level.OK
        yield Finding("audit", severity, "no checkpoint leaves the database", "set CARDVAULT_AUDIT_ANCHOR")
    database = Database(settings.database_url.get_secret_value(), role=SEQUENCER, pool_size=1)
    try:
        async with database.session() as session:
            backlog = await audit_log.backlog(session)
            lags = await audit_sinks.lags(session)
    finally:
        await database.close()
    said = f"{backlog.waiting} events wait for the log, the oldest for {backlog.seconds:.0f} s"
    if backlog.seconds > _LATE:
        yield Finding("audit", Level.WARN, said, "run a cardvault worker; if one runs, look at its log and the alarms")
    else:
        yield Finding("audit", Level.OK, said)
    for lag in lags:
        yield _sink(lag)


def _sink(lag: Lag) -> Finding:
    said = f"{lag.told} to {lag.name}: {lag.size}, behind by {lag.seconds:.0f} s"
    if lag.trouble is None and lag.seconds <= _LATE:
        return Finding("audit", Level.OK, said)
    advice = "see cardvault audit anchors; mend it, or --forget one that is not configured any more"
    return Finding("audit", Level.WARN, f"{said} ({lag.trouble or 'late'})", advice)

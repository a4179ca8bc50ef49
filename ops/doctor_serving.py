"""The doctor's looks at what serves and works: certificates and authorities in files, and workers that are there.

It refuses to know how findings are shown. Invariant: a file is named by its setting, never by its content.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from keys.certificates import CertificateUnreadable, read
from ops.doctor_findings import Finding, Findings, Level, Patient
from ops.operating import operators_database
from vault.settings import PREFIX, Settings
from vault.store import workers

_WARNING_DAYS: Final = 30
_FILES: Final = ("tls_certificate_file", "tls_client_ca_file", "gateway_ca_file", "webhook_ca_file")


async def certificates(patient: Patient) -> Findings:
    """See that each certificate that the settings name can be read and ends well in the future (NET-3)."""
    for finding in _certificates(patient.settings):
        yield finding


def _certificates(settings: Settings) -> Iterator[Finding]:
    for name in _FILES:
        path = getattr(settings, name)
        if path is None:
            continue
        variable = f"{PREFIX}{name.upper()}"
        try:
            days = (read(path).ends - datetime.now(UTC)).days
        except CertificateUnreadable:
            yield Finding(
                "tls", Level.FAIL, f"{variable}: no certificate can be read", "give a PEM file that can be read"
            )
            continue
        said = (
            f"{variable}: its certificate has ended" if days < 0 else f"{variable}: its certificate ends in {days} days"
        )
        level = Level.FAIL if days < 0 else Level.WARN if days < _WARNING_DAYS else Level.OK
        yield Finding("tls", level, said, None if level is Level.OK else "renew it, and restart the processes")


async def loops(patient: Patient) -> Findings:
    """Ask for the workers' own words."""
    async with operators_database(patient.settings) as database, database.session() as session:
        live = await workers.live(session)
    if not live:
        said = f"none was there in the last {workers.LIVE_SECONDS:.0f} s"
        yield Finding("workers", Level.WARN, said, "run cardvault worker: nothing else resolves what is unknown")
        return
    for beat in live:
        if beat.failures:
            said = f"the loop {beat.loop} failed {beat.failures} times in a row"
            yield Finding("workers", Level.WARN, said, "look for worker.failed in the workers' logs")
    yield Finding("workers", Level.OK, f"{len(live)} loops are looked after")

"""The doctor's looks at keys: their files, seals, data keys and what is due, and how far apart they are kept.

It refuses to know how findings are shown. Invariant: no key is shown, only its id, its state and its use.
"""

from typing import Final

from keys.seals.address import LocalAddress
from ops.doctor_findings import Finding, Findings, Level, Patient, why
from ops.key_inventory import Due, KeyEntry, read_inventory, warnings
from ops.key_places import too_close
from ops.key_status import RingStatus, read_status
from ops.operating import operators_database
from vault.ids import key_name
from vault.settings import Settings

_USED_WARNING: Final = 0.8
_OTHERS: Final = 0o077


async def files(patient: Patient) -> Findings:
    """See that nobody else may read a passphrase."""
    for path in {keystore.passphrase_file for keystore in _keystores(patient.settings)}:
        if path is not None and path.exists() and path.stat().st_mode & _OTHERS:
            yield Finding("keys", Level.WARN, "others may read the passphrase file", "set its mode to 600")


async def keys(patient: Patient) -> Findings:
    """Open what servers open, and say how worn it is."""
    async with operators_database(patient.settings) as database:
        status = await read_status(patient.settings, database)
        inventory = await read_inventory(patient.settings, database, rows=False)
    status.require_open()
    yield Finding("keys", Level.OK, "keystore and root key open")
    for failure in status.failures:
        yield Finding("keys", Level.WARN, f"one of the seals does not open: {why(failure)}", "mend or remove it")
    for ring in status.rings:
        yield _ring(ring)
    for entry, due in warnings(inventory):
        yield _due(entry, due)


async def custody(patient: Patient) -> Findings:
    """See that what opens the cards is not kept beside them (KEY-3)."""
    folder = (await patient.facts()).folder
    for keystore in _keystores(patient.settings):
        for said in too_close(keystore.path, keystore.passphrase_file, folder):
            advice = "keep database, keystore and passphrase apart, their backups too"
            yield Finding("custody", patient.severity, said, advice)


def _keystores(settings: Settings) -> list[LocalAddress]:
    return [seal for seal in settings.seals if isinstance(seal, LocalAddress)]


def _ring(ring: RingStatus) -> Finding:
    owner = ring.summary.merchant_id or "installation"
    said = (
        f"{owner} {ring.summary.purpose} {ring.summary.state}: {ring.summary.keys}, {ring.used:.2%} of the limit used"
    )
    if ring.used >= _USED_WARNING:
        return Finding("keys", Level.WARN if ring.used < 1 else Level.FAIL, said, "rotate it")
    return Finding("keys", Level.OK, said)


def _due(entry: KeyEntry, due: Due) -> Finding:
    owner = entry.row.merchant_id or "installation"
    when = f"due in {due.days} days" if due.warning else "overdue"
    level = Level.FAIL if due.what == "replace" and not due.warning else Level.WARN
    advice = "run cardvault keys status, and do it in time"
    return Finding(
        "keys", level, f"{owner} {entry.row.purpose}, {key_name(entry.row.key_id)}: {due.what} {when}", advice
    )

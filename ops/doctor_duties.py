"""The doctor's looks at what has to be done again and again: approvals, the record of changes, and purges.

It refuses to know keys and the gateway. Invariant: the rehearsal of an event leaves nothing behind.
"""

from keys.keyring import Keyring
from ops.doctor_findings import Finding, Level, Patient
from ops.operating import operators_database
from vault import custody
from vault.approval_policy import PolicyInvalid, read_policy
from vault.db import Database
from vault.health import examine
from vault.retention import LONGEST_UNVERIFIED
from vault.roles import APP
from vault.store import retention
from vault.store.approvals import operators


async def dual_control(patient: Patient) -> Finding:
    """See whether there are operators enough for what the policy asks, with one to spare for a lost key."""
    settings = patient.settings
    try:
        policy = read_policy(settings.approval_policy_file)
    except PolicyInvalid as error:
        return Finding("approvals", Level.FAIL, "the policy cannot be used", str(error))
    most = max(policy.approvals.values(), default=0)
    if not most:
        if settings.in_production:
            return Finding("approvals", Level.WARN, "the policy asks for none", "let a policy ask for some")
        return Finding("approvals", Level.OK, "the policy asks for none")
    async with operators_database(settings) as database, database.session() as session:
        persons = {each.person for each in (await operators(session)).values() if each.live}
    said = f"{len(persons)} operators, up to {most} have to approve what another asks for"
    if len(persons) < most + 2:
        return Finding("approvals", Level.WARN, said, f"have {most + 2}, so that a lost key can be replaced")
    return Finding("approvals", Level.OK, said)


async def rehearsal(patient: Patient) -> Finding:
    """Write an audit event as a server would, and take it back."""
    settings = patient.settings
    database = Database(settings.database_url.get_secret_value(), role=APP, pool_size=1)
    try:
        keyring: Keyring = await custody.open_keyring(settings, database)
        health = await examine(database, keyring)
    finally:
        await database.close()
    if health.audit:
        return Finding("audit", Level.OK, "an event can be written")
    return Finding("audit", Level.FAIL, "no event can be written", "run cardvault db upgrade, and look at the database")


async def purges(patient: Patient) -> Finding:
    """Ask for the last verification: that it is there in time, and found nothing past its period (RET-3)."""
    async with operators_database(patient.settings) as database, database.session() as session:
        unverified = await retention.unverified_days(session)
        oldest = await retention.oldest_expired_unpurged_seconds(session)
    if unverified is not None and unverified > LONGEST_UNVERIFIED.days:
        said = f"nothing was verified for {unverified:.0f} days"
        return Finding("retention", Level.FAIL, said, "run a cardvault worker, or cardvault purge")
    if oldest:
        said = f"a card is past its period for {oldest:.0f} s"
        return Finding("retention", Level.WARN, said, "look at cardvault retention and at the worker's log")
    return Finding("retention", Level.OK, "no card is known to be past its period")

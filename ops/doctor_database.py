"""The doctor's looks at the database: connections, version, clock, room, schema and what the logins may do.

It refuses to know tables. Invariant: it only asks.
"""

from typing import Final

from ops.connection import why_no_connection
from ops.doctor_findings import Finding, Findings, Level, Patient
from ops.refusal import Refused
from ops.schema import check_schema
from vault.migrations import SchemaDiffers
from vault.roles import APP, AUDITOR, OPERATOR

_OLDEST: Final = 15
_CLOCK_TOLERANCE: Final = 1.0


async def connections(patient: Patient) -> Findings:
    """Try each URL."""
    urls = {"CARDVAULT_DATABASE_URL": patient.settings.database_url}
    if patient.settings.admin_database_url is not None:
        urls["CARDVAULT_ADMIN_DATABASE_URL"] = patient.settings.admin_database_url
    if patient.settings.auditor_database_url is not None:
        urls["CARDVAULT_AUDITOR_DATABASE_URL"] = patient.settings.auditor_database_url
    for name, url in urls.items():
        reason = await why_no_connection(url.get_secret_value())
        if reason is None:
            yield Finding("database", Level.OK, f"{name} connects")
        else:
            found, _, advice = reason.partition("; ")
            yield Finding("database", Level.FAIL, f"{name}: {found}", advice)


async def version(patient: Patient) -> Finding:
    """Compare PostgreSQL's version with the oldest one that is supported."""
    major = (await patient.facts()).major
    if major < _OLDEST:
        return Finding("database", Level.FAIL, f"PostgreSQL {major}", f"use PostgreSQL {_OLDEST} or newer")
    return Finding("database", Level.OK, f"PostgreSQL {major}")


async def clock(patient: Patient) -> Finding:
    """Compare both clocks."""
    offset = abs((await patient.facts()).clock_offset)
    if offset > _CLOCK_TOLERANCE:
        return Finding("clock", Level.WARN, f"{offset:.1f} s off the database's", "synchronise both clocks (NTP)")
    return Finding("clock", Level.OK, f"{offset:.3f} s off the database's")


async def capacity(patient: Patient) -> Finding:
    """Count connections."""
    free = (await patient.facts()).free_connections
    needed = patient.settings.pool_size * 2
    said = f"max_connections leaves {free}, a server and a worker may hold {needed}"
    if needed > free:
        return Finding("capacity", Level.WARN, said, "raise max_connections or lower CARDVAULT_POOL_SIZE")
    return Finding("capacity", Level.OK, said)


async def schema(patient: Patient) -> Finding:
    """Compare the schema with the one that this version was written for."""
    try:
        await check_schema(patient.settings.operator_database_url.get_secret_value())
    except SchemaDiffers:
        return Finding("schema", Level.FAIL, "is not the one of this version", "run cardvault db upgrade")
    except Refused as error:
        return Finding("schema", Level.WARN, "was not compared", str(error))
    return Finding("schema", Level.OK, "is the one of this version")


async def roles(patient: Patient) -> Findings:
    """See that each login may do its work, and the servers' no more."""
    facts = await patient.facts()
    if not facts.is_app:
        said = f"the servers' login may not act as {APP}"
        yield Finding("roles", Level.FAIL, said, f"grant {APP} to that login")
    if facts.may_define:
        said = "the servers' login may change the schema"
        advice = f"give the servers a login that is a member of {APP} alone"
        yield Finding("roles", patient.severity, said, advice)
    if not facts.is_operator:
        said = f"the operators' login may not act as {OPERATOR}"
        yield Finding("roles", Level.FAIL, said, f"grant {OPERATOR} to that login")
    if not facts.is_auditor:
        said = f"/v1/audit answers 503: the servers may not act as {AUDITOR}"
        advice = (
            "where merchants read their part of the audit log, name a login in CARDVAULT_AUDITOR_DATABASE_URL that may"
        )
        yield Finding("roles", Level.WARN, said, advice)
    if facts.is_app and facts.is_operator and not facts.may_define:
        yield Finding("roles", Level.OK, "servers may only read and write, operators' commands may manage")

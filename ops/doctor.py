"""Examines an installation without a running server and says what is wrong with it and how to mend that.

It refuses to know how findings are shown. Invariants: it changes nothing; a finding holds no secret and no driver's
text; what cannot be examined because of an earlier failure is left out rather than guessed.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypeAlias

from keys.keyring import Keyring
from keys.seals.address import LocalAddress
from ops.connection import why_no_connection
from ops.doctor_database import Facts, read_facts
from ops.failures import FORESEEN, explained
from ops.gateway_probe import why_distrusted, why_unreachable
from ops.key_inventory import Due, KeyEntry, read_inventory, warnings
from ops.key_places import too_close
from ops.key_status import RingStatus, read_status
from ops.operating import onboarding_of, operators_database
from ops.refusal import Refused
from ops.schema import check_schema
from vault import custody
from vault.approval_policy import PolicyInvalid, read_policy
from vault.db import Database
from vault.errors import DatabaseUnavailable
from vault.gateway.client import GatewayClient
from vault.health import examine as examine_health
from vault.ids import key_name
from vault.merchant import Merchant
from vault.migrations import SchemaDiffers
from vault.onboarding import Onboarding
from vault.retention import LONGEST_UNVERIFIED
from vault.roles import APP, OPERATOR
from vault.rules.retries import load_rules
from vault.services import gateway_client
from vault.settings import Settings, SettingsInvalid, load_settings
from vault.store import retention
from vault.store.approvals import operators

_OLDEST: Final = 15
_CLOCK_TOLERANCE: Final = 1.0
_USED_WARNING: Final = 0.8
_OTHERS: Final = 0o077
_TRY_AGAIN: Final = "try again"


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: the area, what was found, and what to do unless it is well."""

    area: str
    level: Level
    said: str
    advice: str | None = None

    def as_record(self) -> dict[str, Any]:
        """Give the fields as JSON-like values."""
        return {"area": self.area, "level": self.level.value, "finding": self.said, "advice": self.advice}


Findings: TypeAlias = AsyncIterator[Finding]


async def examine(environ: Mapping[str, str]) -> list[Finding]:
    """Look at everything, in the order in which one thing needs the other."""
    try:
        settings = load_settings(environ)
        load_rules(settings.retry_rules_file, datetime.now(UTC).date())
    except SettingsInvalid as error:
        return [_complaint(line) for line in str(error).splitlines()]
    findings = [Finding("settings", Level.OK, f"complete, for {settings.environment}")]
    connections = [finding async for finding in _connections(settings)]
    findings += connections
    if all(finding.level is not Level.FAIL for finding in connections):
        findings += [finding async for finding in _inside(settings)]
    findings.append(await _gateway(settings))
    if all(finding.level is not Level.FAIL for finding in findings) and findings[-1].level is Level.OK:
        findings += [finding async for finding in _merchants(settings)]
    return findings


def _complaint(line: str) -> Finding:
    name, _, mend = line.partition(": ")
    return Finding("settings", Level.FAIL, f"{name} {mend.partition('; ')[0]}", mend.partition("; ")[2] or "mend it")


async def _connections(settings: Settings) -> Findings:
    urls = {"CARDVAULT_DATABASE_URL": settings.database_url}
    if settings.admin_database_url is not None:
        urls["CARDVAULT_ADMIN_DATABASE_URL"] = settings.admin_database_url
    for name, url in urls.items():
        reason = await why_no_connection(url.get_secret_value())
        if reason is None:
            yield Finding("database", Level.OK, f"{name} connects")
        else:
            found, _, advice = reason.partition("; ")
            yield Finding("database", Level.FAIL, f"{name}: {found}", advice)


async def _inside(settings: Settings) -> Findings:
    facts = await read_facts(settings)
    async for finding in _server(settings, facts):
        yield finding
    schema = await _schema(settings)
    yield schema
    if schema.level is Level.FAIL:
        return
    roles = _roles(settings, facts)
    for finding in roles:
        yield finding
    if not (facts.is_app and facts.is_operator):
        return
    async for finding in _keys(settings):
        yield finding
    for keystore in _keystores(settings):
        for said in too_close(keystore.path, keystore.passphrase_file, facts.folder):
            severity = Level.FAIL if settings.in_production else Level.WARN
            yield Finding("custody", severity, said, "keep database, keystore and passphrase apart, their backups too")
    yield await dual_control(settings)
    yield await _audit(settings)
    yield await _retention(settings)


async def _server(settings: Settings, facts: Facts) -> Findings:
    if facts.major < _OLDEST:
        yield Finding("database", Level.FAIL, f"PostgreSQL {facts.major}", f"use PostgreSQL {_OLDEST} or newer")
    else:
        yield Finding("database", Level.OK, f"PostgreSQL {facts.major}")
    offset = abs(facts.clock_offset)
    if offset > _CLOCK_TOLERANCE:
        yield Finding("clock", Level.WARN, f"{offset:.1f} s off the database's", "synchronise both clocks (NTP)")
    else:
        yield Finding("clock", Level.OK, f"{offset:.3f} s off the database's")
    needed = settings.pool_size * 2
    said = f"max_connections leaves {facts.free_connections}, a server and a worker may hold {needed}"
    if needed > facts.free_connections:
        yield Finding("capacity", Level.WARN, said, "raise max_connections or lower CARDVAULT_POOL_SIZE")
    else:
        yield Finding("capacity", Level.OK, said)


async def _schema(settings: Settings) -> Finding:
    try:
        await check_schema(settings.operator_database_url.get_secret_value())
    except SchemaDiffers:
        return Finding("schema", Level.FAIL, "is not the one of this version", "run cardvault db upgrade")
    except Refused as error:
        return Finding("schema", Level.WARN, "was not compared", str(error))
    return Finding("schema", Level.OK, "is the one of this version")


def _roles(settings: Settings, facts: Facts) -> list[Finding]:
    severity = Level.FAIL if settings.in_production else Level.WARN
    findings = []
    if not facts.is_app:
        said = f"the servers' login may not act as {APP}"
        findings.append(Finding("roles", Level.FAIL, said, f"grant {APP} to that login"))
    if facts.may_define:
        said = "the servers' login may change the schema"
        findings.append(Finding("roles", severity, said, f"give the servers a login that is a member of {APP} alone"))
    if not facts.is_operator:
        said = f"the operators' login may not act as {OPERATOR}"
        findings.append(Finding("roles", Level.FAIL, said, f"grant {OPERATOR} to that login"))
    return findings or [Finding("roles", Level.OK, "servers may only read and write, operators' commands may manage")]


async def _keys(settings: Settings) -> Findings:
    for path in {keystore.passphrase_file for keystore in _keystores(settings)}:
        if path is not None and path.exists() and path.stat().st_mode & _OTHERS:
            yield Finding("keys", Level.WARN, "others may read the passphrase file", "set its mode to 600")
    try:
        async with operators_database(settings) as database:
            status = await read_status(settings, database)
            inventory = await read_inventory(settings, database, rows=False)
        status.require_open()
    except FORESEEN as error:
        found, _, advice = _reason(error).partition(": ")
        yield Finding("keys", Level.FAIL, found, advice or _TRY_AGAIN)
        return
    yield Finding("keys", Level.OK, "keystore and root key open")
    for failure in status.failures:
        yield Finding("keys", Level.WARN, f"one of the seals does not open: {_reason(failure)}", "mend or remove it")
    for ring in status.rings:
        yield _ring(ring)
    for entry, due in warnings(inventory):
        yield _due(entry, due)


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


async def dual_control(settings: Settings) -> Finding:
    """See whether there are operators enough for what the policy asks, with one to spare for a lost key."""
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


async def _audit(settings: Settings) -> Finding:
    database = Database(settings.database_url.get_secret_value(), role=APP, pool_size=1)
    try:
        keyring: Keyring = await custody.open_keyring(settings, database)
        health = await examine_health(database, keyring)
    except FORESEEN as error:
        return Finding("audit", Level.FAIL, "an event cannot be rehearsed", _reason(error))
    finally:
        await database.close()
    if health.audit:
        return Finding("audit", Level.OK, "an event can be written")
    return Finding("audit", Level.FAIL, "no event can be written", "run cardvault db upgrade, and look at the database")


async def _retention(settings: Settings) -> Finding:
    """Ask for the last verification: that it is there in time, and found nothing past its period (RET-3)."""
    async with operators_database(settings) as database, database.session() as session:
        unverified = await retention.unverified_days(session)
        oldest = await retention.oldest_expired_unpurged_seconds(session)
    if unverified is not None and unverified > LONGEST_UNVERIFIED.days:
        said = f"nothing was verified for {unverified:.0f} days"
        return Finding("retention", Level.FAIL, said, "run a cardvault worker, or cardvault purge")
    if oldest:
        said = f"a card is past its period for {oldest:.0f} s"
        return Finding("retention", Level.WARN, said, "look at cardvault retention and at the worker's log")
    return Finding("retention", Level.OK, "no card is known to be past its period")


def _reason(error: Exception) -> str:
    """Say why; a database that has answered until now has its causes examined already."""
    return "the database stopped answering" if isinstance(error, DatabaseUnavailable) else explained(error)


async def _gateway(settings: Settings) -> Finding:
    reason = await why_unreachable(settings.gateway_url, settings.gateway_ca_file)
    if reason is None:
        return Finding("gateway", Level.OK, "answers")
    return Finding("gateway", Level.WARN, reason, "check CARDVAULT_GATEWAY_URL, the network, and _GATEWAY_CA_FILE")


async def _merchants(settings: Settings) -> Findings:
    """Let every active merchant ask the gateway something harmless, so that no payment finds a wrong key first."""
    async with onboarding_of(settings) as onboarding, gateway_client(settings) as client:
        for merchant in await onboarding.merchants():
            if merchant.active:
                yield await _understanding(onboarding, client, merchant)


async def _understanding(onboarding: Onboarding, client: GatewayClient, merchant: Merchant) -> Finding:
    try:
        keys = await onboarding.gateway_keys(merchant)
    except FORESEEN as error:
        return Finding("gateway", Level.FAIL, f"{merchant.id}: its keys do not open", _reason(error))
    distrust = await why_distrusted(client, keys.credentials(merchant.gateway_client_id))
    if distrust is None:
        return Finding("gateway", Level.OK, f"{merchant.id}: both sides know each other's keys")
    level = Level.FAIL if distrust.certain else Level.WARN
    return Finding("gateway", level, f"{merchant.id}: {distrust.said}", distrust.advice)

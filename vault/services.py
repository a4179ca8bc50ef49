"""Everything that an application or a worker works with, made once from the settings.

It refuses to know HTTP. Invariant: nothing here is global; two installations can live in one process.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from keys.keyring import Keyring
from vault import metrics
from vault.audit.events import ActorKind, Origin
from vault.auditing.reading import AuditReading
from vault.auth import Authenticator
from vault.card_life import ExpirySweep
from vault.card_testing import CardGuard
from vault.cards import Cards
from vault.collecting import spans_collected
from vault.cursors import Cursors
from vault.custody import open_keyring
from vault.db import Database
from vault.denials import Denials
from vault.directory import Directory
from vault.erasure import Erasure
from vault.events import Events
from vault.gateway.client import GatewayClient
from vault.gateway.endpoint import Connections
from vault.gateway.limits import Timeouts
from vault.key_life import KeyLife
from vault.limiter import Limiter
from vault.mandates import Mandates
from vault.notifications import Notifications
from vault.orphans import Orphans
from vault.pace import Pace
from vault.payment_options import PaymentOptions
from vault.payments.cancelling import Canceller
from vault.payments.charging import Charging
from vault.payments.drafting import Drafter
from vault.payments.moving import Moving
from vault.payments.preconditions import Preconditions
from vault.payments.recording import Recorder
from vault.payments.retry_guard import RetryGuard
from vault.payments.sending import Sender
from vault.payments.service import Payments
from vault.payments.sessions import PaymentSessions
from vault.payments.writing_ahead import Tools
from vault.reconcile import Reconciler
from vault.reencryption import Reencryption
from vault.retention import Retention
from vault.roles import APP, AUDITOR
from vault.rules.retries import load_rules
from vault.settings import Settings
from vault.tokens import GatewayTokens
from vault.vaultings.asking import Vaultings
from vault.vaultings.calling import VaultCaller
from vault.vaultings.following import VaultingFollower
from vault.vaultings.recording import VaultingRecorder
from vault.webhooks import Webhooks

_KEYS: Final = Origin(ActorKind.WORKER, "keys")
_AUDITORS: Final = 2  # connections; they are opened when somebody asks
_LEASE_CALLS: Final = 2  # should resolving a payment take longer, another worker only asks once more
_SHOWN_SECONDS: Final = 1.0
_ORPHAN_PATIENCE: Final = 2  # of the longest pause between inquiries: a payment whose answer was lost is known by then


@dataclass(frozen=True, slots=True)
class Services:
    """The services of one process."""

    settings: Settings
    database: Database
    keyring: Keyring
    authenticator: Authenticator
    limiter: Limiter | None
    card_guard: CardGuard
    cursors: Cursors
    cards: Cards
    erasure: Erasure
    expiry_sweep: ExpirySweep
    retention: Retention
    tokens: GatewayTokens
    vaultings: Vaultings
    vaulting_follower: VaultingFollower
    payments: Payments
    retry_guard: RetryGuard
    mandates: Mandates
    charging: Charging
    sessions: PaymentSessions
    canceller: Canceller
    moving: Moving
    options: PaymentOptions
    notifications: Notifications
    reconciler: Reconciler
    orphans: Orphans
    webhooks: Webhooks
    events: Events
    denials: Denials
    audit_reading: AuditReading
    key_life: KeyLife
    reencryption: Reencryption


@dataclass(frozen=True, slots=True)
class _Storing:
    """What stores cards at the gateway without a payment."""

    vaultings: Vaultings
    follower: VaultingFollower
    recorder: VaultingRecorder


@asynccontextmanager
async def running_services(settings: Settings) -> AsyncIterator[Services]:
    """Open database, keys and gateway connections, give the services, and close everything at the end.

    Raises `SealError` when the root key cannot be opened, `DatabaseUnavailable` without a database, and
    `SettingsInvalid` for an unusable file of retry rules.
    """
    database = Database(settings.database_url.get_secret_value(), role=APP, pool_size=settings.pool_size)
    try:
        keyring = await open_keyring(settings, database)
        async with gateway_client(settings) as client:
            services = _assemble(settings, database, keyring, client)
            try:
                with spans_collected(settings):
                    async with _pool_shown(database):
                        yield services
                await services.card_guard.close()
            finally:
                await services.denials.close()
                await services.audit_reading.close()
    finally:
        await database.close()


@asynccontextmanager
async def _pool_shown(database: Database) -> AsyncIterator[None]:
    """Tell the metrics every second how the pool is used: counting each use would cost every statement."""

    async def show() -> None:
        while True:
            metrics.show_pool(**database.places)
            await asyncio.sleep(_SHOWN_SECONDS)

    showing = asyncio.create_task(show())
    try:
        yield
    finally:
        showing.cancel()


def _auditors_database(settings: Settings) -> Database:
    url = settings.auditor_database_url or settings.database_url
    return Database(url.get_secret_value(), role=AUDITOR, pool_size=_AUDITORS)


def gateway_client(settings: Settings) -> GatewayClient:
    """Make the client that calls the gateway of the settings; raises OSError for an unusable file of roots."""
    return GatewayClient(
        settings.gateway_url,
        timeouts=_timeouts(settings.gateway_timeout),
        ca_file=settings.gateway_ca_file,
        allow_plain_http=not settings.in_production,
        connections=Connections(networks=settings.gateway_networks),
    )


def _timeouts(answer: float) -> Timeouts:
    """Derive the phases of a call from the longest wait for an answer: none of them may take longer."""
    usual = Timeouts()
    connect, tls, send = (min(each, answer) for each in (usual.connect, usual.tls, usual.send))
    return Timeouts(connect=connect, tls=tls, send=send, answer=answer, total=connect + tls + send + answer)


def _tools(settings: Settings, database: Database, keyring: Keyring, client: GatewayClient) -> Tools:
    directory = Directory(database, keyring)
    rules = load_rules(settings.retry_rules_file, datetime.now(UTC).date()) if settings.retry_guard else None
    guard = RetryGuard(database, keyring, rules)
    return Tools(
        database=database,
        keyring=keyring,
        directory=directory,
        cards=Cards(database, keyring, directory, settings.card_policy),
        drafter=Drafter(keyring, guard, sender_seconds=settings.sender_deadline),
        sender=Sender(client),
        recorder=Recorder(database, keyring, guard, first_inquiry_seconds=settings.inquiry_first),
        guard=guard,
        policy=settings.card_policy,
        preconditions=Preconditions(database),
        sender_seconds=settings.sender_deadline,
        public_url=settings.public_url.rstrip("/"),
    )


def _pace(settings: Settings) -> Pace:
    lease = _LEASE_CALLS * settings.gateway_timeout
    return Pace(settings.inquiry_first, settings.inquiry_max, settings.not_sent_grace, lease)


def _storing(tools: Tools, client: GatewayClient, pace: Pace) -> _Storing:
    recorder = VaultingRecorder(tools.database, tools.keyring, first_inquiry_seconds=pace.first)
    calls = VaultCaller(client)
    follower = VaultingFollower(tools.database, tools.directory, calls, recorder, pace)
    return _Storing(Vaultings(tools, calls, recorder, follower), follower, recorder)


def _assemble(settings: Settings, database: Database, keyring: Keyring, client: GatewayClient) -> Services:
    tools, pace = _tools(settings, database, keyring, client), _pace(settings)
    limiter = Limiter(database) if settings.limits else None
    directory, recorder, moving, denials = tools.directory, tools.recorder, Moving(tools), Denials(database)
    canceller = Canceller(database, directory, tools.sender, recorder)
    charging = Charging(tools, canceller)
    storing = _storing(tools, client, pace)
    return Services(
        settings=settings,
        database=database,
        keyring=keyring,
        authenticator=Authenticator(database, keyring),
        limiter=limiter,
        card_guard=CardGuard(database, keyring, limiter),
        cursors=Cursors(keyring),
        cards=tools.cards,
        erasure=Erasure(database),
        expiry_sweep=ExpirySweep(database),
        retention=Retention(database, interval=settings.retention_interval),
        tokens=GatewayTokens(database, keyring, directory, client, pace),
        vaultings=storing.vaultings,
        vaulting_follower=storing.follower,
        payments=Payments(tools),
        retry_guard=tools.guard,
        mandates=Mandates(tools, storing.vaultings),
        charging=charging,
        sessions=PaymentSessions(tools, charging),
        canceller=canceller,
        moving=moving,
        options=PaymentOptions(database, directory, client),
        notifications=Notifications(database, directory, recorder, storing.recorder, denials, settings.public_url),
        reconciler=Reconciler(tools, canceller, moving, pace),
        orphans=Orphans(database, recorder, pause=pace.first, patience=_ORPHAN_PATIENCE * settings.inquiry_max),
        webhooks=Webhooks(database, keyring, settings.webhook_networks),
        events=Events(database),
        denials=denials,
        audit_reading=AuditReading(_auditors_database(settings)),
        key_life=KeyLife(database, keyring, _KEYS),
        reencryption=Reencryption(database, keyring, _KEYS),
    )

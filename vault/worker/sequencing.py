"""The worker's loops that make the audit log grow, sign it, and tell anchors and SIEMs of it.

It refuses to know how. Invariant: they work in the sequencer's role, on connections of their own, so that neither waits
for payments, nor payments for them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

from vault.audit.log_keys import LogKeys
from vault.audit.note import Checkpoint
from vault.auditing.anchor import AnchorFile
from vault.auditing.publisher import Publisher
from vault.auditing.sequencer import Cadence, Sequencer
from vault.auditing.shipping import Shipper
from vault.db import Database
from vault.gateway.endpoint import tls_context
from vault.roles import SEQUENCER
from vault.services import Services
from vault.settings import Settings
from vault.store.audit_sinks import Told
from vault.worker.loop import Loop

CONNECTIONS: Final = 2
_IDLE: Final = 0.5


@asynccontextmanager
async def audit_loops(services: Services) -> AsyncIterator[tuple[Loop, ...]]:
    """Give the loops, and close their connections at the end."""
    settings = services.settings
    database = Database(settings.database_url.get_secret_value(), role=SEQUENCER, pool_size=CONNECTIONS)
    anchor = AnchorFile(settings.anchor_path) if settings.anchor_path else None
    sequencer = Sequencer(
        database,
        services.keyring,
        log_name(settings),
        Cadence(settings.audit_checkpoint_interval, settings.audit_heartbeat),
        anchor.newest if anchor else no_anchor,
    )
    loops = [Loop("sequence", sequencer.once, _IDLE, sequencer.finish)]
    if anchor:
        loops.append(Loop("anchor", Publisher(database, services.keyring, anchor).once, _IDLE))
    loops += [Loop(name, each.once, _IDLE) for name, each in _shippers(settings, database).items()]
    try:
        yield tuple(loops)
    finally:
        await database.close()


def _shippers(settings: Settings, database: Database) -> dict[str, Shipper]:
    """Give one for each receiver of syslog by its loop's name; raises OSError for an unusable file of authorities."""
    receivers = {Told.CHECKPOINTS: settings.anchor_receivers, Told.EVENTS: settings.stream_receivers}
    tls = tls_context(settings.audit_syslog_ca_file)
    return {
        f"ship.{told.value}.{place}": Shipper(database, each, told, tls)
        for told, addresses in receivers.items()
        for place, each in enumerate(addresses, 1)
    }


def log_name(settings: Settings) -> str:
    """Give the name of an installation's log, once and for all by the address that it has at the beginning."""
    return f"{urlsplit(settings.public_url).netloc}/audit"


async def no_anchor(_keys: LogKeys, _epoch: int) -> Checkpoint | None:
    """Be the witness where there is no file."""
    return None

"""Opening what is sealed, with the alarm for whatever does not open.

It refuses to know what is inside. Invariant: an envelope that was moved, altered or cut never opens, and the attempt
leaves an alarm and an audit event, even though the caller learns nothing (design section 5, controls.md AUD-3).
"""

from keys.errors import CannotOpen, KeysError
from keys.keyring import Keyring, Location
from keys.sealed import Plaintext
from vault.audit.events import Origin
from vault.db import Database
from vault.errors import IntegrityFailure, KeysUnavailable
from vault.logs import alarm, get_logger
from vault.store import alarms

_log = get_logger(__name__)


class Opener:
    """Opens envelopes for services."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    async def open(self, envelope: bytes, location: Location, origin: Origin) -> Plaintext:
        """Open an envelope where it belongs; raises `IntegrityFailure`, after the alarm, or `KeysUnavailable`."""
        try:
            return await self._keyring.open(envelope, location)
        except CannotOpen:
            pass
        except KeysError:
            raise KeysUnavailable from None
        alarm(_log, "integrity_failure", object_id=location.row_id, merchant_id=location.merchant_id)
        async with self._database.session() as session:
            await alarms.raise_alarm(
                session,
                origin,
                location.merchant_id,
                "integrity_failure",
                location.row_id,
                {"table": location.table, "field": location.field},
            )
        raise IntegrityFailure

"""Opening what is sealed, with the alarm for whatever does not open.

It refuses to know what is inside. Invariant: an envelope that was moved, altered or cut never opens, and the attempt
leaves an alarm and an audit event, even though the caller learns nothing (design section 5, controls.md AUD-3).
"""

from typing import Final

from keys.errors import CannotOpen, KeysError, KeyUnknown
from keys.keyring import Keyring, Location
from keys.sealed import Plaintext
from vault.audit.events import Origin
from vault.db import Database
from vault.errors import IntegrityFailure, KeysUnavailable
from vault.logs import alarm, get_logger
from vault.store import alarms

_log = get_logger(__name__)
_KEYS: Final = "keys"


async def report_damaged_key(database: Database, origin: Origin) -> None:
    """Raise the alarm for a key whose wrap does not open; which one it is, the checks of the keys tell."""
    alarm(_log, "integrity_failure", object_id=_KEYS)
    async with database.session() as session:
        await alarms.raise_alarm(session, origin, "", "integrity_failure", _KEYS, {})


class Opener:
    """Opens envelopes for services."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    async def open(self, envelope: bytes, location: Location, origin: Origin) -> Plaintext:
        """Open an envelope where it belongs; raises `IntegrityFailure`, after the alarm, or `KeysUnavailable`."""
        try:
            return await self._keyring.open(envelope, location)
        except (CannotOpen, KeyUnknown):
            pass  # rows of keys are never deleted: an envelope that names no key was altered
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

"""API clients as an operator's command shows and changes them.

It refuses to know the command line and how secrets are kept. Invariant: a record holds no secret.
"""

from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from keys.certificates import CertificateUnreadable, read
from ops.operating import onboarding_on
from ops.refusal import NO_MERCHANT, Refused
from vault.api_secret import ApiSecret
from vault.approval import Operation
from vault.approvals import DualControl
from vault.auth import Scope
from vault.db import Database
from vault.errors import NotFound
from vault.onboarding import NewClient, Onboarding, widens
from vault.settings import Settings
from vault.store.merchants import ClientRow

_Result = TypeVar("_Result")


def every_scope() -> tuple[str, ...]:
    """Give all scopes."""
    return tuple(scope.value for scope in Scope)


def moment(text: str | None) -> datetime | None:
    """Read a moment in ISO 8601, UTC where no zone is given; raises `Refused`, also for the past."""
    if text is None:
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise Refused("a moment is written as 2030-01-31T00:00:00Z") from None
    aware = read if read.tzinfo is not None else read.replace(tzinfo=UTC)
    if aware <= datetime.now(UTC):
        raise Refused("the client would have ended before it began: give a moment in the future")
    return aware


def client_record(client: ClientRow) -> dict[str, Any]:
    """Give the fields of a client that are shown."""
    return {
        "clientId": client.id,
        "merchantId": client.merchant_id,
        "name": client.name,
        "status": _status(client),
        "scopes": list(client.scopes),
        "cidrs": list(client.cidrs),
        "certificates": [certificate.hex() for certificate in client.certificates],
        "limits": {name: dict(windows) for name, windows in client.limits.items()},
        "expiresAt": _text(client.expires_at),
        "revokedAt": _text(client.revoked_at),
        "createdAt": _text(client.created_at),
    }


async def create_client(
    settings: Settings, database: Database, control: DualControl, new: NewClient
) -> tuple[ClientRow, ApiSecret]:
    """Make a client, with approval where it may do more than its merchant's others.

    Raises `Refused` when there is no such merchant, `ApprovalNeeded` or `ApprovalRefused`.
    """

    async def work(database: Database) -> tuple[ClientRow, ApiSecret]:
        return await (await onboarding_on(settings, database)).create_client(new)

    if not await _found(widens(database, new), NO_MERCHANT):
        return await work(database)
    parameters = {
        "merchant": new.merchant_id,
        "name": new.name,
        "scopes": " ".join(sorted(new.scopes)),
        "cidrs": " ".join(new.cidrs),
        "expiresAt": _text(new.expires_at),
        "limits": " ".join(new.limits),
        "certificates": " ".join(certificate.hex() for certificate in new.certificates),
    }
    return await control.guarded(Operation.CLIENT_WIDEN, parameters, work)


async def rotate_client(onboarding: Onboarding, client_id: str, overlap_seconds: float) -> ApiSecret:
    """Give a client a new secret; raises `Refused` when there is no such client."""
    return await _found(onboarding.rotate_client(client_id, overlap_seconds=overlap_seconds), _NO_CLIENT)


async def bind_client(onboarding: Onboarding, client_id: str, certificates: Sequence[bytes]) -> ClientRow:
    """Bind a client to certificates; raises `Refused` when there is no such client."""
    return await _found(onboarding.bind_client(client_id, certificates), _NO_CLIENT)


def fingerprints(files: Sequence[Path]) -> tuple[bytes, ...]:
    """Read what names the certificates in PEM files; raises `Refused`."""
    try:
        return tuple(read(file).fingerprint for file in files)
    except CertificateUnreadable:
        raise Refused(
            "a certificate is a PEM file that begins with the client's own: check its path and content"
        ) from None


async def revoke_client(onboarding: Onboarding, client_id: str) -> bool:
    """End a client, False when it had ended; raises `Refused` when there is no such client."""
    return await _found(onboarding.revoke_client(client_id), _NO_CLIENT)


async def limit_client(onboarding: Onboarding, client_id: str, limits: Sequence[str], *, keep: bool) -> ClientRow:
    """Change a client's own quotas; raises `Refused` when there is no such client."""
    return await _found(onboarding.limit_client(client_id, limits, keep=keep), _NO_CLIENT)


_NO_CLIENT = "no API client has this id: see cardvault clients list"


async def _found(work: Awaitable[_Result], otherwise: str) -> _Result:
    try:
        return await work
    except NotFound:
        raise Refused(otherwise) from None


def _status(client: ClientRow) -> str:
    if client.revoked_at is not None:
        return "REVOKED"
    if client.expires_at is not None and client.expires_at <= datetime.now(UTC):
        return "EXPIRED"
    return "ACTIVE"


def _text(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at is not None else None

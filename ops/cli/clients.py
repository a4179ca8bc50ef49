"""`cardvault clients`: make, list, limit, rotate and revoke the API clients of merchants.

It refuses to know how secrets are kept. Invariant: an API key is printed when it is made, and at no other time.
"""

from pathlib import Path
from typing import Any

import click

from ops.cli.output import json_option, remark, show_record, show_table

_COLUMNS = ("clientId", "merchantId", "name", "status", "scopes")
_ONCE = "This is the only time that the API key is shown: put it where the application reads it."
_DAY = 86_400.0

_limit_option = click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="LIMIT:WINDOW=QUOTA",
    help="A quota of its own, as cards.store:burst=500; repeatable.",
)


_certificate_option = click.option(
    "--certificate",
    "certificates",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A client certificate (PEM) that it has to come with, one of several; repeatable.",
)


@click.group()
def clients() -> None:
    """Make, list, limit, rotate and revoke API clients."""


@clients.command()
@click.option("--merchant", "merchant_id", required=True, metavar="ID", help="The merchant that the client acts for.")
@click.option("--name", required=True, help="A name for people.")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="What it may do, as cards:read; repeatable.")
@click.option("--all-scopes", is_flag=True, help="It may do everything.")
@click.option("--cidr", "cidrs", multiple=True, metavar="CIDR", help="Where it may call from; repeatable.")
@click.option("--expires-at", metavar="TIME", help="When it ends, as 2030-01-31T00:00:00Z.")
@_limit_option
@_certificate_option
@json_option
def create(merchant_id: str, name: str, scopes: tuple[str, ...], **rest: Any) -> None:
    """Make an API client and print its API key, once."""
    from ops.clients import client_record, create_client, every_scope, fingerprints, moment
    from ops.operating import with_control
    from vault.onboarding import NewClient

    wanted = every_scope() if rest["all_scopes"] else scopes
    bound = fingerprints(rest["certificates"])
    new = NewClient(merchant_id, name, wanted, rest["cidrs"], moment(rest["expires_at"]), rest["limits"], bound)
    client, secret = with_control(lambda settings, database, control: create_client(settings, database, control, new))
    show_record(client_record(client) | {"apiKey": secret.reveal()}, as_json=rest["as_json"])
    remark(_ONCE)


@clients.command()
@click.argument("client_id")
@_certificate_option
@json_option
def bind(client_id: str, *, certificates: tuple[Path, ...], as_json: bool) -> None:
    """Let a client come with these certificates only, in place of those before. Servers know within two seconds."""
    from ops.clients import bind_client, client_record, fingerprints
    from ops.operating import with_onboarding

    bound = fingerprints(certificates)
    changed = with_onboarding(lambda onboarding: bind_client(onboarding, client_id, bound))
    show_record(client_record(changed), as_json=as_json)


@clients.command(name="list")
@click.option("--merchant", "merchant_id", metavar="ID", help="Only this merchant's.")
@json_option
def listed(*, merchant_id: str | None, as_json: bool) -> None:
    """List API clients."""
    from ops.clients import client_record
    from ops.operating import with_onboarding

    found = with_onboarding(lambda onboarding: onboarding.clients(merchant_id))
    show_table([client_record(client) for client in found], _COLUMNS, as_json=as_json)


@clients.command()
@click.argument("client_id")
@click.option(
    "--overlap",
    "seconds",
    type=click.FloatRange(0, 30 * _DAY),
    default=_DAY,
    show_default=True,
    help="Seconds for which the present API key goes on working.",
)
@json_option
def rotate(client_id: str, *, seconds: float, as_json: bool) -> None:
    """Give a client a new API key and print it, once; the present one ends after the overlap."""
    from ops.clients import rotate_client
    from ops.operating import with_onboarding

    secret = with_onboarding(lambda onboarding: rotate_client(onboarding, client_id, seconds))
    record = {"clientId": client_id, "overlapSeconds": seconds, "apiKey": secret.reveal()}
    show_record(record, as_json=as_json)
    remark(_ONCE)


@clients.command()
@click.argument("client_id")
@json_option
def revoke(client_id: str, *, as_json: bool) -> None:
    """End a client and its API keys, within seconds; repeating it changes nothing."""
    from ops.clients import revoke_client
    from ops.operating import with_onboarding

    revoked_now = with_onboarding(lambda onboarding: revoke_client(onboarding, client_id))
    show_record({"clientId": client_id, "status": "REVOKED", "revokedNow": revoked_now}, as_json=as_json)


@clients.command()
@click.argument("client_id")
@_limit_option
@click.option("--defaults", is_flag=True, help="Give up the quotas that it had of its own.")
@json_option
def limit(client_id: str, *, limits: tuple[str, ...], defaults: bool, as_json: bool) -> None:
    """Give a client quotas of its own for some limits; the others stay. Servers know within two seconds."""
    from ops.clients import client_record, limit_client
    from ops.operating import with_onboarding

    changed = with_onboarding(lambda onboarding: limit_client(onboarding, client_id, limits, keep=not defaults))
    show_record(client_record(changed), as_json=as_json)

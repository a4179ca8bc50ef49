"""`cardvault merchants`: make, list, show and change the tenants of the vault.

It refuses to know how keys are sealed. Invariant: a private key comes from a file or standard input, never from the
command line, which every account of the machine can read.
"""

from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any

import click

from ops.cli.output import json_option, show_record, show_table

if TYPE_CHECKING:
    from ops.merchants import KeyChange
    from vault.retention_class import RetentionClass

_COLUMNS = ("merchantId", "name", "status", "gatewayClientId")
_REGIONAL = {
    "mandate": "a charge in the buyer's absence",
    "authentication": "3DS that is asked for",
    "authentication-upgrade": "an upgrade to 3DS that is asked for",
    "mpi": "3DS that was done elsewhere",
    "card-brand": "the choice of a brand",
    "manual-capture": "a payment that is captured on request",
    "installments": "a payment by installments",
}
_Command = Callable[..., Any]


_OPTIONS = (
    click.option("--payment-redirect-url", metavar="URL", help="Where buyers return to after 3DS."),
    click.option("--settlement-currency", metavar="CODE", help="The currency in which the gateway settles."),
    click.option("--merchant-region", metavar="CC", help="The merchant's region, for example BR."),
    click.option(
        "--reference-policy",
        type=click.Choice(["observe", "reject"]),
        help="What happens to the merchant's own ids that look like card numbers.",
    ),
    *(
        click.option(
            f"--{feature}-region-policy",
            type=click.Choice(["refuse", "warn"]),
            help=f"What happens to {asked} where the card's region excludes it.",
        )
        for feature, asked in _REGIONAL.items()
    ),
    click.option(
        "--assume-authentication",
        type=click.Choice(["yes", "no"]),
        help="Whether a passed redirect proves authentication where the gateway returns no result.",
    ),
    click.option(
        "--charge-expired-cards",
        type=click.Choice(["yes", "no"]),
        help="Whether mandates are charged on cards whose expiry has passed.",
    ),
    click.option(
        "--cavv-spelling",
        type=click.Choice(["cavv", "caav"]),
        help="How the gateway is told the authentication value of 3DS that was done elsewhere.",
    ),
    click.option(
        "--card-brand-spelling",
        type=click.Choice(["selectedCardBrand", "selectedCardBrands"]),
        help="How the gateway is told the brand that the buyer chose.",
    ),
    click.option(
        "--session-card-form",
        type=click.Choice(["paymentMethodId", "savedPaymentMethods"]),
        help="Where a session for a client SDK names a stored card.",
    ),
    click.option(
        "--session-mandates",
        type=click.Choice(["yes", "no"]),
        help="Whether a session for a client SDK may be charged under a mandate.",
    ),
)


_RETENTION = (
    click.option("--retention", type=int, metavar="DAYS", help="How long cards are kept; with --retention-reason."),
    click.option(
        "--retention-from",
        type=click.Choice(["expired", "unused"]),
        help="What the days are counted from: the card's expiry (so without the option), or its last charge.",
    ),
    click.option("--retention-reason", metavar="TEXT", help="The business or legal reason to keep them as long."),
)


def _retention(command: _Command) -> _Command:
    """Give a command the options for a retention class."""
    for option in reversed(_RETENTION):
        command = option(command)
    return command


def _taken_class(rest: dict[str, Any]) -> "RetentionClass | None":
    """Take the options for a retention class out of all options, and make it of them."""
    from ops.retention import class_from

    return class_from(*(rest.pop(name) for name in ("retention", "retention_from", "retention_reason")))


def _defaults(command: _Command) -> _Command:
    """Give a command the options for a merchant's defaults."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _key_file(whose: str, text: str, *, required: bool) -> Callable[[_Command], _Command]:
    """Give the option for a file that holds a key."""
    name = f"--gateway-{whose}-key-file"
    return click.option(name, required=required, type=click.File("r", lazy=True), metavar="PATH", help=text)


@click.group()
def merchants() -> None:
    """Make, list, show and change merchants."""


@merchants.command()
@click.option("--name", required=True, help="A name for people.")
@click.option("--gateway-client-id", required=True, metavar="ID", help="The client id that the gateway gave.")
@_key_file("private", "The merchant's RSA private key, PEM or bare base64; - reads standard input.", required=True)
@_key_file("public", "The gateway's RSA public key, PEM or bare base64.", required=True)
@click.option("--key-version", default="1", show_default=True, help="The version of both keys at the gateway.")
@_defaults
@_retention
@json_option
def create(
    name: str,
    gateway_client_id: str,
    gateway_private_key_file: IO[str],
    gateway_public_key_file: IO[str],
    key_version: str,
    **rest: Any,
) -> None:
    """Make a merchant with keys of its own; its gateway keys are checked and sealed."""
    from ops.merchants import created_record, settings_from
    from ops.operating import with_onboarding
    from vault.directory import GatewayKeys
    from vault.onboarding import NewMerchant
    from vault.retention_class import STANDARD

    as_json, retention = rest.pop("as_json"), _taken_class(rest)
    public_keys = {key_version: gateway_public_key_file.read()}
    new = NewMerchant(
        name,
        gateway_client_id,
        GatewayKeys(gateway_private_key_file.read(), key_version, public_keys),
        settings_from({}, rest),
        retention or STANDARD,
    )
    show_record(with_onboarding(lambda onboarding: created_record(onboarding, new)), as_json=as_json)


@merchants.command(name="list")
@json_option
def listed(*, as_json: bool) -> None:
    """List all merchants."""
    from ops.merchants import merchant_record
    from ops.operating import with_onboarding

    found = with_onboarding(lambda onboarding: onboarding.merchants())
    show_table([merchant_record(merchant) for merchant in found], _COLUMNS, as_json=as_json)


@merchants.command()
@click.argument("merchant_id")
@json_option
def show(merchant_id: str, *, as_json: bool) -> None:
    """Show a merchant, with the address of its gateway notifications and the versions of its gateway keys."""
    from ops.merchants import show_merchant
    from ops.operating import with_onboarding

    shown = with_onboarding(lambda onboarding: show_merchant(onboarding, merchant_id))
    show_record(shown, as_json=as_json)


@merchants.command()
@click.argument("merchant_id")
@click.option("--name", help="A new name.")
@click.option("--enable", is_flag=True, help="Let a disabled merchant work again.")
@_defaults
@_retention
@json_option
def update(merchant_id: str, *, name: str | None, enable: bool, as_json: bool, **rest: Any) -> None:
    """Change a merchant's name, state, retention or defaults; what is not given stays.

    Another retention holds for the cards that are stored from now on.
    """
    from ops.merchants import Change, changed_record
    from ops.operating import with_onboarding

    change = Change(name, True if enable else None, _taken_class(rest), rest)
    show_record(with_onboarding(lambda onboarding: changed_record(onboarding, merchant_id, change)), as_json=as_json)


@merchants.command()
@click.argument("merchant_id")
@_key_file(
    "private", "The merchant's new private key, which signs from now on; - reads standard input.", required=False
)
@click.option("--key-version", metavar="N", help="The version of the merchant's key at the gateway.")
@_key_file(
    "public", "A further public key of the gateway; the others stay good until they are retired.", required=False
)
@click.option("--gateway-key-version", metavar="N", help="The version of that public key.")
@click.option("--retire-gateway-key", "retired", multiple=True, metavar="N", help="A version no longer to accept.")
@click.option("--unchecked", is_flag=True, help="Do not ask the gateway first whether the keys are good.")
@json_option
def rotate_gateway_key(merchant_id: str, *, unchecked: bool, as_json: bool, **given: Any) -> None:
    """Change the keys between a merchant and the gateway, after trying them; what is not given stays.

    Register the new public key at the gateway first, beside the old one, and take the old one away there when this
    is done: no payment fails meanwhile. Servers use the new keys within two seconds.
    """
    from ops.merchants import keys_record, merchant_record, rotate_gateway_keys
    from ops.operating import with_gateway

    change = _key_change(**given)
    merchant, keys = with_gateway(
        lambda onboarding, client: rotate_gateway_keys(onboarding, None if unchecked else client, merchant_id, change)
    )
    show_record(merchant_record(merchant) | {"gatewayKeys": keys_record(keys)}, as_json=as_json)


def _key_change(
    gateway_private_key_file: IO[str] | None,
    key_version: str | None,
    gateway_public_key_file: IO[str] | None,
    gateway_key_version: str | None,
    retired: tuple[str, ...],
) -> "KeyChange":
    """Read the given files; a key comes with its version, so that nobody guesses what the gateway calls it."""
    from ops.merchants import KeyChange

    if gateway_private_key_file is not None and key_version is None:
        raise click.UsageError("--gateway-private-key-file needs --key-version: the version that the gateway shows")
    if (gateway_public_key_file is None) is not (gateway_key_version is None):
        raise click.UsageError("--gateway-public-key-file and --gateway-key-version are given together")
    public_keys = {}
    if gateway_public_key_file is not None and gateway_key_version is not None:
        public_keys = {gateway_key_version: gateway_public_key_file.read()}
    private_key = None if gateway_private_key_file is None else gateway_private_key_file.read()
    return KeyChange(private_key, key_version, public_keys, retired)


@merchants.command()
@click.argument("merchant_id")
@json_option
def disable(merchant_id: str, *, as_json: bool) -> None:
    """Refuse everything that a merchant's clients ask for, within seconds; nothing is deleted."""
    from ops.merchants import Change, change_merchant, merchant_record
    from ops.operating import with_onboarding

    merchant = with_onboarding(lambda onboarding: change_merchant(onboarding, merchant_id, Change(active=False)))
    show_record(merchant_record(merchant), as_json=as_json)

"""`cardvault sandbox`: the gateway simulator as a process of its own.

It refuses to know the gateway's rules. Invariant: it does not start where real cards are expected.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from ops.cli.output import json_option

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="Default: a free one.")
@click.option("--public-url", metavar="URL", help="What links to the 3DS page start with.")
@click.option("--tls", is_flag=True, help="HTTPS, with a certificate made at every start.")
@click.option("--tls-directory", type=_FOLDER, help="Where the certificate is written for clients.")
@click.option("--gateway-key-file", type=_FILE, help="Keep the gateway's key here.")
@click.option("--state-directory", type=_FOLDER, help="Keep registered merchants here.")
@click.option("--strict", is_flag=True, help="Insist on what the real gateway is lenient about.")
@click.option("--luhn/--no-luhn", default=True, help="Check the check digit.")
@click.option("--asynchronous", is_flag=True, help="Answer every authorisation U and decide later.")
@click.option("--regional-rule", type=click.Choice(["REFUSE", "IGNORE"]), default="REFUSE", show_default=True)
@click.option("--risk-challenge-from", type=int, metavar="VALUE", help="Challenge amounts from there up.")
@click.option("--stable-tokens", is_flag=True, help="The same token for the same card.")
@click.option("--token-in-answer/--no-token-in-answer", default=True)
@click.option("--capture-delay", type=float, default=1.0, show_default=True, metavar="SECONDS")
@click.option("--late-after", type=float, default=2.0, show_default=True, metavar="SECONDS")
@click.option("--notifications/--no-notifications", default=True)
@click.option("--resend/--no-resend", default=True, help="Repeat notifications that are not acknowledged.")
@click.option("--notification-scale", type=float, default=1 / 120, metavar="FACTOR", help="Of the resend intervals.")
@click.option("--notification-timeout", type=float, default=5.0, show_default=True, metavar="SECONDS")
@click.option("--clock-skew", type=float, metavar="SECONDS", help="How far off Request-Time may be. Default: any.")
@json_option
def sandbox(*, as_json: bool, regional_rule: str, **options: Any) -> None:
    """Run the gateway simulator until interrupted; see docs/sandbox.md."""
    from ops.sandbox.config import RegionalRule, SandboxConfig
    from ops.sandbox.server import serve

    def ready(url: str) -> None:
        click.echo(json.dumps({"sandboxUrl": url}) if as_json else f"The sandbox gateway listens on {url}")

    asyncio.run(serve(SandboxConfig(regional_rule=RegionalRule(regional_rule), **options), ready))

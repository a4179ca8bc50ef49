"""`cardvault doctor`: what is wrong with this installation, and how to mend it.

It refuses to know what is examined. Invariant: it works without a running server and changes nothing.
"""

import asyncio
import json
import os
import sys

import click

from ops.cli.output import json_option


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, *, as_json: bool) -> None:
    """Examine settings, database, schema, roles, keys, clock, audit and gateway; exit code 1 when something fails."""
    from ops.doctor import Level, examine
    from ops.doctor_view import plain_lines, tree
    from vault.logs import configure
    from vault.settings import LogFormat

    configure(LogFormat.JSON, stream=sys.stderr.buffer)
    findings = asyncio.run(examine(os.environ))
    failed = any(finding.level is Level.FAIL for finding in findings)
    if as_json:
        click.echo(json.dumps({"ok": not failed, "findings": [finding.as_record() for finding in findings]}))
    elif sys.stdout.isatty():
        from rich.console import Console

        Console(highlight=False).print(tree(findings))
    else:
        click.echo("\n".join(plain_lines(findings)))
    ctx.exit(1 if failed else 0)

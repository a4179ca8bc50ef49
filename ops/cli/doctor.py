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
    """Examine this installation, without a running server; exit code 1 when something fails."""
    from ops.doctor import examine
    from ops.doctor_findings import Level, report, worst
    from ops.doctor_view import plain_lines, tree
    from vault.logs import configure
    from vault.settings import LogFormat

    configure(LogFormat.JSON, stream=sys.stderr.buffer)
    findings = asyncio.run(examine(os.environ))
    if as_json:
        click.echo(json.dumps(report(findings)))
    elif sys.stdout.isatty():
        from rich.console import Console

        Console(highlight=False).print(tree(findings))
    else:
        click.echo("\n".join(plain_lines(findings)))
    ctx.exit(1 if worst(findings) is Level.FAIL else 0)

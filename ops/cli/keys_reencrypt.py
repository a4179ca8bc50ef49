"""`cardvault keys reencrypt`: whatever retired keys hold is brought under the active ones, watched or not.

It refuses to know key material. Invariant: the job lives in the database; a command that ends early leaves it running.
"""

from typing import TYPE_CHECKING

import click

from ops.cli.output import json_option, remark, show_record, show_table
from ops.cli.progress_view import drawn

if TYPE_CHECKING:
    from vault.reencryption import Progress

_COLUMNS = ("merchantId", "keyId", "place", "done", "total", "damaged")
_STOPPED = 1


@click.group(invoke_without_command=True)
@click.option("--detach", is_flag=True, help="Leave the work to the workers and return at once.")
@click.option("--follow", is_flag=True, help="Only watch the job that the workers are doing.")
@click.option(
    "--rate",
    type=click.IntRange(min=0),
    metavar="N",
    help="Move at most N rows a second in all, 2000 at first; 0: no limit.",
)
@json_option
@click.pass_context
def reencrypt(context: click.Context, *, detach: bool, follow: bool, rate: int | None, as_json: bool) -> None:
    """Bring everything that is sealed under retired keys under the active ones, without an interruption.

    Takes part in the work and shows its progress until it is done. Ctrl-C ends this command only: the job stays
    running, workers go on with it, and the same command takes it up again. `pause` and `resume` hold the job itself.
    """
    if context.invoked_subcommand is not None:
        return
    if follow and (detach or rate is not None):
        raise click.UsageError("--follow only watches: give it without --detach and --rate")
    from ops import reencrypting

    if detach:
        _show(reencrypting.start(rate), as_json=as_json)
        return
    try:
        with drawn("re-encrypted") as draw:

            def show(progress: "Progress") -> None:
                draw(progress.done, progress.total, progress.rate, progress.remaining_seconds)

            done = reencrypting.follow(show) if follow else reencrypting.work(rate, show)
    except KeyboardInterrupt:
        remark(
            "Stopped watching. The job stays running: workers go on with it; cardvault keys reencrypt pause holds it."
        )
        raise click.exceptions.Exit(_STOPPED) from None
    _show(done, as_json=as_json)


@reencrypt.command()
@json_option
def pause(*, as_json: bool) -> None:
    """Hold the job; batches in hand are finished."""
    from ops import reencrypting

    _show(reencrypting.pause(), as_json=as_json)


@reencrypt.command()
@json_option
def resume(*, as_json: bool) -> None:
    """Go on with a job that was held."""
    from ops import reencrypting

    _show(reencrypting.resume(), as_json=as_json)


@reencrypt.command()
@json_option
def status(*, as_json: bool) -> None:
    """Show how far the newest job is, key by key."""
    from ops import reencrypting

    _show(reencrypting.status(), as_json=as_json)


def _show(progress: "Progress", *, as_json: bool) -> None:
    from ops.reencrypting import record

    shown = record(progress)
    if as_json:
        show_record(shown, as_json=True)
        return
    keys = shown.pop("keys")
    show_record(shown, as_json=False)
    if keys:
        click.echo()
        show_table(keys, _COLUMNS, as_json=False)

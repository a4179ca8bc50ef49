"""`cardvault dev` and `cardvault demo`: a playground in the foreground, and the story that is played on one.

It refuses to know what a playground is made of. Invariants: the state file exists only while everything works; SIGTERM
and SIGINT stop all of it.
"""

from pathlib import Path

import click


@click.command()
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the state as JSON once all is ready. Default: state.json in the data folder.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of everything that stays. Default: one for each account, printed at the start.",
)
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="The server's port. Default: a free one.")
@click.option("--limits", is_flag=True, help="Limits, card-testing guard and retry guard on, as in production.")
def dev(state: Path | None, data: Path | None, port: int, *, limits: bool) -> None:
    """Run the playground: embedded PostgreSQL, gateway simulator, server, worker, one merchant, one API key."""
    from ops.dev import run_dev
    from ops.playground import PlaygroundOptions
    from ops.playground_folder import default_folder

    folder = data or default_folder()
    run_dev(PlaygroundOptions(folder, port, limits), state or folder / "state.json")


@click.command()
@click.option("--keep", is_flag=True, help="Stay afterwards and show requests to try.")
def demo(*, keep: bool) -> None:
    """Play the whole story on a playground of its own; exit code 1 when a step does not hold."""
    from ops.demo import run_demo

    run_demo(keep=keep)

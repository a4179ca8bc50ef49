"""`cardvault serve` and `cardvault worker`: the two kinds of processes that an installation runs.

It refuses to know the application. Invariant: both end on SIGTERM and SIGINT after finishing what they have begun.
"""

import click


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65_535), default=8080, show_default=True)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Server processes.")
@click.option("--with-worker", is_flag=True, help="Run a worker beside the server; both end together.")
def serve(host: str, port: int, workers: int, *, with_worker: bool) -> None:
    """Run the HTTP API (settings from CARDVAULT_*). Logs go to standard output."""
    from ops.serving import ServerOptions, run_server

    run_server(ServerOptions(host, port, workers, with_worker))


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65_535), help="Answer /healthz, /readyz and /metrics there.")
@click.option("--hold-expiry", is_flag=True, help="End, delete and replace nothing for its age: after a restore.")
def worker(host: str, port: int | None, *, hold_expiry: bool) -> None:
    """Do the work that no request waits for: payments whose outcome is not known yet. Any number may run."""
    from ops.working import run_worker

    run_worker(host, port, hold_expiry=hold_expiry)

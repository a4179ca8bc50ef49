"""What the audit log costs storing a card: the vault with its worker beside one whose events were taken out.

`python -m ops.bench.audit_overhead [ROUNDS]`. It refuses to be a switch of the product: events are taken out of a
scratch database, by a trigger that drops them and without those that ask for them. Invariant: both are measured in the
same round, one after the other, and every other round begins with the other one.
"""

import asyncio
from contextlib import suppress
from statistics import median
from typing import Final

import click

from ops.bench.comparing import Pair
from ops.bench.cpu import cpu_seconds
from ops.bench.machine import facts
from ops.bench.measuring import Meter
from ops.bench.plan import Case, Plan
from ops.bench.site import Server, Site
from ops.connection import connect
from ops.stopping import stoppable

_ROUNDS: Final = 15
_CARDS: Final = 10_000
_SECONDS: Final = 2.0
_MILLION: Final = 1_000_000
_ASKING: Final = """
select format('drop trigger %I on %s', tgname, tgrelid::regclass) from pg_trigger
where tgfoid = 'vault.require_audit_event()'::regprocedure and tgparentid = 0 and not tgisinternal
"""
_DROPPING: Final = """
create function vault.drop_event() returns trigger language plpgsql as 'begin return null; end';
create trigger drop_event before insert on vault.audit_pending for each row execute function vault.drop_event()
"""


@click.command()
@click.argument("rounds", type=click.IntRange(1), default=_ROUNDS)
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True, help="Server processes of each.")
@click.option("--seconds", type=click.FloatRange(0.05), default=_SECONDS, show_default=True)
def main(rounds: int, processes: int, seconds: float) -> None:
    """Measure so many pairs, and print the medians as a table."""
    plan = Plan(cases=(Case.STORE,), rounds=rounds, seconds=seconds)
    rows: dict[str, float] = {}
    with stoppable(), Site() as site:
        machine = facts(site.superuser_url("postgres"))
        rows = _measured(site, plan, processes)
    if not rows:
        raise click.ClickException("the measurement was interrupted")
    click.echo(", ".join(f"{name} {value}" for name, value in machine.items()) + "\n")
    click.echo(f"| {Case.STORE.route}, {rounds} pairs, {processes} processes | median |\n| --- | --- |")
    for name, figure in rows.items():
        click.echo(f"| {name} | {figure:,.2f} |")


def _measured(site: Site, plan: Plan, processes: int) -> dict[str, float]:
    for name in ("audited", "bare"):
        site.make_database(name, _CARDS, limit=False)
    asyncio.run(_take_events_out(site.superuser_url("bare")))
    worker = site.start_worker("audited")
    audited, bare = (site.start_product(name, _CARDS, processes) for name in ("audited", "bare"))
    with Meter(site, plan) as meter:
        site.await_ready((audited, bare))
        for server in (audited, bare):
            meter.warm(server, plan.cases)
        site.refresh_statistics()
        began = cpu_seconds([worker.pid])
        pairs = [_pair(meter, audited, bare, turned=bool(number % 2)) for number in range(plan.rounds)]
        worked = cpu_seconds([worker.pid]) - began
    stored = sum(pair.product.rate for pair in pairs) * plan.seconds
    return {
        "with the audit log and its worker, cards/s": median(pair.product.rate for pair in pairs),
        "without events, cards/s": median(pair.limit.rate for pair in pairs),
        "rate with as a part of the rate without": median(pair.rate_ratio for pair in pairs),
        "server and database, processor time without as a part of that with": median(pair.cpu_ratio for pair in pairs),
        "worker, processor time for each card, idle loops included, µs": worked / stored * _MILLION,
    }


def _pair(meter: Meter, audited: Server, bare: Server, *, turned: bool) -> Pair:
    first, second = (audited, bare) if turned else (bare, audited)
    samples = {id(server): meter.measure(Case.STORE, server) for server in (first, second)}
    return Pair(limit=samples[id(bare)], product=samples[id(audited)])


async def _take_events_out(url: str) -> None:
    connection = await connect(url)
    for row in await connection.fetch(_ASKING):
        await connection.execute(row[0])
    await connection.execute(_DROPPING)
    await connection.close()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(prog_name="python -m ops.bench.audit_overhead")

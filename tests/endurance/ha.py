"""Payments and cards while the database's leader changes, dies and hangs: `make ha`.

It refuses to know how the cluster is made and what has to hold. Invariant: no process of the vault is started again
during the run, and the next fault comes when the cluster is whole again.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack

from ops.stopping import stoppable
from tests.endurance.load import Load
from tests.endurance.patroni import Patroni, missing
from tests.endurance.report import Effect, conclude, say, tell
from tests.endurance.site import await_that, new_folder, open_site
from tests.endurance.verdict import judge

BUYERS, RATE = 16, 30.0
_CALM = 5.0
_HANGING = 45.0
_PATIENCE = 180.0


def main() -> int:
    """Run all faults once; the exit code says whether everything held."""
    if lacking := missing():
        say(f"not run: {', '.join(lacking)} missing (Debian: apt-get install postgresql patroni etcd-server)")
        return 2
    with ExitStack() as stack:
        folder = new_folder(stack, "ha")
        cluster = stack.enter_context(Patroni(folder.root / "cluster"))
        site = open_site(stack, folder, cluster.url)
        before = site.pids()
        load = Load(site.servers, site.record.api_key, BUYERS, RATE)
        say(f"{BUYERS} buyers, {RATE:.0f} requests a second at most, two servers, one worker, two databases:")
        asyncio.run(_run(cluster, load))
        verdict = asyncio.run(judge(site, load.told))
        restarted = [
            f"{name} was not the same process all the time" for name in before if site.pids()[name] != before[name]
        ]
        return conclude(verdict, load.told, restarted)


async def _run(cluster: Patroni, load: Load) -> None:
    load.begin()
    await asyncio.sleep(_CALM)
    faults: dict[str, Callable[[Patroni], None]] = {
        "orderly switch-over": _switched,
        "leader killed": _killed,
        "leader stands still": _stood_still,
        "follower stands still": _follower_stood_still,
    }
    for name, fault in faults.items():
        began = time.monotonic()
        await asyncio.to_thread(fault, cluster)
        tell(await _effect(name, cluster, load, began))
    await load.end()


async def _effect(name: str, cluster: Patroni, load: Load, began: float) -> Effect:
    await asyncio.to_thread(await_that, cluster.is_safe, seconds=_PATIENCE)
    whole = time.monotonic()
    await asyncio.sleep(_CALM)
    ended = time.monotonic()
    return Effect(name, load.told.gap(began, ended), whole - began, load.told.in_time(began, ended))


def _switched(cluster: Patroni) -> None:
    cluster.switch_over()


def _killed(cluster: Patroni) -> None:
    leader = cluster.leader()
    cluster.kill(leader)
    await_that(lambda: cluster.led_by_another_than(leader), seconds=_PATIENCE)
    cluster.start(leader)


def _stood_still(cluster: Patroni) -> None:
    leader = cluster.leader()
    cluster.freeze(leader)
    await_that(lambda: cluster.led_by_another_than(leader), seconds=_PATIENCE)
    time.sleep(_HANGING)
    cluster.thaw(leader)


def _follower_stood_still(cluster: Patroni) -> None:
    follower = cluster.follower()
    cluster.freeze(follower)
    time.sleep(_HANGING)
    cluster.thaw(follower)


if __name__ == "__main__":
    with stoppable():
        sys.exit(main())

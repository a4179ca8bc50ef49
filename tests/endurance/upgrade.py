"""Payments while an installation goes from the version before to this one, and back again: `make upgrade`.

It refuses to know what the versions differ in. Invariants: the version before is run from its own sources, taken out of
the repository; no request may fail but for connections that a process which is just being replaced cannot take; the
schema goes forward while the version before serves, and back while it serves again (ADR 0036).
"""

import argparse
import asyncio
import io
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from alembic import command

from ops.embedded import EmbeddedPostgres
from ops.stopping import stoppable
from tests.endurance.load import Load
from tests.endurance.report import Effect, conclude, say, tell
from tests.endurance.site import DATABASE, SERVERS, WORKER, Site, new_folder, open_site
from tests.endurance.soak import BUYERS, Crowd, at_login, half_of_capacity
from tests.endurance.verdict import judge
from tests.ops.servers import ask
from vault import migrations

ROOT = Path(__file__).parents[2]
VERSIONS = Path("vault/migrations/versions")
_CALM = 8.0
# A process that is being replaced refuses connections; its merchants ask another one.
_REPLACED = {"ConnectError"}
_REVISION = "select version_num from vault.alembic_version"


def before(wanted: str | None) -> str:
    """Choose the version before: what was wanted, or the last tag, or the last commit without the newest migration."""
    if wanted:
        return wanted
    if tag := _git("tag", "--sort=-creatordate").split("\n")[0]:
        return tag
    newest = max(each.name for each in (ROOT / VERSIONS).glob("[0-9]*.py"))
    return _git("log", "-1", "--diff-filter=A", "--format=%H", "--", str(VERSIONS / newest)) + "^"


def main(version: str) -> int:
    """Go there and back; the exit code says whether everything held."""
    with ExitStack() as stack:
        folder = new_folder(stack, "upgrade")
        old = folder.root / "before"
        _take_out(version, old)
        postgres = stack.enter_context(EmbeddedPostgres(folder.postgres, logs=folder.logs))
        postgres.create_database(DATABASE)
        superuser = postgres.url(DATABASE)
        site = open_site(stack, folder, lambda login: at_login(superuser, login), old)
        revision = str(ask(superuser, _REVISION))
        # One server of two is away at times, and starting it takes a processor.
        load = Load(site.servers, site.record.api_key, BUYERS, half_of_capacity(site) / 2)
        say(
            f"from {_git('log', '-1', '--format=%h %s', version)} (schema {revision}), {load.rate:.0f} requests a second:"
        )
        steps: dict[str, Callable[[], None]] = {
            "version before": lambda: None,
            "schema forward": lambda: asyncio.run(migrations.upgrade(superuser)),
            "servers and worker forward": lambda: _roll(site, None),
            "servers and worker back": lambda: _roll(site, old),
            "schema back": lambda: _downgrade(superuser, revision),
            "schema forward again": lambda: asyncio.run(migrations.upgrade(superuser)),
            "servers and worker forward again": lambda: _roll(site, None),
        }
        with Crowd(load):
            for name, step in steps.items():
                tell(_effect(name, load, step))
        failed = [f"{count} times {what}" for what, count in load.told.asked_again.items() if what not in _REPLACED]
        return conclude(asyncio.run(judge(site, load.told)), load.told, failed)


def _effect(name: str, load: Load, step: Callable[[], None]) -> Effect:
    began = time.monotonic()
    step()
    done = time.monotonic()
    time.sleep(_CALM)
    ended = time.monotonic()
    return Effect(name, load.told.gap(began, ended), done - began, load.told.in_time(began, ended))


def _roll(site: Site, code: Path | None) -> None:
    """Replace one process after the other."""
    for name in (*SERVERS, WORKER):
        site.run_with(name, code)


def _downgrade(url: str, revision: str) -> None:
    command.downgrade(migrations._config(url), revision)


def _take_out(version: str, folder: Path) -> None:
    """Lay a version's sources in a folder."""
    packed = subprocess.run(
        ["git", "archive", version, "keys", "vault", "ops"], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as sources:
        sources.extractall(folder, filter="data")


def _git(*arguments: str) -> str:
    told = subprocess.run(["git", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return told.stdout.strip()


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description="From the version before to this one and back, under load.")
    asked.add_argument(
        "--before", help="a commit or tag; the last tag, or the last commit without the newest migration"
    )
    with stoppable():
        sys.exit(main(before(asked.parse_args().before)))

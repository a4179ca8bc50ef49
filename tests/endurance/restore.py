"""A restore to an earlier moment while buyers pay, by the runbook of docs/operations.md: `make restore`.

It refuses to know how a backup is made. Invariants: what was acknowledged before the moment is there again, what came
after it is known to be missing, nothing is deleted for its age before operators let it, and nobody pays twice.
"""

import asyncio
import copy
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any

from ops.local_http import Answer, Call, call
from ops.playground_folder import Folder
from ops.process import Process
from ops.stopping import stoppable
from tests.endurance.archive import Archive, ask
from tests.endurance.load import Acknowledged, Load
from tests.endurance.report import say
from tests.endurance.site import GATEWAY, SERVERS, WORKER, Site, await_that, new_folder, open_site, running
from tests.endurance.verdict import STILL_OPEN
from vault.settings import PREFIX

BUYERS, RATE = 8, 20.0
_STRETCH = 6.0
_HELD = 5.0
_DEPARTED = 410
_AT_ONCE = ("--retention", "0", "--retention-from", "unused", "--retention-reason", "Drill: due at once.")
# What is done once a day is due again.
_A_DAY_LATER = "update vault.retention_run set started_at = started_at - interval '2 days'"


def main() -> int:
    """Lose a stretch of business and come back; raises `AssertionError` where something does not hold."""
    with ExitStack() as stack:
        folder = new_folder(stack, "restore")
        archive = Archive(folder.root / "database")
        stack.callback(archive.stop)
        archive.start()
        site = open_site(stack, folder, archive.url, AUDIT_ANCHOR=f"file:{folder.root / 'anchor.jsonl'}")
        drill = Drill(site, archive)
        drill.lose_a_stretch()
        drill.restore()
        drill.look()
        drill.repeat()
        drill.go_on()
        drill.verify(folder)
    say("All of it held.")
    return 0


class Drill:
    """The steps of the runbook, in its order; each says what it found."""

    def __init__(self, site: Site, archive: Archive) -> None:
        self._site = site
        self._archive = archive
        self._load = Load(site.servers, site.record.api_key, BUYERS, RATE)
        self._operators = running(None, site.environ | {f"{PREFIX}ADMIN_DATABASE_URL": site.superuser})

    def lose_a_stretch(self) -> None:
        """Back up while buyers pay, note the moment, go on as if nothing were to happen."""
        with _running(self._load):
            time.sleep(_STRETCH)
            self._archive.back_up()
            time.sleep(_STRETCH)
            self._deleted_later = self._stored("buyer-who-leaves")
            self._revoked_later = self._client()
            self._command("merchants", "update", self._site.record.merchant_id, *_AT_ONCE)
            self._due = self._stored("buyer-of-once")
            self._before: Acknowledged = copy.deepcopy(self._load.told)
            self._moment: datetime = ask(self._archive.url(), "select clock_timestamp()")
            time.sleep(_STRETCH)
            assert self._api("DELETE", f"/v1/cards/{self._deleted_later}").status < 300
            self._command("clients", "revoke", self._revoked_later["clientId"])
        assert not self._load.told.refused, self._load.told.refused
        self._archive.archive_all()
        lost = len(self._load.told.payments) - len(self._before.payments)
        say(f"{len(self._before.payments)} payments acknowledged before the moment, {lost} after it or about then")

    def restore(self) -> None:
        """Stop everything, and start the database of that moment in the place of the other one."""
        for name in (*SERVERS, WORKER):
            self._site.processes[name].stop()
        self._archive.stop()
        began = time.monotonic()
        self._archive.restore(self._moment)
        say(f"restored to {self._moment.isoformat()} in {time.monotonic() - began:.1f} s")

    def look(self) -> None:
        """Do what the runbook says before anybody else comes in, and compare."""
        self._command("doctor")
        restored = self._command("audit", "checkpoint")["size"]
        newest = json.loads((self._site.folder.root / "anchor.jsonl").read_text().splitlines()[-1])
        anchored = int(newest["note"].splitlines()[1])
        assert anchored > restored
        self._command("keys", "rotate", "data")
        self._command("audit", "new-epoch", "--reason", "restored")
        log = self._site.folder.logs / "held.log"
        self._site.processes["held"] = Process(
            "held", ["worker", "--hold-expiry"], running(None, self._site.environ), log
        )
        self._site.start("held")
        self._site.start(SERVERS[0])
        await_that(lambda: self._site.is_ready(SERVERS[0]))
        await_that(lambda: ask(self._archive.url(), STILL_OPEN) == 0)
        ledger = call(self._site.urls[GATEWAY], Call("GET", "/_sandbox/ledger")).json
        authorised = {row["paymentRequestId"] for row in ledger if row["status"] == "AUTHORISED"}
        known = set(ask(self._archive.url(), "select array_agg(request_id) from vault.payment"))
        cards = set(ask(self._archive.url(), "select array_agg(id) from vault.card"))
        assert self._before.payments.keys() <= known
        assert self._before.cards.keys() <= cards
        missing = authorised - known
        assert missing
        assert not missing & self._before.payments.keys()
        say(f"{anchored - restored} signed events and {len(missing)} payments are missing, all from after the moment")

    def repeat(self) -> None:
        """Repeat what was deleted and revoked in the lost stretch; until then it is all there again."""
        ask(self._archive.url(), _A_DAY_LATER)
        time.sleep(_HELD)
        key = self._revoked_later["apiKey"]
        path = f"/v1/cards/{self._deleted_later}"
        assert self._api("GET", path, key).status == 200
        assert self._api("GET", f"/v1/cards/{self._due}").status == 200, "it is past its period, and held"
        assert self._api("DELETE", path).status < 300
        self._command("clients", "revoke", self._revoked_later["clientId"])
        await_that(lambda: self._api("GET", path, key).status == 401)
        assert self._api("GET", path).status == _DEPARTED

    def go_on(self) -> None:
        """Let workers, servers and buyers in again."""
        self._site.processes["held"].stop()
        self._site.start(WORKER)
        self._site.start(SERVERS[1])
        await_that(lambda: self._site.is_ready(SERVERS[1]))
        await_that(lambda: self._api("GET", f"/v1/cards/{self._due}").status == _DEPARTED)
        again = Load(self._site.servers, self._site.record.api_key, BUYERS, RATE, "again")
        with _running(again):
            time.sleep(_STRETCH)
        assert not again.told.refused, again.told.refused
        await_that(lambda: ask(self._archive.url(), STILL_OPEN) == 0)
        ledger = call(self._site.urls[GATEWAY], Call("GET", "/_sandbox/ledger")).json
        paid = [row["paymentRequestId"] for row in ledger]
        assert len(paid) == len(set(paid))
        say(f"{len(again.told.payments)} payments afterwards; nobody paid twice")

    def verify(self, folder: Folder) -> None:
        """Have the log of the new epoch verified, with the anchor that knows both."""
        export = folder.root / "export"
        self._command("audit", "export", "--output", str(export))
        self._command("audit", "verify", str(export), "--anchor", str(folder.root / "anchor.jsonl"))
        [first, *_] = (export / "entries.jsonl").read_text().splitlines()
        assert "audit.epoch_begun" in first

    def _client(self) -> dict[str, Any]:
        arguments = ("--merchant", self._site.record.merchant_id, "--name", "till", "--all-scopes")
        return dict(self._command("clients", "create", *arguments))

    def _stored(self, buyer: str) -> str:
        card = {"cardNo": "4111111111111111", "expiryMonth": "11", "expiryYear": "39"}
        body = {"referenceBuyerId": buyer, "card": card, "storage": "VAULT"}
        answer = self._api("POST", "/v1/cards", body=body)
        assert answer.status == 201, answer.text
        return str(answer.json["cardId"])

    def _api(self, method: str, path: str, key: str = "", body: dict[str, Any] | None = None) -> Answer:
        headers = {"Authorization": f"Bearer {key or self._site.record.api_key}"}
        return call(self._site.urls[SERVERS[0]], Call(method, path, body, headers=headers))

    def _command(self, *arguments: str) -> Any:
        command = [sys.executable, "-P", "-m", "ops.cli", *arguments]
        json_option = [] if arguments[:2] == ("audit", "verify") else ["--json"]
        done = subprocess.run(command + json_option, env=self._operators, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(arguments[:2])}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return json.loads(done.stdout) if json_option else None


@contextmanager
def _running(load: Load) -> Iterator[None]:
    """Have buyers come in a thread of their own for a block."""
    ended = threading.Event()

    async def run() -> None:
        load.begin()
        await asyncio.to_thread(ended.wait)
        await load.end()

    buyers = threading.Thread(target=lambda: asyncio.run(run()))
    buyers.start()
    try:
        yield
    finally:
        ended.set()
        buyers.join()


if __name__ == "__main__":
    with stoppable():
        sys.exit(main())

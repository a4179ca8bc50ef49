"""`cardvault dev` from outside, as merchant developers and acceptance runs use it."""

import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.local_http import Answer, Call, call
from ops.playground_folder import Folder, Record, remembered_ports, write_private
from ops.refusal import Refused
from tests.canary import CVV_CANARY, VISA_CANARY, leaks_in_folder
from tests.database import place_for_servers
from tests.ops.cli.commands import Desk
from tests.ops.processes import await_that, below, command_line, is_alive, read_state, start

CARD = {"cardNo": VISA_CANARY, "expiryMonth": "11", "expiryYear": "39"}


@dataclass(slots=True)
class Dev:
    """A playground in a process of its own."""

    data: Path
    state_file: Path
    process: "subprocess.Popen[bytes] | None" = None

    def up(self, *options: str) -> dict[str, Any]:
        with (self.data.parent / "dev.log").open("ab") as log:
            self.process = start(["dev", "--data", str(self.data), "--state", str(self.state_file), *options], log)
        await_that(self.state_file.exists, self.process)
        return self.state

    @property
    def state(self) -> dict[str, Any]:
        return read_state(self.state_file)

    @property
    def desk(self) -> Desk:
        return Desk(self.data, self.state["env"])

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        state = self.state
        return call(state["baseUrl"], Call(method, path, body, headers={"Authorization": f"Bearer {state['apiKey']}"}))

    def pay(self, request_id: str) -> Answer:
        order = {"referenceOrderId": f"o-{request_id}", "orderDescription": "two books"}
        amount = {"currency": "EUR", "value": "1200"}
        body = {
            "paymentRequestId": request_id,
            "paymentAmount": amount,
            "order": order,
            "card": CARD | {"cvv": CVV_CANARY},
        }
        return self.ask("POST", "/v1/payments", body)

    def arm(self, request_id: str, scenario: str) -> None:
        body = {"paymentRequestId": request_id, "scenario": scenario}
        assert call(self.state["sandboxUrl"], Call("POST", "/_sandbox/scenarios", body)).status < 300


def fresh_dev() -> Iterator[Dev]:
    folder = Path(tempfile.mkdtemp(prefix="cardvault-tests-dev-", dir=place_for_servers()))
    folder.chmod(0o711)
    dev = Dev(folder / "data", folder / "state.json")
    try:
        yield dev
    finally:
        if dev.process is not None and dev.process.poll() is None:
            dev.end(signal.SIGTERM)
        leaks = leaks_in_folder(dev.data, text=False) + leaks_in_folder(dev.data / "logs", text=True)
        shutil.rmtree(folder)
    assert leaks == []


@pytest.fixture(scope="module")
def dev() -> Iterator[Dev]:
    """A playground that the tests of this module share; none of them stops it."""
    for one in fresh_dev():
        one.up()
        yield one


@pytest.fixture
def own_dev() -> Iterator[Dev]:
    """A playground that a test may stop and start."""
    yield from fresh_dev()


def test_the_state_file_is_private_and_complete(dev: Dev) -> None:
    assert stat.S_IMODE(dev.state_file.stat().st_mode) == 0o600
    assert dev.state.keys() == {
        *("baseUrl", "apiKey", "merchantId", "sandboxUrl", "databaseUrl", "dataDir", "logDir", "pids", "env"),
    }
    assert dev.state["databaseUrl"].startswith("postgresql://postgres:")
    assert all(isinstance(value, str) for value in dev.state["env"].values())


def test_the_server_is_ready_when_the_file_is_there(dev: Dev) -> None:
    assert call(dev.state["baseUrl"], Call("GET", "/readyz")).status == 200


def test_the_api_key_stores_and_pays(dev: Dev) -> None:
    stored = dev.ask("POST", "/v1/cards", {"referenceBuyerId": "b-1", "card": CARD, "storage": "VAULT"})
    assert stored.status in {200, 201}
    assert dev.pay("pays").json["paymentStatus"] == "SUCCESS"


def test_the_api_key_reads_the_audit_log(dev: Dev) -> None:
    assert dev.pay("on-record").json["paymentStatus"] == "SUCCESS"

    def listed() -> list[str]:
        return [event["eventId"] for event in dev.ask("GET", "/v1/audit/events").json["events"]]

    await_that(lambda: bool(listed()))
    assert dev.ask("GET", "/v1/audit/checkpoint").json["size"] > 0
    assert dev.ask("GET", f"/v1/audit/proofs/{listed()[0]}").status == 200


def test_the_environment_leads_other_commands_here(dev: Dev) -> None:
    assert dev.desk.data("merchants", "show", dev.state["merchantId"])["name"] == "Playground"
    assert dev.desk.run("doctor").exit_code == 0


def test_the_servers_login_may_not_change_the_schema(dev: Dev) -> None:
    said = dev.desk.refusal("db", "upgrade", admin_database_url=dev.state["env"]["CARDVAULT_DATABASE_URL"])
    assert "SQL state 42501" in said


def test_the_servers_login_may_not_do_operators_work(dev: Dev) -> None:
    said = dev.desk.refusal("merchants", "list", admin_database_url=dev.state["env"]["CARDVAULT_DATABASE_URL"])
    assert "may not act as cardvault_operator" in said


def test_no_secret_is_in_a_command_line_and_no_operators_login_in_a_servers_environment(dev: Dev) -> None:
    secrets = [
        dev.state["apiKey"],
        *(url.split(":")[2].split("@")[0] for url in dev.state["env"].values() if "@" in url),
    ]
    for pid in dev.state["pids"].values():
        assert not any(secret in command_line(pid) for secret in secrets)
    for name in ("server", "worker"):
        assert b"CARDVAULT_ADMIN" not in Path(f"/proc/{dev.state['pids'][name]}/environ").read_bytes()


def test_a_second_playground_is_refused_and_leaves_the_first_alone(dev: Dev) -> None:
    desk = Desk(dev.data, {})
    said = desk.refusal("dev", "--data", str(dev.data), "--state", str(dev.state_file))
    assert f"runs in {dev.data} already" in said
    assert "--data" in said
    assert call(dev.state["baseUrl"], Call("GET", "/readyz")).status == 200


@pytest.mark.parametrize("scenario", ["LOST_ANSWER+NO_NOTIFICATION", "RESET", "SLOW:3000"])
def test_every_outcome_becomes_known_soon(dev: Dev, scenario: str) -> None:
    request_id = f"soon-{scenario.partition(':')[0].partition('+')[0].lower()}"
    dev.arm(request_id, scenario)
    paid = dev.pay(request_id).json

    def status() -> str:
        return str(dev.ask("GET", f"/v1/payments/{paid['paymentId']}").json["paymentStatus"])

    await_that(lambda: status() in {"SUCCESS", "FAIL"})
    assert (status() == "FAIL") is (scenario == "RESET")


def test_what_is_killed_is_started_again(dev: Dev) -> None:
    before = dev.state["pids"]
    for name in ("server", "worker"):
        os.kill(before[name], signal.SIGKILL)
    await_that(lambda: all(dev.state["pids"][name] != before[name] for name in ("server", "worker")))

    def ready() -> bool:
        try:
            return call(dev.state["baseUrl"], Call("GET", "/readyz")).status == 200
        except OSError:
            return False

    await_that(ready)


def test_it_starts_again_where_it_stopped_and_ends_without_a_trace(own_dev: Dev) -> None:
    first = own_dev.up()
    body = {"referenceBuyerId": "b-2", "card": CARD, "storage": "VAULT"}
    card = own_dev.ask("POST", "/v1/cards", body).json
    assert own_dev.end(signal.SIGTERM) == 0
    assert not own_dev.state_file.exists()
    assert below(own_dev.data) == []

    second = own_dev.up()
    assert (own_dev.data.parent / "dev.log").read_text().count("simulator keeps cards and payments in memory") == 1
    assert [second[name] for name in ("apiKey", "merchantId")] == [first[name] for name in ("apiKey", "merchantId")]
    assert own_dev.ask("POST", "/v1/cards", body).json["cardId"] == card["cardId"]
    assert own_dev.pay("again").json["paymentStatus"] == "SUCCESS"
    pids = own_dev.state["pids"].values()
    own_dev.end(signal.SIGKILL)
    await_that(lambda: not any(map(is_alive, pids)))
    await_that(lambda: below(own_dev.data) == [])


def test_a_folder_that_others_may_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o777)
    with pytest.raises(Refused, match="others may write there"):
        Folder(tmp_path / "data").prepare()


def test_secrets_are_written_whole_and_private(tmp_path: Path) -> None:
    record = Record("key", "mer_1", "client")
    record.write(tmp_path / "record")
    write_private(tmp_path / "record", (tmp_path / "record").read_text())
    assert Record.read(tmp_path / "record") == record
    assert Record.read(tmp_path / "nothing") is None
    assert stat.S_IMODE((tmp_path / "record").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["record"]


def test_ports_stay_the_same_where_they_are_free(tmp_path: Path) -> None:
    first = remembered_ports(tmp_path / "ports", ("a", "b"))
    assert remembered_ports(tmp_path / "ports", ("a", "b")) == first
    assert len(set(first.values())) == 2

"""`cardvault serve` and `cardvault worker` as processes."""

import asyncio
import json
import os
import signal
import socket
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import asyncpg
import pytest

from ops.local_http import Call, call, is_up
from ops.refusal import Refused
from ops.serving import (
    ServerOptions,
    _Companion,
    _counting_together,
    _refuse_plain_text_to_strangers,
    uvicorn_config,
)
from ops.working import _port_config
from tests.installation import settings_for
from tests.ops.cli.commands import Desk, desk_at
from tests.ops.processes import await_that, is_alive, start
from vault import metrics

KINDS = ("process.started", "process.stopped")


@pytest.fixture
def desk(tmp_path: Path, database_url: str) -> Desk:
    desk = desk_at(tmp_path, database_url)
    desk.data("keys", "init")
    return desk


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.anyio
@pytest.mark.parametrize(("proxies", "believed"), [("", "127.0.0.1"), ("127.0.0.0/8", "203.0.113.9")])
async def test_a_forwarded_address_is_believed_from_trusted_proxies_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxies: str, believed: str
) -> None:
    """T-50: and of those that stand there the one that the last proxy saw."""
    seen: list[str] = []

    async def application(scope: Any, _receive: object, _send: object) -> None:
        seen.append(scope["client"][0])

    settings = settings_for(tmp_path, "postgresql://nobody@127.0.0.1/none", trusted_proxies=proxies)
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    server = uvicorn_config(settings, ServerOptions("127.0.0.1", 1, 1, with_worker=False))
    server.app = lambda: application
    headers = [(b"x-forwarded-for", b"198.51.100.7, 203.0.113.9")]
    for config in (server, _port_config(settings, application)):
        config.load()
        scope: Any = {"type": "http", "scheme": "http", "client": ("127.0.0.1", 1), "headers": headers}
        await config.loaded_app(scope, None, None)
        assert config.max_connections == settings.max_connections
    assert seen == [believed] * 2


def _is_private(pid: int, desk: Desk) -> None:
    """T-36: no core dump, nothing secret among the arguments, and the passphrase in no environment."""
    place = Path(f"/proc/{pid}")
    assert "Max core file size        0 " in (place / "limits").read_text() or b"resource_tracker" in _arguments(place)
    passphrase = (desk.folder / "passphrase").read_bytes().strip()
    assert passphrase not in _arguments(place)
    assert passphrase not in (place / "environ").read_bytes()
    assert b"postgresql://" not in _arguments(place)


def _arguments(place: Path) -> bytes:
    return (place / "cmdline").read_bytes()


def _metrics(port: int) -> bytes:
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        return bytes(answer.read())


def children(pid: int) -> list[int]:
    found = [int(each) for path in Path(f"/proc/{pid}/task").glob("*/children") for each in path.read_text().split()]
    return found + [grandchild for child in found for grandchild in children(child)]


async def presence(url: str) -> set[tuple[str, str]]:
    """Give which process has told the audit log of what, sequenced or not."""
    connection = await asyncpg.connect(url, ssl=False)
    bodies = await connection.fetch(
        "select body from vault.audit_pending "
        "union all select convert_to((convert_from(entry, 'UTF8')::json -> 'event')::text, 'UTF8') from vault.audit_leaf"
    )
    await connection.close()
    events = [json.loads(row["body"]) for row in bodies]
    return {(each["details"]["process"], each["type"]) for each in events if each["type"] in KINDS}


def test_a_server_with_processes_and_a_worker_ends_as_a_whole(
    desk: Desk, port: int, log_folder: Path, database_url: str
) -> None:
    """AUD-1: both are on record, from start to stop."""
    url = f"http://127.0.0.1:{port}"
    with (log_folder / f"serve-{port}.log").open("wb") as log:
        server = start(["serve", "--port", str(port), "--workers", "2", "--with-worker"], log, desk.env)
        await_that(lambda: is_up(url, "/readyz"), server)
        await_that(lambda: b"worker.started" in Path(log.name).read_bytes(), server)
        family = children(server.pid)
        assert len(family) >= 3
        for pid in (server.pid, *family):
            _is_private(pid, desk)
        for _ in range(10):
            call(url, Call("GET", "/healthz"))
        await_that(lambda: b'route="/healthz",status="200"} 1' in _metrics(port), server)
        assert "server" not in {name.lower() for name in call(url, Call("GET", "/healthz")).headers}
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
        await_that(lambda: not any(map(is_alive, family)))
    assert asyncio.run(presence(database_url)) == {(each, kind) for each in ("server", "worker") for kind in KINDS}


def test_a_killed_server_leaves_no_process(desk: Desk, port: int, log_folder: Path) -> None:
    with (log_folder / f"serve-{port}.log").open("wb") as log:
        server = start(["serve", "--port", str(port), "--workers", "2", "--with-worker"], log, desk.env)
        await_that(lambda: is_up(f"http://127.0.0.1:{port}", "/readyz"), server)
        family = children(server.pid)
        server.kill()
        server.wait(60)
        await_that(lambda: not any(map(is_alive, family)))


def test_a_server_whose_worker_dies_is_told_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    told = threading.Event()
    monkeypatch.setattr("ops.serving._WORKER", (sys.executable, "-c", "pass"))
    before = signal.signal(signal.SIGTERM, lambda *_: told.set())
    try:
        with _Companion(wanted=True) as companion:
            await_that(told.is_set)
            assert companion.failed
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_worker_that_ends_with_its_server_has_not_failed() -> None:
    with _Companion(wanted=False) as companion:
        pass
    assert not companion.failed


def test_a_port_in_use_is_refused_with_its_mend_and_no_start_is_on_record(desk: Desk, database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = desk.refusal("serve", "--port", str(taken.getsockname()[1]))
    assert "choose another with --host and --port" in said
    assert asyncio.run(presence(database_url)) == set()


@pytest.mark.parametrize(
    ("host", "changes", "refused"),
    [
        ("0.0.0.0", {}, True),
        ("127.0.0.1", {}, False),
        ("0.0.0.0", {"trusted_proxies": "10.0.0.0/8"}, False),
        ("0.0.0.0", {"tls_certificate_file": Path("/a"), "tls_key_file": Path("/a")}, False),
        ("0.0.0.0", {"environment": "development"}, False),
    ],
)
def test_production_serves_no_plain_http_to_a_network(
    tmp_path: Path, host: str, changes: dict[str, Any], *, refused: bool
) -> None:
    """NET-1."""
    sound = {"environment": "production", "gateway_url": "https://a.example", "public_url": "https://b.example"}
    settings = settings_for(tmp_path, "postgresql://nobody@127.0.0.1/none", **(sound | changes))
    options = ServerOptions(host, 1, 1, with_worker=False)
    with pytest.raises(Refused, match="CARDVAULT_TLS_CERTIFICATE_FILE") if refused else nullcontext():
        _refuse_plain_text_to_strangers(settings, options)


def test_processes_count_in_one_folder_while_they_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(metrics.FOLDER, "before")
    with _counting_together(1):
        assert os.environ[metrics.FOLDER] == "before"
    with _counting_together(2):
        folder = Path(os.environ[metrics.FOLDER])
        assert folder.is_dir()
    assert not folder.exists()


def test_a_host_that_is_not_ours_is_refused(desk: Desk) -> None:
    assert "choose another with --host" in desk.refusal("serve", "--host", "192.0.2.1", "--port", "1024")


def test_a_worker_ends_when_asked(desk: Desk, log_folder: Path, port: int) -> None:
    path = log_folder / f"worker-{port}.log"
    with path.open("wb") as log:
        worker = start(["worker", "--port", str(port)], log, desk.env)
        await_that(lambda: is_up(f"http://127.0.0.1:{port}", "/readyz"), worker)
        await_that(lambda: b'cardvault_worker_rounds_total{loop="heartbeat"' in _metrics(port), worker)
        _is_private(worker.pid, desk)
        worker.send_signal(signal.SIGINT)
        assert worker.wait(60) == 0
    assert b"worker.stopped" in path.read_bytes()


def test_a_sandbox_says_where_it_is_and_ends_when_asked(log_folder: Path, port: int) -> None:
    path = log_folder / f"sandbox-{port}.log"
    with path.open("wb") as log:
        sandbox = start(["sandbox", "--port", str(port), "--json"], log)
        await_that(lambda: is_up(f"http://127.0.0.1:{port}", "/_sandbox/health"), sandbox)
        sandbox.send_signal(signal.SIGTERM)
        assert sandbox.wait(60) == 0
    assert path.read_text() == f'{{"sandboxUrl": "http://127.0.0.1:{port}"}}\n'

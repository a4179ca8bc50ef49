"""The log told to anchors and SIEMs: T-20, a receiver may do what it likes, and nothing is lost."""

import resource
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ops.sandbox.certificate import CERTIFICATE_FILE, server_context
from tests.api import siem as receivers
from tests.api.sequencers import Log, opened_log
from tests.api.shop import Sql, store
from tests.api.siem import Behaviour, Siem, receiving
from tests.installation import Blueprint, Installation
from vault.auditing import shipping
from vault.auditing.shipping import Shipper
from vault.auditing.syslog import Message, Severity, encoded
from vault.gateway.endpoint import tls_context
from vault.setting_kinds import SyslogAddress
from vault.store import audit_log, audit_sinks
from vault.store.audit_sinks import Lag, Told
from vault.worker.sequencing import audit_loops

pytestmark = pytest.mark.anyio


@pytest.fixture
async def log(blueprint: Blueprint, onboarded_url: str, sql: Sql, tmp_path: Path) -> AsyncIterator[Log]:
    async with opened_log(blueprint, onboarded_url, sql, tmp_path) as log:
        await log.write(20)
        await log.sequencer().once()
        yield log


def shipper(
    log: Log, port: int, told: Told = Told.EVENTS, *, patience: float = 5.0, tls: Path | None = None
) -> Shipper:
    address = SyslogAddress("127.0.0.1", port, tls is not None)
    return Shipper(log.database, address, told, tls_context(tls), patience=patience)


async def caught_up(one: Shipper) -> None:
    while await one.once():
        pass


async def lags(log: Log) -> list[Lag]:
    async with log.database.session() as session:
        return await audit_sinks.lags(session)


async def try_again(log: Log) -> None:
    """Let the pause after a failure, or the time of somebody who died, be over."""
    await log.sql.change("update vault.audit_sink set next_at = now()")


@pytest.mark.parametrize("behaviour", [receivers.orderly, receivers.talkative])
async def test_events_are_told_once_and_in_order_with_the_octets_that_were_hashed(
    log: Log, behaviour: Behaviour
) -> None:
    """controls.md EXP-5, AUD-6."""
    with receiving(behaviour) as siem:
        one = shipper(log, siem.port)
        await caught_up(one)
        entries = await log.entries()
        assert siem.places == list(range(len(entries)))
        assert all(each.number == each.text["place"] + 1 for each in siem.heard)
        assert all(b'"entry":' + entry + b"}" in siem.read[0] for entry in entries)
        before = len(siem.read)
        assert await one.once() is False
        await log.write(3)
        await log.sequencer().once()
        await caught_up(one)
        assert siem.places == list(range(len(await log.entries())))
        assert len(siem.read) == before + 1
    (lag,) = await lags(log)
    assert (lag.name, lag.told, lag.size) == (f"syslog+tcp://127.0.0.1:{siem.port}", "events", len(siem.places))
    assert (lag.seconds, lag.trouble, lag.failures) == (0.0, None, 0)


async def test_checkpoints_are_told_as_they_were_signed(log: Log) -> None:
    with receiving() as siem:
        one = shipper(log, siem.port, Told.CHECKPOINTS)
        for _ in range(2):
            await caught_up(one)
            await log.write(1)
            await log.sequencer().once()
        await caught_up(one)
    notes = await log.sql.rows("select note from vault.audit_checkpoint order by size")
    assert [each.text["note"] for each in siem.heard] == [row["note"] for row in notes]
    (lag,) = await lags(log)
    assert (lag.told, lag.size) == ("checkpoints", max(tree.size for tree in await log.checkpoints()))


async def test_what_is_loud_is_what_went_wrong(log: Log) -> None:
    bodies = {
        "card.stored": '"outcome":"success"',
        "access.denied": '"outcome":"denied"',
        "alarm.raised": '"outcome":"failure"',
    }
    for kind, outcome in bodies.items():
        body = f'{{"id":"{kind}","merchant":"",{outcome},"type":"{kind}"}}'.encode()
        await log.sql.change(
            "insert into vault.audit_pending (event_id, merchant_id, body) values ($1, '', $2)", kind, body
        )
    await log.sql.change("insert into vault.audit_pending (event_id, merchant_id, body) values ('x', '', 'x')")
    await log.sequencer().once()
    with receiving() as siem:
        await caught_up(shipper(log, siem.port))
    said = {each.kind: each.priority - 13 * 8 for each in siem.heard}
    assert (said["card.stored"], said["access.denied"], said["alarm.raised"], said["unreadable"]) == (5, 4, 1, 4)


@pytest.mark.parametrize("behaviour", [receivers.orderly, receivers.slow])
async def test_over_tls_the_receiver_confirms_and_is_known(log: Log, tmp_path: Path, behaviour: Behaviour) -> None:
    """RFC 5425."""
    context = server_context(tmp_path)
    with receiving(behaviour, context) as siem:
        await caught_up(shipper(log, siem.port, tls=tmp_path / CERTIFICATE_FILE))
        assert siem.places == list(range(len(await log.entries())))
        stranger = shipper(log, siem.port, Told.CHECKPOINTS)
        stranger._address = SyslogAddress("127.0.0.1", siem.port, tls=True)
        assert await stranger.once() is False
    assert {lag.told: lag.trouble for lag in await lags(log)} == {"events": None, "checkpoints": "certificate"}


async def test_tls_that_is_cut_off_is_no_confirmation(log: Log, tmp_path: Path) -> None:
    with receiving(receivers.half, server_context(tmp_path)) as siem:
        await shipper(log, siem.port, tls=tmp_path / CERTIFICATE_FILE).once()
    with receiving() as plain:
        await shipper(log, plain.port, tls=tmp_path / CERTIFICATE_FILE, patience=0.3).once()
    assert all(lag.size == 0 and lag.failures == 1 for lag in await lags(log))


RECEIVERS: list[tuple[Behaviour | None, set[str]]] = [
    (None, {"unreachable"}),
    (receivers.hanging, {"hanging"}),
    (receivers.forgetful, {"hanging"}),
    (receivers.half, {"cut_off"}),
    (receivers.deaf, {"cut_off"}),
]


@pytest.mark.parametrize(("behaviour", "troubles"), RECEIVERS)
async def test_whatever_a_receiver_does_nothing_is_lost(
    log: Log, behaviour: Behaviour | None, troubles: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """T-20: each event is heard at least once, in order, by a receiver that is well again."""
    await log.write(200)
    await log.sequencer().once()
    with receiving(behaviour or receivers.orderly) as siem:
        one = shipper(log, siem.port if behaviour else _closed_port(), patience=0.3)
        assert await one.once() is False
        (lag,) = await lags(log)
        assert (lag.size, lag.trouble, lag.failures, lag.seconds > 0) == (0, lag.trouble, 1, True)
        assert lag.trouble in troubles
        assert await one.once() is False, "it is left alone for a while"
        assert await log.sql.alarms() == {"audit_sink_unavailable"}
        await log.write(1)
        await log.sequencer().once()
        siem.behaviour, siem.read = receivers.orderly, []
        siem.ended.set()
        one._address = SyslogAddress("127.0.0.1", siem.port, tls=False)
        await try_again(log)
        await caught_up(one)
        assert siem.places == list(range(len(await log.entries())))
    assert [(lag.trouble, lag.failures) for lag in await lags(log)] == [(None, 0)]


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def test_a_receiver_that_is_too_slow_gets_less_at_a_time(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "_MOST", 8)

    def overwhelmed(siem: Siem, connection: socket.socket) -> None:
        receivers.orderly(siem, connection)
        if len(list(receivers._messages(siem.read[-1]))) > 2:
            siem.read.pop()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with receiving(overwhelmed) as siem:
        one = shipper(log, siem.port)
        while (await lags(log) or [Lag("", "", 1, 0, None, 0.0, None, 0)])[0].size < len(await log.entries()):
            await one.once()
            await try_again(log)
        assert siem.places == list(range(len(await log.entries())))


async def test_a_sink_that_was_forgotten_while_it_is_configured_is_told_everything_again(log: Log) -> None:
    with receiving() as siem:
        one = shipper(log, siem.port)
        await caught_up(one)
        await log.sql.change("delete from vault.audit_sink")
        await caught_up(one)
        assert siem.places == list(range(len(await log.entries()))) * 2
    (lag,) = await lags(log)
    assert (lag.size, lag.seconds) == (len(await log.entries()), 0.0)


async def test_of_many_workers_one_sends_and_another_goes_on_when_it_died(log: Log) -> None:
    with receiving() as siem:
        one, other = shipper(log, siem.port), shipper(log, siem.port)
        async with log.database.session() as session:
            at = await audit_sinks.due(session, one.sink)
            assert at is not None
            assert await audit_sinks.claim(session, one.sink, at, seconds=60)
            assert not await audit_sinks.claim(session, one.sink, at, seconds=60)
        assert (await other.once(), siem.read) == (False, [])
        await try_again(log)
        await caught_up(other)
        assert siem.places == list(range(len(await log.entries())))


async def test_a_message_cannot_begin_another(log: Log) -> None:
    """controls.md EXP-7."""
    body = b'{"id":"e","merchant":"","note":"]\\n<110>1 \xf0\x9f\x92\xb3","type":"a\\"b"\r\t}'
    await log.sql.change("insert into vault.audit_pending (event_id, merchant_id, body) values ('e', '', $1)", body)
    await log.sequencer().once()
    with receiving() as siem:
        await caught_up(shipper(log, siem.port))
    assert siem.places == list(range(len(await log.entries())))
    message = Message(Severity.NOTICE, datetime(2026, 1, 1, tzinfo=UTC), "\n]\u2028", 2**31, b"{}")
    assert encoded(message, "ho st\n" + "x" * 300).startswith(b"<109>1 2026-01-01T00:00:00.000000Z host" + b"x" * 251)
    assert b'x cardvault - ] [origin software="cardvault"][meta sequenceId="2"] \xef\xbb\xbf{}' in encoded(message, "x")
    assert b"Z - cardvault" in encoded(message, "")


@contextmanager
def small_files(octets: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def a_folder(path: Path) -> Iterator[None]:
    path.rename(path.with_suffix(".away"))
    path.mkdir()
    yield
    path.rmdir()
    path.with_suffix(".away").rename(path)


@contextmanager
def forbidden(path: Path) -> Iterator[None]:
    path.rename(path.with_suffix(".away"))
    path.symlink_to("/proc/sys/kernel/version")
    yield
    path.unlink()
    path.with_suffix(".away").rename(path)


FILES: list[tuple[Callable[[Path], Any], set[str]]] = [
    (lambda _: small_files(1), {"full"}),
    (lambda path: small_files(path.stat().st_size + 100), {"full"}),
    (a_folder, {"unreachable"}),
    (forbidden, {"forbidden", "foreign"}),
]


@pytest.mark.parametrize(("broken", "troubles"), FILES)
async def test_whatever_the_anchors_file_does_it_gets_what_it_missed(
    log: Log, broken: Callable[[Path], Any], troubles: set[str]
) -> None:
    """T-20: a full disk, half a line, a file that is none."""
    one = log.sequencer(witness=log.anchor.newest)
    publisher = log.publisher()
    await publisher.once()
    with broken(log.anchor.path):
        await log.write(5)
        await log.sequencer().once()
        assert await publisher.once() is False
        (lag,) = await lags(log)
        assert lag.trouble in troubles
        assert lag.seconds > 0
        assert await publisher.once() is False, "it is left alone for a while"
    await try_again(log)
    await publisher.once()
    newest = await log.anchor.newest(log.keys, 1)
    assert newest is not None
    assert newest.tree == (await log.checkpoints())[-1]
    await log.write(1)
    await one.once()
    (lag,) = await lags(log)
    assert (lag.trouble, lag.failures, lag.size) == (None, 0, newest.tree.size)


async def test_an_anchors_file_that_was_deleted_begins_again(log: Log) -> None:
    publisher = log.publisher()
    await publisher.once()
    log.anchor.path.unlink()
    await publisher.once()
    newest = await log.anchor.newest(log.keys, 1)
    assert newest is not None
    assert newest.tree == (await log.checkpoints())[-1]


async def test_the_backlog_is_known(log: Log) -> None:
    async with log.database.session() as session:
        assert (await audit_log.backlog(session)).waiting == 0
        await log.write(2)
        backlog = await audit_log.backlog(session)
    assert (backlog.waiting, backlog.seconds > 0) == (2, True)


async def test_the_worker_tells_everybody_it_was_told_of(vault: Installation, tmp_path: Path) -> None:
    with receiving() as siem:
        address = f"syslog+tcp://127.0.0.1:{siem.port}"
        values = {"audit_anchor": f"file:{tmp_path}/anchor,{address}", "audit_stream": address}
        object.__setattr__(vault.services, "settings", vault.settings.model_copy(update=values))
        assert (await vault.api.post("/v1/cards", json=store())).status_code == 201
        async with audit_loops(vault.services) as loops:
            for loop in loops:
                while await loop.once():
                    pass
        assert [loop.name for loop in loops] == ["sequence", "anchor", "ship.checkpoints.1", "ship.events.1"]
    kinds = [each.kind for each in siem.heard]
    assert (kinds.count("audit.checkpoint"), kinds.count("card.stored")) == (1, 1)

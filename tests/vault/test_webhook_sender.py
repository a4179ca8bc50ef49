"""The sender of webhooks against servers that are none, or answer what nobody should."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network

import pytest

from tests.serving import conversing
from vault.webhook import Attempt, Outcome
from vault.worker import webhook_sender
from vault.worker.webhook_sender import WebhookSender, _seconds, asks_for_patience

pytestmark = pytest.mark.anyio
HERE = [ip_network("127.0.0.1/32")]


@asynccontextmanager
async def saying(*answers: bytes) -> AsyncIterator[int]:
    """Answer each connection with the next of these octets, after the request; gives the port."""
    left = list(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(left.pop(0))
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    async with conversing(answer) as port:
        yield port


async def _sent(url: str, timeout: float = 5.0) -> Attempt:  # noqa: ASYNC109 - handed on
    async with WebhookSender(allowed=HERE, timeout=timeout) as sender:
        return await sender.send(url, {}, b"{}")


async def test_the_status_decides_and_the_rest_is_not_read() -> None:
    endless = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 100000000000\r\n\r\n" + b"x" * 100_000
    async with saying(endless) as port:
        assert (await _sent(f"http://127.0.0.1:{port}/")).outcome is Outcome.DELIVERED


async def test_what_is_no_answer_of_http_is_named_so() -> None:
    async with saying(b"SSH-2.0-nobody\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 100_000 + b"\r\n", b"") as port:
        for outcome in (Outcome.NOT_HTTP, Outcome.NOT_HTTP, Outcome.CONNECTION_FAILED):
            assert (await _sent(f"http://127.0.0.1:{port}/")).outcome is outcome


async def test_a_certificate_is_wanted_where_the_url_says_so() -> None:
    async with saying(b"HTTP/1.1 200 OK\r\n\r\n") as port:
        assert (await _sent(f"https://127.0.0.1:{port}/")).outcome is Outcome.TLS_FAILED


async def test_names_that_do_not_exist_and_urls_that_are_none_raise_nothing() -> None:
    assert (await _sent("http://nothing.invalid/")).outcome is Outcome.NAME_NOT_RESOLVED
    assert (await _sent("http://[::")).outcome is Outcome.CONNECTION_FAILED


async def test_a_sender_that_is_not_open_sends_nothing() -> None:
    sender = WebhookSender()
    with pytest.raises(RuntimeError):
        await sender.send("http://127.0.0.1/", {}, b"{}")
    await sender.__aexit__(None, None, None)


def test_a_wish_to_wait_is_read_in_both_its_forms_up_to_a_day() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    soon = _seconds(later)
    assert soon is not None
    assert 90 < soon <= 100
    assert _seconds("Sun, 01 Feb 2026 12:00:00 GMT") == 0.0
    assert [_seconds(text) for text in ("7", "9999999999", "soon", "-1", "٣", None)] == [
        7,
        86_400,
        None,
        None,
        None,
        None,
    ]


def test_a_wish_to_wait_for_a_moment_beyond_the_calendar_is_none() -> None:
    assert _seconds("Fri, 31 Dec 9999 23:59:59 -0100") is None


@pytest.mark.parametrize("error", [OverflowError, RuntimeError])
async def test_whatever_goes_wrong_with_an_answer_is_an_attempt_that_failed(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fails(_text: str | None) -> float | None:
        raise error

    monkeypatch.setattr(webhook_sender, "_seconds", fails)
    async with saying(b"HTTP/1.1 200 OK\r\n\r\n") as port, WebhookSender(allowed=HERE) as sender:
        attempt = await sender.send(f"http://127.0.0.1:{port}/", {}, b"{}")
    assert attempt.outcome is Outcome.CONNECTION_FAILED


def test_patience_is_for_who_asks_for_it_and_for_who_is_not_there() -> None:
    wanted = [Attempt(Outcome.REFUSED, status) for status in (429, 502, 503, 504)]
    wanted += [Attempt(Outcome.REFUSED, 500, 1.0), Attempt(Outcome.TIMEOUT)]
    assert all(asks_for_patience(attempt) for attempt in wanted)
    assert not any(asks_for_patience(Attempt(Outcome.REFUSED, status)) for status in (301, 400, 404, 500))

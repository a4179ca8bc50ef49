"""What the client believes: an answer that is right in every respect, and nothing else."""

import asyncio

import pytest

from tests.vault.gateway.calls import client_for, pay, refused, unknown
from tests.vault.gateway.doubles import CLIENT_ID, PAY_PATH, SUCCESS, Reply, Request, answering, raw_gateway
from vault.gateway.client import Answer
from vault.gateway.errors import OutcomeUnknown, UnknownReason
from vault.gateway.operations import Operation

pytestmark = pytest.mark.anyio

ITEMS = "algorithm=RSA256,keyVersion=1,signature="


def wrong_replies() -> list[tuple[Reply, UnknownReason]]:
    mismatch = UnknownReason.SIGNATURE_MISMATCH
    not_json = UnknownReason.NOT_A_JSON_OBJECT
    return [
        (Reply(client_id=None), UnknownReason.CLIENT_ID_MISMATCH),
        (Reply(client_id=""), UnknownReason.CLIENT_ID_MISMATCH),
        (Reply(client_id=CLIENT_ID.lower()), UnknownReason.CLIENT_ID_MISMATCH),
        (Reply(client_id="SANDBOX_OTHER"), UnknownReason.CLIENT_ID_MISMATCH),
        (Reply(client_id=(CLIENT_ID, CLIENT_ID)), UnknownReason.CLIENT_ID_MISMATCH),
        (Reply(response_time=None), UnknownReason.RESPONSE_TIME_MISSING),
        (Reply(response_time=""), UnknownReason.RESPONSE_TIME_MISSING),
        (Reply(response_time="2026-01-01 00:00"), UnknownReason.SIGNATURE_MALFORMED),
        (Reply(response_time="\u0661"), UnknownReason.SIGNATURE_MALFORMED),
        (Reply(signature=None), UnknownReason.SIGNATURE_MISSING),
        (Reply(extra=("signature: again",)), UnknownReason.SIGNATURE_MISSING),
        (Reply(signature=""), UnknownReason.SIGNATURE_MALFORMED),
        (Reply(signature=ITEMS), UnknownReason.SIGNATURE_EMPTY),
        (Reply(signature=f"{ITEMS}A+A="), UnknownReason.SIGNATURE_NOT_ENCODED),
        (Reply(signature="algorithm=none,keyVersion=1,signature=AAAA"), UnknownReason.SIGNATURE_WRONG_ALGORITHM),
        (Reply(signature="algorithm=RSA256,keyVersion=9,signature=AA"), UnknownReason.SIGNATURE_UNKNOWN_KEY_VERSION),
        (Reply(signature=f"{ITEMS}AAAA"), mismatch),
        (Reply(signature=Reply().signed_for("/ams/api/v1/payments/pay")), mismatch),
        (Reply(signature=Reply().signed_for(PAY_PATH.replace("pay", "cancel"))), mismatch),
        (Reply(signature=Reply().signed_for(PAY_PATH, client_id="SANDBOX_OTHER")), mismatch),
        (Reply(signature=Reply(body=b"{}").signed_for(PAY_PATH)), mismatch),
        (Reply(signature=Reply(response_time="2026").signed_for(PAY_PATH)), mismatch),
        (Reply(body=b""), not_json),
        (Reply(body=b"<html>"), not_json),
        (Reply(body=b"[]"), not_json),
        (Reply(body=b'{"a":1,"a":2}'), not_json),
        (Reply(body=b'{"a":NaN}'), not_json),
        (Reply(body=b"[" * 100_000), not_json),
        (Reply(body=b"{}" + b" " * 1_048_575), UnknownReason.ANSWER_TOO_LARGE),
    ]


@pytest.mark.parametrize("case", range(29))
async def test_an_answer_that_is_not_exactly_right_is_not_believed(case: int) -> None:
    reply, reason = wrong_replies()[case]
    async with raw_gateway(answering(reply.render())) as gateway, client_for(gateway.url) as client:
        assert await unknown(client) is reason


def test_the_list_of_wrong_answers_is_tried_to_its_end() -> None:
    assert len(wrong_replies()) == 29


async def test_a_signed_answer_is_returned_as_it_was_written() -> None:
    async with raw_gateway() as gateway, client_for(gateway.url) as client:
        answer = await pay(client)
    assert answer.operation is Operation.PAY
    assert answer.body == {"result": {"resultCode": "SUCCESS", "resultStatus": "S", "resultMessage": "success."}}
    assert answer.raw_size == len(SUCCESS)


def test_the_text_form_of_an_answer_shows_nothing_of_its_body() -> None:
    assert "secret" not in repr(Answer(Operation.PAY, {"cardToken": "secret"}, 10))


async def test_header_names_may_come_in_any_case() -> None:
    raw = Reply().render()
    for name in (b"client-id", b"response-time", b"signature:"):
        raw = raw.replace(name, name.title())
    async with raw_gateway(answering(raw)) as gateway, client_for(gateway.url) as client:
        await pay(client)


async def test_an_answer_in_small_pieces_is_put_together() -> None:
    raw = Reply().render()
    pieces = [raw[start : start + 40] for start in range(0, len(raw), 40)]
    async with raw_gateway(answering(*pieces, pause=0.01)) as gateway, client_for(gateway.url) as client:
        assert (await pay(client)).raw_size == len(SUCCESS)


async def test_the_largest_answer_allowed_is_believed() -> None:
    script = answering(Reply(body=b"{}" + b" " * 1_048_574).render())
    async with raw_gateway(script) as gateway, client_for(gateway.url) as client:
        assert (await pay(client)).raw_size == 1_048_576


async def test_an_answer_without_end_is_cut_off() -> None:
    async def endless(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"10000\r\n" + b" " * 65_536 + b"\r\n")
            await writer.drain()

    async with raw_gateway(endless) as gateway, client_for(gateway.url) as client:
        assert await unknown(client) is UnknownReason.ANSWER_TOO_LARGE


@pytest.mark.parametrize("status", [201, 204, 400, 404, 429, 500, 503])
async def test_any_other_status_is_an_unknown_outcome_however_well_signed(status: int) -> None:
    reply = Reply(status=f"{status} Reason", body=b"" if status == 204 else SUCCESS)
    async with raw_gateway(answering(reply.render())) as gateway, client_for(gateway.url) as client:
        error = await refused(client)
    assert isinstance(error, OutcomeUnknown)
    assert (error.reason, error.status) == (UnknownReason.HTTP_STATUS, status)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with raw_gateway() as elsewhere:
        moved = Reply(status=f"{status} Moved", extra=(f"location: {elsewhere.url}{PAY_PATH}",))
        async with raw_gateway(answering(moved.render())) as gateway, client_for(gateway.url) as client:
            assert await unknown(client) is UnknownReason.HTTP_STATUS
        assert elsewhere.connections == []


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", UnknownReason.CONNECTION_LOST),
        (b"HTTP/1.1 200", UnknownReason.CONNECTION_LOST),
        (b"SSH-2.0-gateway\r\n\r\n", UnknownReason.HTTP_MALFORMED),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", UnknownReason.HTTP_MALFORMED),
        (b"HTTP/1.1 200 OK\r\nx: " + b"x" * 20_000 + b"\r\n\r\n", UnknownReason.HTTP_MALFORMED),
        (Reply(signature="cut short").render()[:-1], UnknownReason.ANSWER_INCOMPLETE),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", UnknownReason.HTTP_MALFORMED),
        (Reply(signature="not gzip", extra=("content-encoding: gzip",)).render(), UnknownReason.ANSWER_INCOMPLETE),
    ],
    ids=["nothing", "half a line", "not http", "length", "huge header", "cut short", "chunk", "gzip"],
)
async def test_a_broken_answer_is_an_unknown_outcome(raw: bytes, reason: UnknownReason) -> None:
    async with raw_gateway(answering(raw, close=True)) as gateway, client_for(gateway.url) as client:
        assert await unknown(client) is reason


async def test_a_connection_reset_after_the_request_is_an_unknown_outcome() -> None:
    async def reset(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with raw_gateway(reset) as gateway, client_for(gateway.url) as client:
        assert await unknown(client) is UnknownReason.CONNECTION_LOST

"""Calls as the tests make them: one canary body, and errors that are searched for it before they are judged."""

import traceback
from typing import Any

import aiohttp
import pytest

from tests.canary import VISA_CANARY, assert_clean
from tests.vault.gateway.doubles import credentials
from vault.gateway.client import Answer, GatewayClient
from vault.gateway.errors import GatewayError, NotSent, NotSentReason, OutcomeUnknown, UnknownReason
from vault.gateway.limits import Deadline, Timeouts
from vault.gateway.operations import Operation

CANARY = VISA_CANARY
BODY = {"paymentRequestId": "PR-1", "paymentMethod": {"cardNo": CANARY, "holder": "Zo\u00eb"}}
SENT = f'{{"paymentRequestId":"PR-1","paymentMethod":{{"cardNo":"{CANARY}","holder":"Zo\u00eb"}}}}'.encode()
NOW_MS = 1767225600000
BRIEF = Timeouts(connect=0.2, tls=0.2, send=0.3, answer=0.3, total=3600)  # no phase hides behind the total


def client_for(url: str, **options: Any) -> GatewayClient:
    return GatewayClient(url, allow_plain_http=True, now_ms=lambda: NOW_MS, **options)


async def pay(client: GatewayClient, *, deadline: Deadline | None = None) -> Answer:
    return await client.call(credentials(), Operation.PAY, BODY, deadline or Deadline.after(30))


async def refused(client: GatewayClient, *, deadline: Deadline | None = None) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await pay(client, deadline=deadline)
    assert_holds_no_data(caught.value)
    return caught.value


async def unknown(client: GatewayClient) -> UnknownReason:
    error = await refused(client)
    assert isinstance(error, OutcomeUnknown)
    return error.reason


async def not_sent(client: GatewayClient, *, deadline: Deadline | None = None) -> NotSentReason:
    error = await refused(client, deadline=deadline)
    assert isinstance(error, NotSent)
    return error.reason


def assert_holds_no_data(error: BaseException) -> None:
    """Search an error and everything chained to it."""
    chain: list[BaseException] = [error]
    for link in chain:
        chain += [further for further in (link.__cause__, link.__context__) if further is not None]
        assert_clean(f"{link!r} {link} {link.args!r} {vars(link)!r}", "an exception")
        assert not isinstance(link, aiohttp.ClientError | ValueError)
    assert_clean("".join(traceback.format_exception(error)), "a traceback")

"""Webhooks out: whatever a receiver does, nothing is lost, nothing is said twice without need, nobody else is asked."""

import asyncio
import socket
from ipaddress import ip_network
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from standardwebhooks.webhooks import WebhookVerificationError

from keys.keyring import Purpose
from tests.api.receiver import Receiver, deliver, deliveries, delivering, endpoint, receiving, told
from tests.api.retiring import rotate
from tests.api.shop import Sql, of_tenant, paid, payment, problem, store, stored, until
from tests.installation import Installation
from vault.errors import DatabaseUnavailable
from vault.store import deliveries as delivery_rows
from vault.worker.delivering import webhook_loops
from vault.worker.loop import run

pytestmark = pytest.mark.anyio


async def _due_now(sql: Sql) -> None:
    await sql.change(
        "update vault.webhook_delivery set next_at = now() - interval '1 second' where next_at is not null"
    )


async def _came(receiver: Receiver, count: int) -> bool:
    return len(set(receiver.ids)) >= count


async def test_an_event_is_told_once_signed_and_as_it_is_listed(vault: Installation) -> None:
    async with receiving() as receiver, delivering(vault) as deliverer:
        view = await endpoint(vault, receiver.url)
        card = await stored(vault)
        await deliver(deliverer)
        await deliver(deliverer)
        [request] = receiver.received
        [listed] = await told(vault)
    assert request.verified(view["secret"]) == listed
    assert (listed["eventId"], listed["objectId"]) == (request.id, card["cardId"])
    assert request.headers["content-type"] == "application/json"
    assert len(request.body) < 20_000
    with pytest.raises(WebhookVerificationError):
        request.verified("whsec_" + "A" * 43 + "=")


async def test_a_receiver_that_is_down_is_told_when_it_is_back(vault: Installation) -> None:
    async with receiving() as gone:
        port = int(gone.url.rpartition(":")[2].partition("/")[0])
    view = await endpoint(vault, gone.url)
    cards = [await stored(vault, store(buyer=f"buyer-{number}")) for number in range(3)]
    async with delivering(vault) as deliverer:
        await deliver(deliverer)
        waiting = await deliveries(vault, view["endpointId"], status="PENDING")
        assert [each["attempts"][0]["outcome"] for each in waiting] == ["CONNECTION_FAILED"] * 3
        async with receiving(port) as receiver:
            await deliver(deliverer, lambda: len(set(receiver.ids)) == 3)
    assert {each.verified(view["secret"])["objectId"] for each in receiver.received} == {
        card["cardId"] for card in cards
    }
    assert len(receiver.ids) == 3
    [first, *_] = await deliveries(vault, view["endpointId"], status="DELIVERED")
    assert [each["outcome"] for each in first["attempts"]][-1] == "DELIVERED"


async def test_a_slow_receiver_keeps_no_other_waiting_and_its_order_can_be_told(vault: Installation) -> None:
    async with receiving() as slow, receiving() as quick, delivering(vault, timeout=0.4) as deliverer:
        slow.delay = 0.8
        await endpoint(vault, slow.url)
        await endpoint(vault, quick.url)
        card = await stored(vault)
        await vault.api.patch(f"/v1/cards/{card['cardId']}", json={"expiryMonth": "01", "expiryYear": "38"})
        working = asyncio.create_task(deliver(deliverer, lambda: len(set(slow.ids)) == 2))
        await until(lambda: _came(quick, 2))
        assert len(set(slow.ids)) <= 2
        slow.delay = 0.0
        await working
    for receiver in (slow, quick):
        ordered = sorted((orjson.loads(each.body) for each in receiver.received), key=lambda event: event["sequence"])
        assert list(dict.fromkeys(each["type"] for each in ordered)) == ["card.stored", "card.updated"]


async def test_an_endpoint_that_goes_on_failing_is_one_alarm(vault: Installation, sql: Sql) -> None:
    async with receiving() as receiver, delivering(vault) as deliverer:
        view = await endpoint(vault, receiver.url)
        receiver.answers.extend([500] * 8)
        for buyer in ("one", "another"):
            await stored(vault, store(buyer=buyer))
        await deliver(deliverer, lambda: len(receiver.ids) == 8)
        assert len(await deliveries(vault, view["endpointId"], status="FAILED")) == 2
        assert await sql.count("alarm") == 1


async def test_wrong_answers_are_repeated_under_the_same_id_until_somebody_has_to_look(
    vault: Installation, sql: Sql
) -> None:
    async with receiving() as receiver, delivering(vault) as deliverer:
        view = await endpoint(vault, receiver.url)
        receiver.answers.extend([500, 404, 400, 500])
        await stored(vault)
        await deliver(deliverer, lambda: len(receiver.ids) == 4)
        assert len(set(receiver.ids)) == 1
        [failed] = await deliveries(vault, view["endpointId"], status="FAILED")
        assert [(each["attempt"], each["status"]) for each in failed["attempts"]] == [
            (1, 500),
            (2, 404),
            (3, 400),
            (4, 500),
        ]
        assert await sql.alarms() == {"webhook_delivery_failed"}
        path = f"/v1/events/{receiver.ids[0]}/redeliver"
        for body in ({}, {"endpointId": view["endpointId"]}):
            answer = await vault.api.post(path, json=body)
            assert (answer.status_code, answer.json()["endpointIds"]) == (202, [view["endpointId"]])
            await deliver(deliverer)
        assert (await vault.api.post(path)).status_code == 202
        await deliver(deliverer)
    assert len(receiver.ids) == 7
    assert len(set(receiver.ids)) == 1
    [done] = await deliveries(vault, view["endpointId"])
    assert (done["status"], done["attempts"][-1]["round"]) == ("DELIVERED", 4)
    assert (await sql.events("webhook.event_redelivered"))[0]["objects"] == [receiver.ids[0], view["endpointId"]]


async def test_an_endpoint_that_was_added_later_can_be_sent_what_it_missed(vault: Installation) -> None:
    await stored(vault)
    [event] = await told(vault)
    async with receiving() as receiver, delivering(vault) as deliverer:
        view = await endpoint(vault, receiver.url)
        answer = await vault.api.post(f"/v1/events/{event['eventId']}/redeliver")
        assert answer.json()["endpointIds"] == [view["endpointId"]]
        await deliver(deliverer, lambda: bool(receiver.ids))
    assert receiver.received[0].verified(view["secret"]) == event


async def test_the_log_of_a_delivery_is_bounded(vault: Installation, sql: Sql) -> None:
    async with receiving() as receiver, delivering(vault) as deliverer:
        view = await endpoint(vault, receiver.url)
        event_id = (await vault.api.post(f"/v1/webhook-endpoints/{view['endpointId']}/test")).json()["eventId"]
        entry = '{"at": "2026-01-01T00:00:00Z", "round": 1, "attempt": 1, "outcome": "REFUSED", "status": 500, "milliseconds": 1}'
        await sql.change(
            "update vault.webhook_delivery set log = jsonb_build_array(" + ", ".join(["$1::jsonb"] * 20) + ")", entry
        )
        await deliver(deliverer)
    [delivery] = await deliveries(vault, view["endpointId"])
    assert (delivery["eventId"], len(delivery["attempts"])) == (event_id, 20)
    assert delivery["attempts"][-1]["outcome"] == "DELIVERED"


async def test_a_redirect_is_not_followed(vault: Installation) -> None:
    async with receiving() as receiver, receiving() as elsewhere, delivering(vault) as deliverer:
        view = await endpoint(vault, receiver.url)
        receiver.answers.append(web.Response(status=307, headers={"Location": elsewhere.url}))
        await stored(vault)
        await deliver(deliverer, lambda: len(receiver.ids) == 2)
    assert elsewhere.received == []
    [delivery] = await deliveries(vault, view["endpointId"])
    assert [each["outcome"] for each in delivery["attempts"]] == ["REDIRECTED", "DELIVERED"]


class _Resolver(AbstractResolver):
    """Names that lead where they are told, each time to the next address."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]
        return [ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        pass


async def test_a_name_that_changes_its_mind_leads_nowhere_private(vault: Installation, sql: Sql) -> None:
    """The address of each connection is judged, whatever the name said before."""
    resolver = _Resolver("127.0.0.1", "127.0.0.2", "169.254.169.254", "10.0.0.1")
    async with receiving() as receiver, delivering(vault, resolver=resolver) as deliverer:
        view = await endpoint(vault, receiver.url)
        await sql.change("update vault.webhook_endpoint set url = replace(url, '127.0.0.1', 'shop.example')")
        receiver.answers.append(500)
        await stored(vault)
        await deliver(deliverer, lambda: not resolver.addresses[1:])
        await deliver(deliverer)
    [delivery] = await deliveries(vault, view["endpointId"])
    assert len(receiver.received) == 1
    assert {each["outcome"] for each in delivery["attempts"][1:]} == {"ADDRESS_NOT_ALLOWED"}


async def test_no_spelling_of_a_private_address_is_connected_to(vault: Installation, sql: Sql) -> None:
    async with receiving() as receiver, delivering(vault, allowed=[ip_network("127.0.0.2/32")]) as deliverer:
        view = await endpoint(vault, receiver.url)
        for name in ("127.0.0.1", "127.1", "2130706433", "0x7f.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"):
            await sql.change("update vault.webhook_endpoint set url = $1", receiver.url.replace("127.0.0.1", name))
            await vault.api.post(f"/v1/webhook-endpoints/{view['endpointId']}/test")
            await deliver(deliverer)
    found = await deliveries(vault, view["endpointId"])
    refused = {"ADDRESS_NOT_ALLOWED", "CONNECTION_FAILED", "NAME_NOT_RESOLVED"}
    assert receiver.received == []
    assert len(found) == 7
    assert {attempt["outcome"] for each in found for attempt in each["attempts"]} <= refused


async def test_an_endpoint_that_is_gone_is_disabled(vault: Installation, sql: Sql) -> None:
    async with receiving() as receiver, delivering(vault) as deliverer:
        view = await endpoint(vault, receiver.url)
        receiver.answers.extend([410, 410])
        await stored(vault)
        await stored(vault, store(buyer="other"))
        await deliver(deliverer)
    path = f"/v1/webhook-endpoints/{view['endpointId']}"
    assert (await vault.api.get(path)).json()["status"] == "DISABLED"
    assert await sql.alarms() == {"webhook_endpoint_gone"}
    assert len(await sql.events("webhook.endpoint_disabled")) == 1
    assert await sql.count("webhook_secret") == 0
    assert {each["status"] for each in await deliveries(vault, view["endpointId"])} == {"FAILED"}
    problem(await vault.api.post(f"{path}/test"), 409, "endpoint_disabled")
    problem(await vault.api.post(f"{path}/rotate-secret"), 409, "endpoint_disabled")
    body = {"endpointId": view["endpointId"]}
    problem(await vault.api.post(f"/v1/events/{receiver.ids[0]}/redeliver", json=body), 409, "endpoint_disabled")


async def test_an_endpoint_that_asks_for_patience_is_left_alone(vault: Installation, sql: Sql) -> None:
    async with receiving() as receiver, delivering(vault) as deliverer:
        view = await endpoint(vault, receiver.url)
        receiver.answers.append(web.Response(status=429, headers={"Retry-After": "600"}))
        await stored(vault)
        await deliver(deliverer)
        await stored(vault, store(buyer="other"))
        await _due_now(sql)
        await deliver(deliverer)
        assert len(receiver.received) == 1
        await sql.change("update vault.webhook_pause set until = now() - interval '1 second'")
        await _due_now(sql)
        receiver.answers.append(503)
        await deliver(deliverer, lambda: len(receiver.ids) == 4)
        assert len(set(receiver.ids)) == 2
        assert await sql.count("webhook_pause") == 0
    assert {each["status"] for each in await deliveries(vault, view["endpointId"])} == {"DELIVERED"}


async def test_what_was_sent_but_not_recorded_comes_again_under_the_same_id(
    vault: Installation, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = delivery_rows.delivered

    async def lost(*_: Any) -> None:
        monkeypatch.setattr(delivery_rows, "delivered", record)
        raise DatabaseUnavailable

    monkeypatch.setattr(delivery_rows, "delivered", lost)
    async with receiving() as receiver, delivering(vault) as deliverer:
        await endpoint(vault, receiver.url)
        await stored(vault)
        await deliver(deliverer)
        assert len(receiver.received) == 1
        await _due_now(sql)
        await deliver(deliverer)
        await _due_now(sql)
        await deliver(deliverer)
    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1


async def test_two_workers_tell_each_event_once(vault: Installation) -> None:
    async with receiving() as receiver, delivering(vault) as one, delivering(vault) as another:
        await endpoint(vault, receiver.url)
        for number in range(12):
            await stored(vault, store(buyer=f"buyer-{number}"))
        await asyncio.gather(deliver(one), deliver(another))
    assert len(receiver.ids) == len(set(receiver.ids)) == 12


async def test_the_running_worker_delivers_forgets_and_finishes_what_it_began(vault: Installation, sql: Sql) -> None:
    async with receiving() as receiver, delivering(vault) as deliverer:
        await endpoint(vault, receiver.url)
        card = await stored(vault)
        await vault.api.patch(f"/v1/cards/{card['cardId']}", json={"isDefault": True})
        await sql.change("update vault.event set occurred_at = now() - interval '31 days'")
        receiver.delay = 0.2
        stop = asyncio.Event()
        working = asyncio.create_task(run(webhook_loops(deliverer, idle=0.05), stop))
        await until(lambda: _came(receiver, 1))
        stop.set()
        await working
    [kept] = await sql.rows("select sequence from vault.event")
    assert kept["sequence"] == 2
    await vault.api.patch(f"/v1/cards/{card['cardId']}", json={"expiryMonth": "01", "expiryYear": "38"})
    assert [each["sequence"] for each in await told(vault)] == [2, 3]


async def test_a_full_worker_begins_nothing_more(vault: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vault.worker.delivering._AT_ONCE", 1)
    async with receiving() as receiver, delivering(vault) as deliverer:
        receiver.delay = 0.1
        await endpoint(vault, receiver.url)
        for number in range(2):
            await stored(vault, store(buyer=f"buyer-{number}"))
        assert await deliverer.once(0.01)
        assert await deliverer.once(0.01)
        await deliver(deliverer, lambda: len(receiver.ids) == 2)


async def test_both_secrets_sign_while_a_replaced_one_goes_on(vault: Installation, sql: Sql) -> None:
    async with receiving() as receiver, delivering(vault) as deliverer:
        view = await endpoint(vault, receiver.url)
        path = f"/v1/webhook-endpoints/{view['endpointId']}"
        rotated = (await vault.api.post(f"{path}/rotate-secret")).json()
        assert rotated["previousSecretExpiresAt"] is not None
        await vault.api.post(f"{path}/test")
        await deliver(deliverer)
        last = (await vault.api.post(f"{path}/rotate-secret", json={"overlapSeconds": 0})).json()
        await vault.api.post(f"{path}/test")
        await deliver(deliverer)
    both, single = receiver.received
    for secret in (view["secret"], rotated["secret"]):
        assert both.verified(secret)["type"] == "webhook.test"
        with pytest.raises(WebhookVerificationError):
            single.verified(secret)
    assert single.verified(last["secret"])["sequence"] == 2
    types = [event["type"] for event in await sql.events() if event["type"].startswith("webhook.")]
    assert types == ["webhook.endpoint_created"] + ["webhook.secret_rotated", "webhook.endpoint_tested"] * 2


async def test_a_secret_is_sealed_again_when_its_key_was_retired(
    vault: Installation, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    await endpoint(vault, "http://127.0.0.1:9/")
    key_id = await rotate(vault, sql, Purpose.CREDENTIAL)
    view = await endpoint(vault, "http://127.0.0.1:9/")
    assert (
        await sql.value("select key_id from vault.webhook_secret where endpoint_id = $1", view["endpointId"]) == key_id
    )
    await rotate(vault, sql, Purpose.CREDENTIAL)
    monkeypatch.setattr("vault.webhooks._REPEATS", 1)
    answer = await vault.api.post("/v1/webhook-endpoints", json={"url": "http://127.0.0.1:9/"})
    problem(answer, 503, "overloaded")


async def test_a_secret_that_does_not_open_is_alarmed_and_nothing_goes_out_unsigned(
    vault: Installation, sql: Sql
) -> None:
    async with receiving() as receiver, delivering(vault) as deliverer:
        view = await endpoint(vault, receiver.url)
        await sql.change("update vault.webhook_secret set envelope = set_byte(envelope, 40, 0)")
        await stored(vault)
        await deliver(deliverer)
    assert receiver.received == []
    [delivery] = await deliveries(vault, view["endpointId"])
    assert delivery["attempts"][0]["outcome"] == "SECRET_UNUSABLE"
    assert "integrity_failure" in await sql.alarms()


async def test_an_endpoint_is_told_of_what_it_asked_for_from_then_on(vault: Installation) -> None:
    await stored(vault)
    async with receiving() as receiver, delivering(vault) as deliverer:
        view = await endpoint(vault, receiver.url, "payment.*", "card.deleted")
        card = await stored(vault, store(buyer="other"))
        await paid(vault, payment())
        await vault.api.delete(f"/v1/cards/{card['cardId']}")
        await deliver(deliverer)
    types = {each.verified(view["secret"])["type"] for each in receiver.received}
    assert types == {"payment.succeeded", "card.deleted"}
    assert view["eventTypes"] == ["payment.*", "card.deleted"]


async def test_a_deleted_endpoint_is_told_of_nothing_more(vault: Installation, sql: Sql) -> None:
    async with receiving() as receiver, delivering(vault) as deliverer:
        view = await endpoint(vault, receiver.url)
        card = await stored(vault)
        path = f"/v1/webhook-endpoints/{view['endpointId']}"
        assert (await vault.api.delete(path)).status_code == 204
        await stored(vault, store(buyer="other"))
        await deliver(deliverer)
        [event] = await told(vault, objectId=card["cardId"])
        assert (await vault.api.post(f"/v1/events/{event['eventId']}/redeliver")).json()["endpointIds"] == []
    assert receiver.received == []
    for answer in (await vault.api.get(path), await vault.api.delete(path), await vault.api.post(f"{path}/test")):
        problem(answer, 404, "not_found")
    assert (await vault.api.get("/v1/webhook-endpoints")).json() == {"endpoints": []}
    assert (await sql.count("webhook_secret"), len(await sql.events("webhook.endpoint_deleted"))) == (0, 1)


REFUSED_URLS = [
    "http://shop.example/",
    "ftp://shop.example/",
    "https://user@shop.example/",
    "https://:secret@shop.example/",
    "https://shop.example/#part",
    "https:///hook",
    "https://10.0.0.1/",
    "https://169.254.169.254/latest/meta-data",
    "https://[::1]/",
    "https://2130706433/",
    "https://127.1/",
    "http://localhost.shop.example/",
    "http://10.0.0.1/",
    "https://4111111111111111.example/",
    "https://\u0117\u00c6=0[|/",
    "https://[::1/",
    "https://shop.example:99999/",
    "https://shop.example:0/",
]


async def test_urls_to_which_nothing_would_be_sent_are_refused(vault: Installation, sql: Sql) -> None:
    for url in REFUSED_URLS:
        answer = await vault.api.post("/v1/webhook-endpoints", json={"url": url})
        assert answer.status_code == 422, url
        assert answer.json()["errors"][0]["pointer"] == "/url", url
    assert await sql.count("webhook_endpoint") == 0


async def test_good_urls_are_taken_up_to_the_most_that_a_merchant_may_have(vault: Installation) -> None:
    urls = ["https://shop.example/hook?a=1", "https://8.8.8.8:8443/", "http://localhost:9/", "http://127.0.0.1:9/"]
    made = [await endpoint(vault, urls[number % 4]) for number in range(16)]
    refused = await vault.api.post("/v1/webhook-endpoints", json={"url": urls[0]})
    problem(refused, 409, "too_many_endpoints")
    listed = (await vault.api.get("/v1/webhook-endpoints")).json()["endpoints"]
    assert [each["endpointId"] for each in listed] == [each["endpointId"] for each in made]
    assert all("secret" not in each for each in listed)
    problem(
        await vault.api.post("/v1/webhook-endpoints", json={"url": urls[0], "eventTypes": ["x"]}),
        422,
        "request_invalid",
    )


async def test_deliveries_come_in_pages(vault: Installation) -> None:
    view = await endpoint(vault, "http://127.0.0.1:9/")
    for number in range(3):
        await stored(vault, store(buyer=f"buyer-{number}"))
    path = f"/v1/webhook-endpoints/{view['endpointId']}/deliveries"
    first = (await vault.api.get(path, params={"limit": 2})).json()
    last = (await vault.api.get(path, params={"limit": 2, "cursor": first["nextCursor"]})).json()
    ids = [each["eventId"] for each in first["deliveries"] + last["deliveries"]]
    assert (len(ids), last["nextCursor"]) == (3, None)
    assert ids == [each["eventId"] for each in reversed(await told(vault))]


async def test_events_of_others_are_not_there_to_be_sent_again(vault: Installation) -> None:
    view = await endpoint(vault, "http://127.0.0.1:9/")
    await stored(vault)
    [event] = await told(vault)
    async with of_tenant(vault, 1) as other:
        problem(await other.post(f"/v1/events/{event['eventId']}/redeliver"), 404, "not_found")
    problem(await vault.api.post("/v1/events/evt_nothing/redeliver"), 404, "not_found")
    body = {"endpointId": view["endpointId"] + "a"}
    problem(await vault.api.post(f"/v1/events/{event['eventId']}/redeliver", json=body), 404, "not_found")

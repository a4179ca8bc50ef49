"""Limits over HTTP: shared by all processes, told in headers, not dodged (T-50; controls API-4, API-5)."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import httpx2
import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from tests.api.conftest import QUICK
from tests.api.limits import grant, process
from tests.api.shop import BUYER, Sql, payment, problem, store
from tests.api.test_authorization import onboarding_of
from tests.installation import Blueprint, Installation, installed
from vault import limiter
from vault.rules.limits import OPERATIONS, RULES, Limit, Rule, Window, WithoutCounters

pytestmark = pytest.mark.anyio
LIST = f"/v1/buyers/{BUYER}/cards"


@pytest.fixture
async def vault(blueprint: Blueprint, onboarded_url: str) -> AsyncIterator[Installation]:
    """A running vault with its limits on."""
    async with installed(blueprint, onboarded_url, sandbox=QUICK, limits=True) as installation:
        yield installation


async def listed(api: httpx2.AsyncClient, times: int) -> int:
    """List a buyer's cards so often, all at once; gives how often that was admitted."""
    answers = await asyncio.gather(*(api.get(LIST) for _ in range(times)))
    assert {answer.status_code for answer in answers} <= {200, 429}
    return sum(answer.status_code == 200 for answer in answers)


async def test_two_processes_share_a_quota_and_use_nearly_all_of_it(
    vault: Installation, sql: Sql, blueprint: Blueprint, onboarded_url: str
) -> None:
    await grant(sql, objects_list={"burst": 100_000, "minute": 100_000, "day": 200})
    async with process(blueprint, onboarded_url) as other:
        admitted = [await asyncio.gather(listed(vault.api, 25), listed(other, 25)) for _ in range(6)]
    assert 190 <= sum(sum(each) for each in admitted) <= 200


async def test_an_answer_says_which_quotas_there_are_and_what_is_left(vault: Installation, sql: Sql) -> None:
    """API-4."""
    await grant(sql, objects_list={"burst": 5, "day": 100})
    answer = await vault.api.get(LIST)
    assert answer.headers["ratelimit-policy"] == '"burst";q=5;w=10, "minute";q=1500;w=60, "day";q=100;w=86400'
    windows = [each.split(";") for each in answer.headers["ratelimit"].split(", ")]
    assert [each[:2] for each in windows] == [['"burst"', "r=4"], ['"minute"', "r=1499"], ['"day"', "r=99"]]
    assert all(
        0 < int(each[2].removeprefix("t=")) <= most + most // 30 + 1
        for each, most in zip(windows, (10, 60, 86_400), strict=True)
    )


async def test_problems_say_it_too(vault: Installation) -> None:
    for answer in (
        await vault.api.get("/v1/cards/card_x"),
        await vault.api.post("/v1/cards", json={"unknown": 1}),
        await vault.api.get(LIST, headers={"Authorization": "Bearer x"}),
    ):
        assert answer.status_code >= 400
        assert "r=" in answer.headers["ratelimit"]
        assert "q=" in answer.headers["ratelimit-policy"]


async def test_a_refusal_says_when_to_come_back_and_is_no_other_problem(vault: Installation, sql: Sql) -> None:
    """API-5."""
    await grant(sql, cards_store={"burst": 1, "day": 1})
    assert (await vault.api.post("/v1/cards", json=store())).status_code == 201
    answer = await vault.api.post("/v1/cards", json=store())
    document = problem(answer, 429, "rate_limited")
    assert (document["retryable"], document["limit"]) == (True, "cards.store")
    assert document["violatedPolicies"] == ["burst", "day"]
    assert answer.headers["cache-control"] == "no-store"
    latest = max(int(part.rpartition("t=")[2]) for part in answer.headers["ratelimit"].split(", "))
    assert int(answer.headers["retry-after"]) >= latest > 60
    assert (await vault.api.get(LIST)).status_code == 200


async def test_refusals_are_one_event_and_a_count(vault: Installation, sql: Sql) -> None:
    await grant(sql, objects_list={"day": 2})
    assert await listed(vault.api, 10) == 2
    [event] = await sql.events("limit.reached")
    assert (event["outcome"], event["reason"], event["objects"]) == (
        "denied",
        "rate_limited",
        [vault.tenants[0].client_id],
    )
    assert event["details"] == {"limit": "objects.list", "windows": "day", "operation": "list_buyer_cards"}
    assert await sql.events("access.denied") == []


async def test_all_keys_of_a_client_spend_the_same_quota(vault: Installation, sql: Sql, onboarded_url: str) -> None:
    await grant(sql, objects_list={"day": 4})
    async with onboarding_of(vault, onboarded_url) as onboarding:
        second = await onboarding.rotate_client(vault.tenants[0].client_id, overlap_seconds=60)
    assert await listed(vault.api, 3) == 3
    other = {"Authorization": f"Bearer {second.reveal()}"}
    answers = [(await vault.api.get(LIST, headers=other)).status_code for _ in range(3)]
    assert answers == [200, 429, 429]


async def test_refused_keys_are_counted_by_address_whatever_it_claims_to_be(
    vault: Installation, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T-50: a forged X-Forwarded-For is another address to nobody, and the client's own requests go on."""
    monkeypatch.setitem(RULES, Limit.REFUSED, Rule({Window.DAY: 3}, WithoutCounters.ADMITTED))
    answers = []
    for number in range(5):
        forged = {
            "Authorization": "Bearer x",
            "X-Forwarded-For": f"203.0.113.{number}",
            "Forwarded": "for=198.51.100.1",
        }
        answers.append(await vault.api.get(LIST, headers=forged))
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    assert problem(answers[-1], 429, "rate_limited")["limit"] == "access.refused"
    assert len(await sql.events("access.denied")) == 3
    [event] = await sql.events("limit.reached")
    assert (event["actor"]["kind"], event["actor"]["address"], event["objects"]) == ("anonymous", "127.0.0.1", [])
    assert (await vault.api.get(LIST)).status_code == 200


async def test_clients_do_not_spend_each_others_quota(vault: Installation, sql: Sql) -> None:
    await grant(sql, objects_list={"day": 1})
    assert await listed(vault.api, 2) == 1
    assert (await vault.api.get(LIST, headers=vault.tenants[1].headers)).status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/v1/b%75yers/{BUYER}/cards", 429),
        (f"/v1/buyers/{BUYER}/cards?x=1", 429),
        (f"/v1/buyers/{BUYER}/cards/", 404),
        (f"/v1//buyers/{BUYER}/cards", 404),
        (f"/v1/buyers%2f{BUYER}/cards/", 404),
        (f"/V1/buyers/{BUYER}/cards", 404),
        (f"/v1/cards/../buyers/{BUYER}/cards", 404),
    ],
)
async def test_another_spelling_of_a_path_is_the_same_operation_or_none(
    vault: Installation, sql: Sql, path: str, status: int
) -> None:
    await grant(sql, objects_list={"day": 1})
    assert await listed(vault.api, 1) == 1
    reader, writer = await asyncio.open_connection("127.0.0.1", vault.api.base_url.port)
    key = vault.tenants[0].headers["Authorization"]
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: {key}\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer.startswith(f"HTTP/1.1 {status}".encode())


async def test_limits_are_off_unless_turned_on(blueprint: Blueprint, onboarded_url: str, sql: Sql) -> None:
    await grant(sql, objects_list={"day": 1})
    async with process(blueprint, onboarded_url, limits=False) as api:
        assert await listed(api, 3) == 3
        assert "ratelimit" not in (await api.get(LIST)).headers
    assert await sql.count("rate_counter") == 0


async def test_without_counters_money_and_cards_wait_and_reading_goes_on(vault: Installation, sql: Sql) -> None:
    """T-50; decided for each limit in ADR 0020."""
    await sql.connection.execute("alter table vault.rate_counter rename to gone")
    for path, body in (("/v1/cards", store()), ("/v1/payments", payment())):
        answer = await vault.api.post(path, json=body)
        assert problem(answer, 503, "limits_unavailable")["retryable"] is True
        assert int(answer.headers["retry-after"]) > 0
    assert await listed(vault.api, 2) == 2
    assert (await sql.count("card"), await sql.count("payment")) == (0, 0)
    problem(await vault.api.get(LIST, headers={"Authorization": "Bearer x"}), 401, "unauthenticated")
    await sql.connection.execute("alter table vault.gone rename to rate_counter")


async def test_a_counter_that_somebody_holds_does_not_hold_requests(
    vault: Installation, blueprint: Blueprint, onboarded_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limiter, "PATIENCE", 0.2)
    assert await listed(vault.api, 1) == 1
    holder = await asyncpg.connect(onboarded_url, ssl=False)
    async with holder.transaction():
        await holder.execute("select * from vault.rate_counter for update")
        async with process(blueprint, onboarded_url) as other:
            answer = await other.get(LIST)
        assert (answer.status_code, "ratelimit" in answer.headers) == (200, False)
    await holder.close()


async def test_every_route_for_clients_has_a_limit(vault: Installation) -> None:
    routes = [entry.original_route for entry in iter_route_contexts(vault.app.routes)]
    guarded = {route.name for route in routes if isinstance(route, APIRoute) and route.dependant.dependencies}
    assert guarded == set(OPERATIONS)

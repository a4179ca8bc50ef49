"""`/metrics`: what monitoring is told, who is told, and what is never in it (design section 4)."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.api.gateway import SUCCESS, Puppet
from tests.api.sequencers import opened_log
from tests.api.shop import Sql, card_on_file, paid, paid_on_file, payment, store, stored
from tests.canary import VISA_CANARY
from tests.cluster import out_of_reach
from tests.database import Cluster
from tests.installation import Blueprint, Installation, installed
from vault.db import Database
from vault.exposition import _figures, may_ask
from vault.ids import Prefix, new_id
from vault.roles import APP
from vault.store import workers
from vault.store.standing import QUESTIONS, standing
from vault.store.workers import Beat

pytestmark = pytest.mark.anyio
_SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")


async def figures(vault: Installation) -> dict[str, float]:
    """Give every sample by its name and labels."""
    answer = await vault.api.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = [_SAMPLE.fullmatch(line) for line in answer.text.splitlines() if not line.startswith("#")]
    return {f"{found[1]}{{{found[2] or ''}}}": float(found[3]) for found in samples if found is not None}


async def test_every_figure_is_there_and_none_names_anything(vault: Installation, sql: Sql) -> None:
    card = await stored(vault)
    await paid_on_file(vault, card["cardId"])
    body = payment()
    await vault.arm(body["paymentRequestId"], "LOST_ANSWER+NO_NOTIFICATION")
    unknown = await paid(vault, body, status=202)
    await sql.change(
        "update vault.payment set created_at = now() - interval '1 hour' where id = $1", unknown["paymentId"]
    )
    await vault.api.get(f"/v1/cards/{VISA_CANARY}")
    found = await figures(vault)
    named = {name.partition("{")[0] for name in found}
    always = {question.name for question in QUESTIONS if question.label is None}
    assert named >= always - {"cardvault_oldest_expired_unpurged_seconds"}
    assert found['cardvault_payments_open{state="UNKNOWN"}'] == 1
    assert found["cardvault_payment_oldest_unknown_seconds{}"] >= 3600
    assert found['cardvault_gateway_calls_total{operation="pay",outcome="unknown",reason="connection_lost"}'] >= 1
    assert found['cardvault_http_requests_total{method="POST",route="/v1/payments",status="202"}'] >= 1
    assert found['cardvault_payment_states_total{state="SUCCESS"}'] >= 1
    assert found['cardvault_ready{part="audit"}'] == 1
    assert found['cardvault_key_seals_max{purpose="card"}'] >= 1
    assert found["cardvault_audit_pending_events{}"] >= 2
    tenant = vault.tenants[0]
    for secret in (VISA_CANARY, card["cardId"], unknown["paymentId"], tenant.merchant_id, tenant.client_id):
        assert not [name for name in found if secret in name]


async def test_without_a_database_the_process_tells_its_own(
    vault: Installation, onboarded_url: str, postgres: Cluster
) -> None:
    async with out_of_reach(postgres.url, onboarded_url.rpartition("/")[2]):
        await vault.api.get("/healthz")
        found = await figures(vault)
        assert await _figures(vault.services) == ()
    assert found['cardvault_ready{part="database"}'] == 0
    assert found['cardvault_http_requests_total{method="GET",route="/healthz",status="200"}'] >= 1
    assert "cardvault_workers{}" not in found


async def test_a_loop_that_never_ended_a_round_is_silent_since_its_workers_start(vault: Installation, sql: Sql) -> None:
    async with vault.services.database.session() as session:
        await workers.beat(session, new_id(Prefix.WORKER), [Beat("new", 0, None), Beat("done", 0, 0.0)])
        await workers.beat(session, "wrk_" + "a" * 26, [Beat("old", 0, None), Beat("done", 0, None)])
    found = await figures(vault)
    silent = {loop: found[f'cardvault_worker_loop_silent_seconds{{loop="{loop}"}}'] for loop in ("new", "old", "done")}
    assert silent["old"] > 1.7e9
    assert max(silent["new"], silent["done"]) < 3600


async def test_a_log_that_was_never_signed_is_as_old_as_its_key(vault: Installation, sql: Sql) -> None:
    assert await sql.count("audit_checkpoint") == 0
    await sql.change("update vault.data_key set created_at = now() - interval '1 hour' where purpose = 'audit'")
    async with vault.services.database.session() as session:
        told = {figure.question.name: figure.values for figure in await standing(session)}
    assert told["cardvault_audit_checkpoint_age_seconds"][""] >= 3600


async def test_an_anchor_or_a_stream_is_as_late_as_what_it_lacks(
    blueprint: Blueprint, onboarded_url: str, sql: Sql, tmp_path: Path
) -> None:
    """AUD-6."""
    async with opened_log(blueprint, onboarded_url, sql, tmp_path) as log:
        await log.sequencer().once()
    database = Database(onboarded_url, role=APP, pool_size=1)

    async def lags(*sinks: tuple[str, str, int]) -> dict[str, float]:
        for sink in sinks:
            await sql.change("insert into vault.audit_sink (name, told, next_place) values ($1, $2, $3)", *sink)
        async with database.session() as session:
            told = {figure.question.name: figure.values for figure in await standing(session)}
        return told["cardvault_audit_sink_lag_seconds"]

    assert await lags() == {}
    both = await lags(("told", "checkpoints", 1000), ("told", "events", 1000))
    assert both == {"checkpoints": 0, "events": 0}
    behind = await lags(("new", "checkpoints", 0), ("new", "events", 0))
    assert 0 < behind["checkpoints"] < behind["events"]
    await database.close()


async def test_from_elsewhere_there_is_nothing(blueprint: Blueprint, onboarded_url: str) -> None:
    async with installed(blueprint, onboarded_url, metrics_networks="192.0.2.0/24") as vault:
        answer = await vault.api.get("/metrics")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("address", "headers", "proxies", "told"),
    [
        ("127.0.0.1", {}, (), True),
        ("::1", {}, (), True),
        ("::ffff:127.0.0.1", {}, (), True),
        ("203.0.113.9", {}, (), False),
        ("", {}, (), False),
        ("127.0.0.1", {b"x-forwarded-for": b"203.0.113.9"}, (), False),
        ("127.0.0.1", {b"forwarded": b"for=203.0.113.9"}, (), False),
        ("127.0.0.1", {b"x-forwarded-for": b"127.0.0.1"}, "192.0.2.1/32", True),
    ],
)
async def test_an_address_that_a_proxy_lends_is_not_believed(
    vault: Installation, address: str, headers: dict[bytes, bytes], proxies: Any, *, told: bool
) -> None:
    settings = vault.settings.model_copy(update={"trusted_proxies": proxies})
    assert may_ask(settings, address, headers) is told


async def test_answers_say_how_long_the_vault_and_the_gateway_took(vault: Installation) -> None:
    kept = await vault.api.post("/v1/cards", json=store())
    assert re.fullmatch(r"vault;dur=\d+\.\d", kept.headers["server-timing"])
    answer = await vault.api.post(f"/v1/cards/{kept.json()['cardId']}/payments", json=card_on_file())
    assert re.fullmatch(r"vault;dur=\d+\.\d, gateway;dur=\d+\.\d", answer.headers["server-timing"])


async def test_a_trace_is_told_to_the_gateway_and_kept_in_events(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    """API-6."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    puppet.says("pay", {"result": SUCCESS})
    headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    assert (await puppeteer.api.post("/v1/payments", json=payment(), headers=headers)).status_code == 201
    [parent] = puppet.parents
    assert re.fullmatch(rf"00-{trace}-(?!b7ad6b7169203331)[0-9a-f]{{16}}-01", parent)
    events = await sql.rows("select convert_from(body, 'UTF8')::jsonb as body from vault.audit_pending")
    told = {event["body"]["type"] for event in map(_parsed, events) if event["body"].get("trace") == trace}
    assert told >= {"payment.created", "payment.changed"}


def _parsed(row: dict[str, Any]) -> dict[str, Any]:
    return {"body": json.loads(row["body"])}

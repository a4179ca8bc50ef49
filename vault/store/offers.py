"""Rows of installment plans that the gateway offered lately, by currency and region of the cards.

It refuses to know what a plan is good for. Invariant: a newer answer of the gateway replaces an older one about the
same currency and region.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from vault.db import Session
from vault.installments import Plan
from vault.money import Amount


async def keep(session: Session, merchant_id: str, currency: str, plans: Mapping[str, Sequence[Plan]]) -> None:
    """Remember what was offered just now, by region."""
    await session.rows(
        "insert into vault.installment_offer (merchant_id, currency, region, plans, consulted_at) "
        "select $1, $2, o.region, jsonb_build_object('plans', o.plans), clock_timestamp() "
        "from unnest($3::text[], $4::text[]::jsonb[]) as o(region, plans) "
        "on conflict (merchant_id, currency, region) "
        "do update set plans = excluded.plans, consulted_at = excluded.consulted_at",
        merchant_id,
        currency,
        list(plans),
        [orjson.dumps([asdict(plan) for plan in offered]).decode() for offered in plans.values()],
    )


async def fresh(session: Session, merchant_id: str, currency: str, seconds: float) -> dict[str, list[Plan]]:
    """Give what was offered within so many seconds, by region."""
    rows = await session.rows(
        "select region, plans from vault.installment_offer where merchant_id = $1 and currency = $2 "
        "and consulted_at > clock_timestamp() - make_interval(secs => $3)",
        merchant_id,
        currency,
        seconds,
    )
    return {row["region"]: [_plan(entry) for entry in row["plans"]["plans"]] for row in rows}


def _plan(entry: Mapping[str, Any]) -> Plan:
    return Plan(**{**entry, "least": Amount(**entry["least"]), "most": Amount(**entry["most"])})

"""Card numbers and codes where people look while a vault runs: the database's activity, figures and traces (T-36).

Logs, tables, database files and the write-ahead log are searched after every run (`tests/conftest.py`), the arguments and
environments of processes in `tests/ops/test_serving.py`.
"""

import re

import httpx2
import pytest

from tests.api.gateway import SUCCESS, Puppet
from tests.api.shop import Sql, card_on_file, paid, paid_on_file, payment, stored
from tests.canary import CVV_CANARY, VISA_CANARY, assert_clean
from tests.installation import Installation

pytestmark = pytest.mark.anyio
_ACTIVITY = "select string_agg(query, e'\\n') from pg_stat_activity where datname = current_database()"


async def test_the_databases_activity_and_the_figures_hold_no_card(vault: Installation, sql: Sql) -> None:
    card = await stored(vault)
    seen = [await sql.value(_ACTIVITY)]
    await paid(vault, payment(storeCard="BOTH", number=VISA_CANARY))
    seen.append(await sql.value(_ACTIVITY))
    await paid_on_file(vault, card["cardId"], card_on_file(cvv=CVV_CANARY))
    seen.append(await sql.value(_ACTIVITY))
    await vault.api.get(f"/v1/cards/{VISA_CANARY}", params={"cursor": VISA_CANARY})
    assert any("vault.card" in text or "vault.payment" in text for text in seen)
    for text in seen:
        assert_clean(text, "pg_stat_activity")
    assert_clean((await vault.api.get("/metrics")).text, "/metrics")


async def test_traces_of_callers_that_hold_a_card_go_nowhere(puppeteer: Installation, puppet: Puppet) -> None:
    """API-6."""
    puppet.says("pay", {"result": SUCCESS})
    headers = {"traceparent": f"00-{VISA_CANARY}abcdefabcdefabcd-b7ad6b7169203331-01", "tracestate": f"a={VISA_CANARY}"}
    answer: httpx2.Response = await puppeteer.api.post("/v1/payments", json=payment(), headers=headers)
    assert answer.status_code == 201
    [parent] = puppet.parents
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", parent)
    assert_clean(parent, "traceparent")

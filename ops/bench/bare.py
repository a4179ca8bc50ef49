"""The limit: routes with nothing around them, on the same server settings, that do what a request cannot do without.

`python -m ops.bench.bare PORT PROCESSES`; settings as for the server, and the shop's file in `BENCH_SHOP`. Storing
checks the same body and inserts rows of the same bytes in one statement; a list is the vault's own statement, written
out; a payment is the signed call, and beside it the same call between two writes. It refuses everything else: no
caller, no key, no log, no event, no error.
"""

import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import aiohttp
import asyncpg
import orjson
from fastapi import APIRouter, FastAPI, Request, Response

from ops.bench.shop import GatewayCall, Shop
from ops.bench.statements import statement_of
from ops.serving import ServerOptions, listener_for, serve_on, tie_to_manager, uvicorn_config
from vault.cursors import DEFAULT_PAGE
from vault.ids import Prefix, new_id
from vault.roles import APP
from vault.settings import Settings, load_settings
from vault.store import cards
from vault.store.cards import Page
from vault.wire.cards import StoreCardRequest

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
SHOP_FILE: Final = "BENCH_SHOP"
_APPLICATION: Final = "ops.bench.bare:application"
_HOST: Final = "127.0.0.1"
_JSON: Final = "application/json"
_SOMEBODY: Final = "?"
_FINGERPRINT_BYTES: Final = 32
_INSERT: Final = """
with one as (
    insert into bench.card (merchant_id, id, buyer, brand, masked, bin, last_four, expiry_month, expiry_year,
        fingerprint, fingerprint_key_id, status)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'ACTIVE')
), two as (
    insert into bench.card_secret (merchant_id, card_id, kind, envelope, key_id) values ($1, $2, 'PAN', $12, $13)
)
insert into bench.audit_pending (event_id, merchant_id, body) values ($14, $1, $15)
"""

_BEGIN: Final = """
with one as (
    insert into bench.payment (merchant_id, id, request_id, client_id, kind, status, currency, value, order_reference,
        buyer, credential, card_id, store_state, digest, digest_key_id, capture_mode, send_deadline, expires_at)
    values ($1, $2, $3, $4, 'CARD_ON_FILE', 'CREATED', $5, $6, $7, 'regular-1', 'PAN', $8, 'NONE', $9, $10, 'AUTOMATIC',
        clock_timestamp() + interval '10 seconds', clock_timestamp() + interval '14 minutes')
)
insert into bench.audit_pending (event_id, merchant_id, body) values ($11, $1, $12)
"""
_SETTLE: Final = """
with one as (
    update bench.payment set status = 'SUCCESS', gateway_payment_id = $3, result_code = 'SUCCESS', result_status = 'S',
        result_message = 'Success', result_info = $4, updated_at = clock_timestamp(), finalised_at = clock_timestamp()
    where merchant_id = $1 and id = $2
)
insert into bench.audit_pending (event_id, merchant_id, body) values ($5, $1, $6)
"""

router = APIRouter()


class Limit:
    """What the bare routes work with."""

    def __init__(self, shop: Shop, pool: Pool, session: aiohttp.ClientSession) -> None:
        self.shop = shop
        self.pool = pool
        self.session = session
        self.call = GatewayCall(shop)
        self.envelope = bytes.fromhex(shop.envelope)
        self.event = bytes.fromhex(shop.event)
        self.key_id = bytes.fromhex(shop.key_id)
        self.fingerprint_key_id = bytes.fromhex(shop.fingerprint_key_id)
        self.listing = ""
        self.listing_values: tuple[Any, ...] = ()

    async def learn(self) -> None:
        """Take the statement of a list from the vault itself, so that it is the same whatever becomes of it."""
        page = Page(None, DEFAULT_PAGE)
        told = await statement_of(lambda session: cards.of_buyer(session, self.shop.merchant_id, _SOMEBODY, page))
        self.listing, self.listing_values = told.text, told.values


@router.post("/v1/cards")
async def store(request: Request, body: StoreCardRequest) -> Response:
    """Check a card and insert its rows."""
    limit: Limit = request.app.state.limit
    card, pan = body.card, body.card.card_no
    card_id = new_id(Prefix.CARD)
    await limit.pool.execute(
        _INSERT,
        limit.shop.merchant_id,
        card_id,
        body.reference_buyer_id,
        pan.brand,
        pan.masked,
        pan.bin,
        pan.last_four,
        int(card.expiry_month),
        2000 + int(card.expiry_year),
        os.urandom(_FINGERPRINT_BYTES),
        limit.fingerprint_key_id,
        limit.envelope,
        limit.key_id,
        new_id(Prefix.AUDIT_EVENT),
        limit.event,
    )
    shown = {"cardId": card_id, "cardBrand": pan.brand, "maskedCardNo": pan.masked, "lastFour": pan.last_four}
    return Response(orjson.dumps(shown), 201, media_type=_JSON)


@router.get("/v1/buyers/{buyer}/cards")
async def listed(request: Request, buyer: str) -> Response:
    """Run the vault's statement and write what may be shown of its rows."""
    limit: Limit = request.app.state.limit
    values = [buyer if value is _SOMEBODY else value for value in limit.listing_values]
    rows = await limit.pool.fetch(limit.listing, *values)
    shown = [
        {
            "cardId": row["id"],
            "cardBrand": row["brand"],
            "maskedCardNo": row["masked"],
            "expiryMonth": row["expiry_month"],
            "expiryYear": row["expiry_year"],
            "status": row["status"],
            "createdAt": row["created_at"],
        }
        for row in rows
    ]
    return Response(orjson.dumps({"cards": shown}), media_type=_JSON)


@router.post("/v1/cards/{card_id}/payments")
async def pay(request: Request) -> Response:
    """Make the call to the gateway, and hand its answer on once its signature fits."""
    limit: Limit = request.app.state.limit
    raw = await _called(limit, orjson.loads(await request.body())["paymentRequestId"])
    return Response(raw, 201, media_type=_JSON)


@router.post("/v1/cards/{card_id}/payments/kept")
async def pay_and_keep(request: Request, card_id: str) -> Response:
    """Write what is asked with an event, make the call, and write what came of it with another."""
    limit: Limit = request.app.state.limit
    asked = orjson.loads(await request.body())
    merchant_id, payment_id, amount = limit.shop.merchant_id, new_id(Prefix.PAYMENT), asked["paymentAmount"]
    await limit.pool.execute(
        _BEGIN,
        merchant_id,
        payment_id,
        asked["paymentRequestId"],
        limit.shop.client_id,
        amount["currency"],
        int(amount["value"]),
        asked["order"]["referenceOrderId"],
        card_id,
        os.urandom(_FINGERPRINT_BYTES),
        limit.fingerprint_key_id,
        new_id(Prefix.AUDIT_EVENT),
        limit.event,
    )
    raw = await _called(limit, asked["paymentRequestId"])
    told = orjson.loads(raw)
    info = orjson.dumps(told.get("cardInfo", {}) | told.get("paymentResultInfo", {})).decode()
    event_id = new_id(Prefix.AUDIT_EVENT)
    await limit.pool.execute(_SETTLE, merchant_id, payment_id, told["paymentId"], info, event_id, limit.event)
    return Response(raw, 201, media_type=_JSON)


async def _called(limit: Limit, request_id: str) -> bytes:
    """Give the gateway's answer, once its signature fits."""
    body = limit.call.body(request_id)
    url = limit.shop.gateway_url + limit.call.path
    async with limit.session.post(url, data=body, headers=limit.call.headers(body)) as answer:
        raw = await answer.read()
    limit.call.check({name.lower(): value for name, value in answer.headers.items()}, raw)
    return raw


@router.get("/readyz")
async def ready() -> Response:
    """Tell that it runs."""
    return Response(b"{}", media_type=_JSON)


def application() -> FastAPI:
    """Make the limit's application in a server process."""
    tie_to_manager()
    settings = load_settings(os.environ)
    shop = Shop.read(Path(os.environ[SHOP_FILE]).read_bytes())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # The pool that costs least: its own reset query, a round trip of its own for each request, is left out.
        async with (
            _pool(settings) as pool,
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False) as session,
        ):
            app.state.limit = Limit(shop, pool, session)
            await app.state.limit.learn()
            yield

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.include_router(router)
    return app


def _pool(settings: Settings) -> Pool:
    return asyncpg.create_pool(
        settings.database_url.get_secret_value(),
        min_size=settings.pool_size,
        max_size=settings.pool_size,
        reset=_NO_RESET,
        server_settings={"role": APP, "jit": "off"},
    )


async def _no_reset(_connection: object) -> None:
    """Leave a connection as it is."""


_NO_RESET: Final[Callable[[Any], Awaitable[None]]] = _no_reset


def main() -> None:
    """Serve on the given port in so many processes until a signal."""
    port, processes = map(int, sys.argv[1:])
    options = ServerOptions(_HOST, port, processes, with_worker=False)
    config = uvicorn_config(load_settings(os.environ), options, _APPLICATION)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    serve_on(listener_for(_HOST, port), config, processes)


def _stop(_number: int, _frame: object) -> None:
    """Take the signal that the server has acted on."""


if __name__ == "__main__":
    main()

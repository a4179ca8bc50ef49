"""Stores the cards that are paid with and makes one payment, through the product's own services.

It refuses to know processes. Invariant: what the limit is given (an envelope, an event, the body of a call) is what the
product wrote, so that both write the same bytes.
"""

import asyncio
from random import SystemRandom
from typing import Any, Final

import orjson

from ops.bench.shop import Shop
from ops.bench.traffic import card_number, payment_body
from ops.connection import connect
from ops.local_http import Call, call
from ops.operating import onboarding_of
from ops.playground_folder import Record
from ops.refusal import Refused
from vault.auth import Caller, Place
from vault.ids import Prefix, new_id
from vault.rules.limits import RULES, Limit
from vault.services import Services, running_services
from vault.settings import Settings
from vault.wire.requests import StoredCardPaymentRequest
from vault.wire.vaultings import CardRequest

# So many that two payments with one card at the same moment, which take turns, are as rare as they are outside.
_CARDS: Final = 2_000
_AT_ONCE: Final = 20
_MOST_A_SECOND: Final = 10_000
_REQUEST_ID: Final = "bench-first"
_SAMPLE: Final = """
select s.envelope, s.key_id, c.fingerprint_key_id, a.body
from vault.card c join vault.card_secret s on s.merchant_id = c.merchant_id and s.card_id = c.id,
    vault.audit_pending a
where c.merchant_id = $1 and c.id = $2 and a.merchant_id = $1 and convert_from(a.body, 'UTF8') like '%' || $2 || '%'
order by a.ord limit 1
"""


async def open_shop(settings: Settings, superuser_url: str, record: Record, keys: tuple[str, str]) -> Shop:
    """Give the shop; `keys` are the merchant's private one and the gateway's public one."""
    async with running_services(settings) as services:
        caller = await _caller(services, record.api_key)
        await _give_room(settings, caller.client_id)
        cards = await _stored(services, caller)
        body = orjson.loads(payment_body(_REQUEST_ID))
        await services.payments.pay_with_card(caller, cards[0], StoredCardPaymentRequest.model_validate(body), body)
    connection = await connect(superuser_url)
    try:
        sample = await connection.fetchrow(_SAMPLE, record.merchant_id, cards[0])
    finally:
        await connection.close()
    if sample is None:
        raise Refused("a stored card has no row of its own, or no event")
    return Shop(
        api_key=record.api_key,
        merchant_id=record.merchant_id,
        client_id=record.gateway_client_id,
        private_key=keys[0],
        gateway_public_key=keys[1],
        gateway_url=settings.gateway_url,
        cards=tuple(cards),
        envelope=sample["envelope"].hex(),
        key_id=sample["key_id"].hex(),
        fingerprint_key_id=sample["fingerprint_key_id"].hex(),
        event=sample["body"].hex(),
        pay_body=_sent(settings.gateway_url),
    )


async def _caller(services: Services, api_key: str) -> Caller:
    caller = await services.authenticator.admit(
        f"Bearer {api_key}", frozenset(), Place("127.0.0.1"), new_id(Prefix.REQUEST)
    )
    if not isinstance(caller, Caller):
        raise Refused("the vault does not know its own API key")
    return caller


async def _stored(services: Services, caller: Caller) -> list[str]:
    """Store the cards that are paid with."""
    cards: list[str] = []
    for first in range(0, _CARDS, _AT_ONCE):
        storing = (_store(services, caller, number) for number in range(first, first + _AT_ONCE))
        cards += await asyncio.gather(*storing)
    return cards


async def _store(services: Services, caller: Caller, number: int) -> str:
    card = {"cardNo": card_number(SystemRandom()), "expiryMonth": "11", "expiryYear": "39"}
    body = {"referenceBuyerId": f"regular-{number}", "storage": "VAULT", "card": card}
    return (await services.cards.store(caller, CardRequest.model_validate(body))).card.id


async def _give_room(settings: Settings, client_id: str) -> None:
    """Give the client quotas of each limit that the load does not reach and that are not without effect."""
    quotas = [
        f"{limit}:{window}={window.seconds * _MOST_A_SECOND}"
        for limit, rule in RULES.items()
        if limit is not Limit.REFUSED
        for window in rule.quotas
    ]
    async with onboarding_of(settings) as onboarding:
        await onboarding.limit_client(client_id, quotas, keep=False)


def _sent(gateway_url: str) -> dict[str, Any]:
    received = call(gateway_url, Call("GET", f"/_sandbox/requests?paymentRequestId={_REQUEST_ID}")).json
    body: dict[str, Any] = received[0]["body"]
    return body

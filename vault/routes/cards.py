"""`/v1/cards` and `/v1/buyers`: stored cards over HTTP.

It refuses to decide anything: requests in, services, views out.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from vault.cursors import DEFAULT_PAGE, LARGEST_PAGE
from vault.routes.access import OUR_ID, CardsReader, CardsWriter, services_of
from vault.routes.card_testing import shown_by
from vault.routes.direct import DirectRoute
from vault.routes.vaulting_views import NewCardView
from vault.routes.views import CardPage, CardView
from vault.stored_card import Storage, StoredCard
from vault.strict_json import StrictRoute
from vault.wire.cards import UpdateCardRequest
from vault.wire.fields import MERCHANTS_ID, CursorText
from vault.wire.vaultings import CardRequest

hot = APIRouter(prefix="/v1", tags=["cards"], route_class=DirectRoute)
router = APIRouter(prefix="/v1", tags=["cards"], route_class=StrictRoute)

CardId = Annotated[str, Path(alias="cardId", max_length=64, pattern=OUR_ID)]
BuyerId = Annotated[str, Path(alias="referenceBuyerId", max_length=64, pattern=MERCHANTS_ID)]
Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE)]
Cursor = Annotated[CursorText | None, Query()]


@hot.post(
    "/cards",
    status_code=201,
    responses={
        200: {"model": CardView | NewCardView, "description": "The buyer has it already"},
        202: {"model": NewCardView, "description": "The gateway has not said yet whether it holds the card"},
    },
)
async def store_card(
    request: Request, response: Response, body: CardRequest, caller: CardsWriter
) -> CardView | NewCardView:
    """Store a card without a payment, in the vault or at the gateway; the vault takes an expired one as `EXPIRED`."""
    services = services_of(request)
    prints = await services.card_guard.admit(caller, shown_by(body.reference_buyer_id, body.env, body.card))
    view: CardView
    if body.storage == Storage.VAULT:
        kept = await services.cards.store(caller, body, prints)
        view, created = CardView.of(kept.card), kept.created
    else:
        begun = await services.vaultings.store(caller, body, request.state.parsed_body)
        view, created = NewCardView.of_storing(begun.card, begun.vaulting), begun.created
        if begun.replayed:
            response.headers["Idempotent-Replayed"] = "true"
        if not begun.vaulting.status.final and begun.vaulting.next_action is None:
            response.status_code = 202
    if not created:
        response.status_code = 200
    response.headers["Location"] = f"/v1/cards/{view.card_id}"
    return view


@hot.get("/cards/{cardId}")
async def get_card(request: Request, card_id: CardId, caller: CardsReader) -> CardView | NewCardView:
    """Show a card, masked; one that is not stored yet, too."""
    found = await services_of(request).cards.shown(caller, card_id)
    return CardView.of(found) if isinstance(found, StoredCard) else NewCardView.of_storing(None, found)


@router.patch("/cards/{cardId}")
async def update_card(request: Request, card_id: CardId, body: UpdateCardRequest, caller: CardsWriter) -> CardView:
    """Change a card's expiry, holder name, billing address or default flag."""
    return CardView.of(await services_of(request).cards.update(caller, card_id, body))


@router.delete("/cards/{cardId}", status_code=204)
async def delete_card(request: Request, card_id: CardId, caller: CardsWriter) -> None:
    """Delete a card: unusable at once, its ciphertext gone."""
    await services_of(request).erasure.delete(caller, card_id)


@hot.get("/buyers/{referenceBuyerId}/cards")
async def list_buyer_cards(
    request: Request, buyer: BuyerId, caller: CardsReader, limit: Limit = DEFAULT_PAGE, cursor: Cursor = None
) -> CardPage:
    """Show a buyer's cards, newest first."""
    services, subject = services_of(request), f"cards/{buyer}"
    page = await services.cursors.page(caller.merchant_id, subject, cursor, limit)
    found = await services.cards.of_buyer(caller, buyer, page)
    further = None
    if len(found) == limit:
        further = await services.cursors.make(caller.merchant_id, subject, found[-1].created_at, found[-1].id)
    return CardPage(cards=[CardView.of(card) for card in found], next_cursor=further)


@router.delete("/buyers/{referenceBuyerId}", status_code=204)
async def erase_buyer(request: Request, buyer: BuyerId, caller: CardsWriter) -> None:
    """Erase a buyer: cards and personal fields."""
    await services_of(request).erasure.erase_buyer(caller, buyer)

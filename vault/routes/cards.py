"""`/v1/cards` and `/v1/buyers`: stored cards over HTTP.

It refuses to decide anything: requests in, services, views out.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from vault.cursors import DEFAULT_PAGE, LARGEST_PAGE
from vault.routes.access import OUR_ID, CardsReader, CardsWriter, services_of
from vault.routes.direct import DirectRoute
from vault.routes.views import CardPage, CardView
from vault.strict_json import StrictRoute
from vault.wire.cards import StoreCardRequest, UpdateCardRequest
from vault.wire.fields import MERCHANTS_ID, CursorText

hot = APIRouter(prefix="/v1", tags=["cards"], route_class=DirectRoute)
router = APIRouter(prefix="/v1", tags=["cards"], route_class=StrictRoute)

CardId = Annotated[str, Path(alias="cardId", max_length=64, pattern=OUR_ID)]
BuyerId = Annotated[str, Path(alias="referenceBuyerId", max_length=64, pattern=MERCHANTS_ID)]
Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE)]
Cursor = Annotated[CursorText | None, Query()]


@hot.post("/cards", status_code=201, responses={200: {"model": CardView, "description": "The buyer has it already"}})
async def store_card(request: Request, response: Response, body: StoreCardRequest, caller: CardsWriter) -> CardView:
    """Store a card in the vault, without a payment."""
    kept = await services_of(request).cards.store(caller, body)
    response.status_code = 201 if kept.created else 200
    response.headers["Location"] = f"/v1/cards/{kept.card.id}"
    return CardView.of(kept.card)


@hot.get("/cards/{cardId}")
async def get_card(request: Request, card_id: CardId, caller: CardsReader) -> CardView:
    """Show a card, masked."""
    return CardView.of(await services_of(request).cards.get(caller, card_id))


@router.patch("/cards/{cardId}")
async def update_card(request: Request, card_id: CardId, body: UpdateCardRequest, caller: CardsWriter) -> CardView:
    """Change a card's expiry, holder name, billing address or default flag."""
    return CardView.of(await services_of(request).cards.update(caller, card_id, body))


@router.delete("/cards/{cardId}", status_code=204)
async def delete_card(request: Request, card_id: CardId, caller: CardsWriter) -> None:
    """Delete a card: unusable at once, its ciphertext gone."""
    await services_of(request).cards.delete(caller, card_id)


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
    await services_of(request).cards.erase_buyer(caller, buyer)

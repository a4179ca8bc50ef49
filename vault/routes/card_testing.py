"""What requests show of who pays with which card, for the card-testing guard.

It refuses to decide anything: the guard does.
"""

from collections.abc import Awaitable, Callable

from vault.auth import Caller
from vault.card_testing import CardGuard, Shown
from vault.payments.writing_ahead import Paid
from vault.wire.cards import CardField
from vault.wire.orders import EnvField


def shown_by(buyer: str | None, env: EnvField | None, card: CardField | None = None) -> Shown:
    """Give what the guard looks at."""
    return Shown(buyer, env.client_ip if env else None, card.card_no if card else None)


async def guarded(guard: CardGuard, caller: Caller, shown: Shown, pay: Callable[[], Awaitable[Paid]]) -> Paid:
    """Pay if the guard lets the request pass, and let it know of a decline."""
    await guard.admit(caller, shown, paying=True)
    paid = await pay()
    if not paid.replayed:
        await guard.settled(caller, shown, paid.payment)
    return paid

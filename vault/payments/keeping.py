"""When a payment's card may be kept, and what is known of it by then.

It refuses to know how a card is kept (`vault.keeping`). Invariants: no card is kept before its payment was authorised;
one that the buyer typed at the gateway is kept where the gateway names a token for it, and never without its last four
digits (controls.md COF-1).
"""

from vault.keeping import Keepable, KeepingPlan
from vault.payment import Credential, Evidence, Payment, Status, StoreState
from vault.shown_card import face_at_gateway
from vault.store.waiting import WITH_PAYMENTS
from vault.stored_card import SecretKind


def keepable_of(payment: Payment, evidence: Evidence) -> Keepable | None:
    """Give the card that evidence may complete the storing of; None where there is nothing to keep (yet)."""
    succeeded = payment.status is Status.SUCCESS or evidence.status is Status.SUCCESS
    info = {**(evidence.info or {}), **payment.result_info}
    face = payment.face or face_at_gateway(info)
    if not succeeded or payment.buyer is None or face is None or not _wanted(payment, evidence):
        return None
    told = info.get("networkTransactionId")
    return Keepable(
        payment.merchant_id,
        payment.id,
        WITH_PAYMENTS,
        payment.buyer,
        face,
        payment.card_id,
        evidence.token,
        evidence.network_transaction_id or (told if isinstance(told, str) else None),
        info,
        consent=payment.consent,
        choice=payment.choice,
    )


def _wanted(payment: Payment, evidence: Evidence) -> bool:
    """Tell whether the card is asked for, or was offered by a buyer who ticked a box at the gateway."""
    if payment.store_state is StoreState.PENDING:
        return True
    offered = payment.credential is Credential.UNSEEN and evidence.token is not None
    return offered and payment.store_state is StoreState.NONE


def kept(payment: Payment, plan: KeepingPlan) -> Payment:
    """Give the payment whose card was kept by a plan; what is still to come keeps it pending."""
    complete = SecretKind.TOKEN in plan.secrets or not (payment.store_card and payment.store_card.at_gateway)
    state = StoreState.STORED if complete else StoreState.PENDING
    return payment._replace(card_id=plan.card_id, store_state=state)

"""Storing cards at the gateway without a payment: each vaulting is written before its call, a session is opened.

It refuses to know HTTP and SQL. Invariants: one request id is one vaulting and one call; the card number goes to the
gateway and is kept nowhere, nor is the code; of a card that the vault saw, only how to show and recognise it waits.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from keys.keyring import Envelope, Purpose
from vault.audit.events import Event, EventType
from vault.auth import Caller
from vault.card_intake import check_policy, check_references, consent_evidence, face_of_pan, profile_of
from vault.directory import Account
from vault.errors import (
    CardDeleted,
    FieldCode,
    FieldProblem,
    IdempotencyConflict,
    InProgress,
    NotFound,
    Overloaded,
    RequestInvalid,
)
from vault.gateway.limits import Deadline
from vault.gateway.operations import Operation
from vault.gateway.vaulting_messages import Addresses, vault_body, vaulting_session_body
from vault.ids import Prefix, new_id
from vault.opening import Opener
from vault.payment import Channel
from vault.payments.drafting import Asked
from vault.payments.writing_ahead import Tools, WriteAhead
from vault.store import cards, vaultings
from vault.store.drafts import USUALLY_OPEN
from vault.store.vaultings import VaultingDraft
from vault.store.waiting import WITH_VAULTINGS
from vault.stored_card import NO_CHOICE, CardStatus, SecretKind, StoredCard
from vault.vaulting import Ending, Vaulting, VaultingStatus
from vault.vaulting_errors import VaultingFailed
from vault.vaultings.calling import VaultCaller, VaultingCall
from vault.vaultings.declining import not_before, reading_of
from vault.vaultings.following import VaultingFollower
from vault.vaultings.recording import VaultingRecorder
from vault.wire.vaultings import CardRequest, VaultingSessionRequest, vaulting_references

_REPEATS: Final = 4
_SESSION_LASTS: Final = 3600.0  # antom-api.md 2.7, which says it of payments


@dataclass(frozen=True, slots=True)
class Begun:
    """A vaulting as it stands, the card that it is about, whether it was only found, and what opens its session."""

    vaulting: Vaulting
    card: StoredCard | None
    replayed: bool
    session: Mapping[str, Any] | None = None

    @property
    def created(self) -> bool:
        """Tell whether the card is new, or may still become so; False where the buyer had it already."""
        stored = self.vaulting.status is VaultingStatus.SUCCESS
        return not stored or self.vaulting.card_id == self.vaulting.pending_card_id


@dataclass(frozen=True, slots=True)
class _Asking:
    """A request that was let in, with what it is answered by."""

    account: Account
    asked: Asked
    request_id: str
    to: Addresses
    deadline: Deadline


class Vaultings:
    """The service behind `/v1/cards` where the gateway is to hold the card, and behind `/v1/vaulting-sessions`."""

    def __init__(
        self, tools: Tools, calls: VaultCaller, recorder: VaultingRecorder, follower: VaultingFollower
    ) -> None:
        self._tools = tools
        self._calls = calls
        self._recorder = recorder
        self._follower = follower
        self._ahead = WriteAhead(tools)
        self._opener = Opener(tools.database, tools.keyring)

    async def store(self, caller: Caller, request: CardRequest, body: Mapping[str, Any]) -> Begun:
        """Have a card stored at the gateway; one that waits for its buyer or for an answer is there afterwards.

        Raises `VaultingFailed`, `CardDeleted` for one that was deleted meanwhile, and what storing a card raises.
        """
        asking = await self._let_in(caller, request, "cards", body)
        known = await self._replayed(asking)
        if known is not None:
            return known
        check_policy(self._tools.policy, request.card.card_no)
        defaults = asking.account.merchant.settings
        sent = vault_body(request, asking.request_id, defaults, asking.to)
        call = VaultingCall(Operation.VAULT_PAYMENT_METHOD, sent, asking.deadline)
        for _ in range(_REPEATS):
            begun = await self._write_and_send(asking, await self._of_card(asking, request), call)
            if begun is not None:
                return begun
        raise Overloaded

    async def open_session(self, caller: Caller, request: VaultingSessionRequest, body: Mapping[str, Any]) -> Begun:
        """Open a session in which the buyer types a card, or give the one that was opened under this id.

        Raises `VaultingFailed` and what requests raise.
        """
        asking = await self._let_in(caller, request, "vaulting-sessions", body)
        known = await self._replayed(asking)
        if known is not None:
            return known
        defaults = asking.account.merchant.settings
        sent = vaulting_session_body(request, asking.request_id, defaults, asking.to)
        call = VaultingCall(Operation.CREATE_VAULTING_SESSION, sent, asking.deadline)
        begun = await self._write_and_send(asking, await self._of_session(asking, request), call)
        assert begun is not None  # noqa: S101 - nothing is sealed with it whose key could be retired
        return begun

    async def get(self, caller: Caller, request_id: str) -> Begun:
        """Give a vaulting by the merchant's id; raises `NotFound`, also for another merchant's."""
        async with self._tools.database.session() as session:
            vaulting = await vaultings.find_by_request(session, caller.merchant_id, request_id)
        if vaulting is None:
            raise NotFound
        return Begun(vaulting, await self._card_of(caller, vaulting), replayed=False)

    async def of_card(self, caller: Caller, account: Account, card_id: str) -> Vaulting | None:
        """Give the newest vaulting that a card was stored by, asked about once more where the network's id is missing.

        A mandate can rest on it (controls.md COF-5).
        """
        async with self._tools.database.session() as session:
            vaulting = await vaultings.latest_of_card(session, caller.merchant_id, card_id)
        if vaulting is None or vaulting.network_transaction_id is not None:
            return vaulting
        return await self._follower.ask(account, vaulting, caller.origin)

    async def _let_in(
        self, caller: Caller, request: CardRequest | VaultingSessionRequest, route: str, body: Mapping[str, Any]
    ) -> _Asking:
        account = await self._tools.directory.account(caller.merchant_id, caller.origin)
        check_references(account.merchant, vaulting_references(request))
        redirect_url = request.payment_redirect_url or account.merchant.settings.payment_redirect_url
        if redirect_url is None:
            raise RequestInvalid(errors=[FieldProblem("/paymentRedirectUrl", FieldCode.MISSING)])
        return _Asking(
            account,
            Asked(caller, account.merchant, route, body),
            request.vaulting_request_id or new_id(Prefix.VAULTING),
            Addresses(self._ahead.notify_url(account), redirect_url),
            Deadline.after(self._tools.sender_seconds),
        )

    async def _replayed(self, asking: _Asking) -> Begun | None:
        """Give the vaulting that was made under a request id, if any; raises for another request or one under way."""
        async with self._tools.database.session() as session:
            vaulting = await vaultings.find_by_request(session, asking.asked.caller.merchant_id, asking.request_id)
        if vaulting is None:
            return None
        digest = await self._tools.drafter.digest(asking.asked, vaulting.digest_key_id)
        if not hmac.compare_digest(digest.value, vaulting.digest):
            raise IdempotencyConflict
        if vaulting.status is VaultingStatus.CREATED and vaulting.read_at < vaulting.send_deadline:
            raise InProgress
        return await self._given(asking.asked.caller, vaulting, replayed=True)

    async def _write_and_send(self, asking: _Asking, draft: VaultingDraft, call: VaultingCall) -> Begun | None:
        """Write the draft, send the call, record the answer; None when it has to be drafted again."""
        caller = asking.asked.caller
        details = {"kind": draft.channel.value}
        event = Event(EventType.VAULTING_CREATED, caller.origin, draft.merchant_id, (draft.id,), details=details)
        async with self._tools.database.session() as session:
            done = await vaultings.begin(session, draft, event)
            vaulting = await vaultings.find(session, draft.merchant_id, draft.id) if done.created else None
        if not done.keys_active:
            self._tools.keyring.forget_merchant(draft.merchant_id)
            return None
        if vaulting is None:
            return await self._replayed(asking)
        seen = await self._calls.begin(asking.account, vaulting, call)
        vaulting = await self._recorder.record(vaulting, seen, caller.origin)
        return await self._given(caller, vaulting, replayed=False)

    async def _given(self, caller: Caller, vaulting: Vaulting, *, replayed: bool) -> Begun:
        if vaulting.ending is Ending.ABANDONED:
            raise CardDeleted
        reading = reading_of(vaulting)
        if reading is not None:
            until = not_before(vaulting, reading)
            raise VaultingFailed({"category": reading.category, "retry": reading.retry, "notBefore": until})
        card = await self._card_of(caller, vaulting)
        if card is not None and card.stored_status is CardStatus.DELETED:
            raise CardDeleted
        return Begun(vaulting, card, replayed, await self._opened(caller, vaulting))

    async def _card_of(self, caller: Caller, vaulting: Vaulting) -> StoredCard | None:
        named = {vaulting.card_id} if vaulting.card_id else set()
        return (await self._tools.cards.by_id(caller, named)).get(vaulting.card_id or "")

    async def _opened(self, caller: Caller, vaulting: Vaulting) -> Mapping[str, Any] | None:
        async with self._tools.database.session() as session:
            waiting = await WITH_VAULTINGS.secrets(session, vaulting.merchant_id, vaulting.id)
        if SecretKind.SESSION not in waiting:
            return None
        location = WITH_VAULTINGS.location(vaulting.merchant_id, vaulting.id, SecretKind.SESSION)
        opened = await self._opener.open(waiting[SecretKind.SESSION], location, caller.origin)
        session_data: dict[str, Any] = orjson.loads(opened.reveal())
        return session_data

    async def _of_card(self, asking: _Asking, request: CardRequest) -> VaultingDraft:
        """Draft the storing of a card that was typed; one that the buyer has already is to be held in both places."""
        merchant_id, number = asking.account.merchant.id, request.card.card_no
        prints = await self._tools.keyring.fingerprints(merchant_id, number)
        async with self._tools.database.session() as session:
            values = [each.value for each in prints]
            known = await cards.find_by_fingerprint(session, merchant_id, request.reference_buyer_id, values)
        vaulting_id = new_id(Prefix.VAULTING)
        return VaultingDraft(
            **await self._common(asking, request, vaulting_id),
            channel=Channel.DIRECT,
            pending_card_id=None if known else new_id(Prefix.CARD),
            card_id=known.id if known else None,
            face=face_of_pan(number, request.card, prints[0]),
            choice=request.choice,
            authentication=request.authentication,
            redirected=False,
            secrets=await self._waiting(merchant_id, vaulting_id, request),
            open_seconds=USUALLY_OPEN,
        )

    async def _of_session(self, asking: _Asking, request: VaultingSessionRequest) -> VaultingDraft:
        return VaultingDraft(
            **await self._common(asking, request, new_id(Prefix.VAULTING)),
            channel=Channel.SESSION,
            pending_card_id=None,
            card_id=None,
            face=None,
            choice=NO_CHOICE,
            authentication={"requested": True} if request.is_3ds_authentication else None,
            redirected=True,
            secrets={},
            open_seconds=_SESSION_LASTS,
        )

    async def _common(
        self, asking: _Asking, request: CardRequest | VaultingSessionRequest, vaulting_id: str
    ) -> dict[str, Any]:
        digest = await self._tools.drafter.digest(asking.asked)
        return {
            "merchant_id": asking.account.merchant.id,
            "id": vaulting_id,
            "request_id": asking.request_id,
            "client_id": asking.asked.caller.client_id,
            "buyer": request.reference_buyer_id,
            "is_default": request.is_default,
            "digest": digest.value,
            "digest_key_id": digest.key_id,
            "metadata": request.metadata,
            "consent": consent_evidence(request.consent),
            "sender_seconds": self._tools.sender_seconds,
        }

    async def _waiting(self, merchant_id: str, vaulting_id: str, request: CardRequest) -> dict[SecretKind, Envelope]:
        """Seal what has to wait for the outcome: name and address, where they were sent."""
        profile = profile_of(request.card, request.billing_address)
        if profile is None:
            return {}
        location = WITH_VAULTINGS.location(merchant_id, vaulting_id, SecretKind.PROFILE)
        return {SecretKind.PROFILE: await self._tools.keyring.seal(Purpose.CARD, profile, location)}

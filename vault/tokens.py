"""Tokens that the vault keeps no longer, deleted at the gateway too, as far as the gateway lets itself be asked.

It refuses to know why a card went. Invariants: no deletion waits for it or fails with it; a token by which another of
the merchant's cards is known stays; the last try, whatever comes of it, leaves an event (docs/adr/0016).
"""

from typing import Final

from keys.keyring import Keyring, Label, Purpose
from vault.audit.events import ActorKind, Event, EventType, Origin, Outcome
from vault.card import CardToken
from vault.db import Database
from vault.directory import Account, Directory
from vault.errors import IntegrityFailure
from vault.gateway.client import GatewayClient
from vault.gateway.errors import GatewayError
from vault.gateway.limits import Deadline
from vault.gateway.operations import Operation
from vault.gateway.values import result_of
from vault.gateway.vaulting_messages import token_body
from vault.logs import get_logger
from vault.opening import Opener
from vault.pace import Pace
from vault.result import Result
from vault.store import audit, cards, token_deletions
from vault.store.token_deletions import TokenDeletion

_log = get_logger(__name__)
_WORKER: Final = Origin(ActorKind.WORKER, "tokens")
_TRIES: Final = 12
_BATCH: Final = 20
_PATIENCE: Final = 15.0


class GatewayTokens:
    """Deletes at the gateway what the vault deleted."""

    def __init__(
        self, database: Database, keyring: Keyring, directory: Directory, client: GatewayClient, pace: Pace
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._directory = directory
        self._client = client
        self._pace = pace
        self._opener = Opener(database, keyring)

    async def delete_due(self) -> bool:
        """Ask the gateway to delete the tokens that are due; tells whether there were any."""
        async with self._database.session() as session:
            due = await token_deletions.claim(session, limit=_BATCH, lease_seconds=self._pace.lease)
        for deletion in due:
            await self._delete(deletion)
        return bool(due)

    async def _delete(self, deletion: TokenDeletion) -> None:
        token, result = await self._opened(deletion), None
        if token is not None:
            if await self._used(deletion.merchant_id, token):
                async with self._database.session() as session:
                    await token_deletions.drop(session, deletion)
                return
            account = await self._directory.account(deletion.merchant_id, _WORKER)
            result = await self._asked(account, token)
            if result is None and deletion.attempts < _TRIES:
                async with self._database.session() as session:
                    await token_deletions.postpone(session, deletion, self._pace.wait(deletion.attempts))
                return
        await self._conclude(deletion, result)

    async def _opened(self, deletion: TokenDeletion) -> CardToken | None:
        """Open a token; one that was damaged is lost, and alarmed."""
        try:
            opened = await self._opener.open(deletion.envelope, deletion.location, _WORKER)
        except IntegrityFailure:
            return None
        return CardToken.parse(opened.reveal().decode())

    async def _used(self, merchant_id: str, token: CardToken) -> bool:
        used = None
        while used is None:
            prints = await self._keyring.digests(merchant_id, Label.TOKEN, token.reveal().encode())
            async with self._database.session() as session:
                used = await cards.know_token(session, merchant_id, prints)
            if used is None:
                self._keyring.forget(merchant_id, Purpose.FINGERPRINT, prints[0].key_id)
        return used

    async def _asked(self, account: Account, token: CardToken) -> Result | None:
        """Ask once; None when that has to be done again."""
        deadline = Deadline.after(_PATIENCE)
        try:
            answer = await self._client.call(account.credentials, Operation.DELETE_TOKEN, token_body(token), deadline)
        except GatewayError as error:
            named = {"merchant_id": account.merchant.id, "operation": Operation.DELETE_TOKEN.value}
            _log.warning("gateway.call_failed", **named, reason=error.reason.value)
            return None
        result = result_of(answer.body)
        return result if result is not None and result.status in {"S", "F"} else None

    async def _conclude(self, deletion: TokenDeletion, result: Result | None) -> None:
        deleted = result is not None and result.status == "S"
        event = Event(
            EventType.CARD_FORGOTTEN,
            _WORKER,
            deletion.merchant_id,
            (deletion.owner_id,),
            Outcome.SUCCESS if deleted else Outcome.FAILURE,
            details={"gateway_result": result.code if result else None},
        )
        async with self._database.transaction() as transaction:
            if await token_deletions.drop(transaction, deletion):
                await audit.append(transaction, event)

"""Operators: persons whose signatures count under dual control, enrolled and ended.

It refuses to know key files. Invariants: the first two persons need nobody's approval, whoever comes later
does, also when those two are gone; a revoked key never comes back; the number of persons is limited (controls.md KEY-4,
ACC-3, ACC-6, ACC-7).
"""

import base64
import re
from datetime import UTC, datetime
from typing import Final

from vault.approval import Operation, Operator
from vault.approvals import ApprovalRefused, DualControl
from vault.audit.events import Event, EventType, Origin
from vault.db import Database, Transaction
from vault.errors import Conflict, NotFound
from vault.ids import Prefix, new_id
from vault.store import approvals

_FOUNDERS: Final = 2
_INSTALLATION: Final = ""
_PERSON: Final = re.compile(r"[a-z][a-z0-9._@+-]{1,63}")


class Operators:
    """What operators do about operators."""

    def __init__(self, database: Database, control: DualControl, origin: Origin) -> None:
        self._database = database
        self._control = control
        self._origin = origin

    async def listed(self) -> list[Operator]:
        """Give all operators, oldest first."""
        async with self._database.session() as session:
            return list((await approvals.operators(session)).values())

    async def enrol(self, person: str, public_key: bytes) -> Operator:
        """Make a person's key an operator's; a person is named by 2 to 64 small letters, digits and `._@+-`.

        Raises `ApprovalNeeded`, `ApprovalRefused`, or `Conflict` for a key that is known and at the policy's limit.
        """
        if _PERSON.fullmatch(person) is None:
            raise ApprovalRefused(
                "person_invalid", "a person is named as alice or alice@shop.example, in small letters"
            )
        operator = Operator(new_id(Prefix.OPERATOR), person, public_key, datetime.now(UTC))
        if _founding(await self.listed()):
            return await self._insert(self._database, operator, founding=True)
        parameters = {"person": person, "publicKey": base64.b64encode(public_key).decode()}
        return await self._control.guarded(
            Operation.OPERATOR_CREATE, parameters, lambda database: self._insert(database, operator, founding=False)
        )

    async def revoke(self, operator_id: str) -> bool:
        """End a key at once, with what it has signed for requests that are open; False when it had ended before.

        Raises `NotFound`, `ApprovalNeeded` or `ApprovalRefused`.
        """
        if operator_id not in {operator.id for operator in await self.listed()}:
            raise NotFound

        async def work(database: Database) -> bool:
            event = Event(EventType.OPERATOR_REVOKED, self._origin, _INSTALLATION, (operator_id,))
            async with database.transaction() as transaction:
                return await approvals.revoke_operator(transaction, operator_id, event)

        return await self._control.guarded(Operation.OPERATOR_REVOKE, {"operator": operator_id}, work)

    async def _insert(self, database: Database, operator: Operator, *, founding: bool) -> Operator:
        event = Event(EventType.OPERATOR_CREATED, self._origin, _INSTALLATION, (operator.id,))
        async with database.transaction() as transaction:
            await self._check_room(transaction, operator, founding=founding)
            await approvals.insert_operator(transaction, operator, event)
        return operator

    async def _check_room(self, transaction: Transaction, operator: Operator, *, founding: bool) -> None:
        """Hold enrolment, and raise `Conflict` unless this operator can be added."""
        await approvals.hold_enrolment(transaction)
        present = list((await approvals.operators(transaction)).values())
        if founding and not _founding(present):
            raise Conflict("The first operators were made meanwhile: run the command again.")
        live = {each.person for each in present if each.live} | {operator.person}
        if len(live) > self._control.policy.most_operators:
            raise Conflict("There are as many operators as the policy allows: revoke one first.")
        if operator.public_key in {each.public_key for each in present}:
            raise Conflict("This key is an operator's already, or was: make another one.")


def _founding(operators: list[Operator]) -> bool:
    """Tell whether fewer than two persons were ever operators, which nobody can bring about again."""
    return len({operator.person for operator in operators}) < _FOUNDERS

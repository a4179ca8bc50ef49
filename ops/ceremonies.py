"""Key ceremonies as commands carry them out: shares come in, others approve, the service works, a record comes out.

It refuses to know the command line and what is approved by how many. Invariants: a record holds no key and no share; an
approval covers exactly what was typed.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from keys.seals.shares import ShareWords
from ops.custodians import Ask, Given, Say, ShareFiles, read_shares
from ops.failures import explained
from ops.operating import operator_origin, under_control, with_database
from ops.refusal import Refused
from vault import root_rotation, seals, shares
from vault.approval import Operation, Parameter
from vault.db import Database
from vault.ids import key_name
from vault.seals import Ceremony
from vault.settings import Settings
from vault.shares import Deliver

Record: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Desk:
    """What custodians brought, and how to ask them for the rest."""

    given: Given
    ask: Ask
    say: Say

    def shares(self) -> list[ShareWords]:
        """Take the shares in."""
        return read_shares(self.given, self.ask, self.say)


def add_seal(uri: str, *, create: bool) -> Record:
    """Let one more seal guard the root key."""

    async def work(ceremony: Ceremony) -> Record:
        return {"seal": await seals.add(ceremony, ceremony.settings.seal_at(uri), create=create)}

    return _approved(Operation.SEAL_ADD, {"address": uri, "create": create}, work)


def verify_seals() -> list[Record]:
    """Try every configured seal."""

    async def work(settings: Settings, database: Database) -> list[Record]:
        checks = await seals.verify(Ceremony(settings, database, operator_origin()))
        return [{"seal": each.name, "opens": each.failure is None, "reason": _why(each.failure)} for each in checks]

    return with_database(work)


def remove_seal(name: str) -> Record:
    """Take a seal away."""

    async def work(ceremony: Ceremony) -> Record:
        await seals.remove(ceremony, name)
        return {"removed": name}

    return _approved(Operation.SEAL_REMOVE, {"seal": name}, work)


def rotate_seal(old: str, uri: str, *, create: bool) -> Record:
    """Put one seal in the place of another; approved as the addition that it is."""

    async def work(ceremony: Ceremony) -> Record:
        name = await seals.rotate(ceremony, old, ceremony.settings.seal_at(uri), create=create)
        return {"seal": name, "removed": old}

    return _approved(Operation.SEAL_ADD, {"address": uri, "create": create, "replaces": old}, work)


def rotate_root(desk: Desk, *, drop: bool) -> Record:
    """Rotate the root key, with the shares carried over when files of them were given.

    Dropping shares takes away what opens the root key, and is approved as that.
    """
    words = desk.shares() if desk.given.files else []

    async def work(ceremony: Ceremony) -> Record:
        opened = await shares.open_seal(ceremony.database, words) if words else None
        rotated = await root_rotation.rotate(ceremony, root_rotation.Shares(opened, drop))
        return {
            "activeRootKeyId": key_name(rotated.active.key_id),
            "version": rotated.active.version,
            "retiredRootKeyId": key_name(rotated.retired.key_id),
            "dataKeysMoved": rotated.moved,
        }

    if drop:
        return _approved(Operation.SEAL_REMOVE, {"seal": "shares of the present root key"}, work)
    return _alone(work)


def create_shares(threshold: int, custodians: Sequence[str], deliver: Deliver) -> Record:
    """Make a set of shares."""

    async def work(ceremony: Ceremony) -> Record:
        name = await shares.create(ceremony, threshold, custodians, deliver)
        return {"seal": name, "threshold": threshold, "custodians": list(custodians)}

    parameters: dict[str, Parameter] = {"threshold": threshold, "custodians": " ".join(custodians)}
    return _approved(Operation.SHARES_CREATE, parameters, work)


def verify_share(words: ShareWords, *, acknowledge: bool) -> Record:
    """Tell whose share this is and whether it counts; with `acknowledge`, record that its custodian accepts it."""

    async def work(_settings: Settings, database: Database) -> Record:
        if acknowledge:
            await shares.acknowledge(database, operator_origin(), words)
        shown = await shares.look_up(database, words)
        missing = await shares.unacknowledged(database, shown.share_set)
        return {
            "seal": shown.set_name,
            "share": shown.held.number,
            "custodian": shown.held.custodian,
            "threshold": shown.share_set.threshold,
            "acknowledged": shown.held.acknowledged_at is not None,
            "missing": missing,
            "inForce": shown.live and not missing,
        }

    return with_database(work)


def recover(words: Sequence[ShareWords]) -> Record:
    """Open the root key by shares, for every seal of the settings; the custodians are the approval."""

    async def work(ceremony: Ceremony) -> Record:
        return {"seals": await shares.recover(ceremony, words)}

    return _alone(work)


def files_for(folder: Path, custodians: Sequence[str], passphrase_files: Sequence[str], ask: Ask) -> ShareFiles:
    """Ask each custodian for a passphrase, or read it, and make the writer of their files; raises `Refused`."""
    if passphrase_files and len(passphrase_files) != len(custodians):
        raise Refused(f"give --passphrase-file once for each of: {', '.join(custodians)}, in this order, or not at all")
    given = Given(passphrase_files=passphrase_files)
    return ShareFiles(folder, {name: given.passphrase(place, name, ask) for place, name in enumerate(custodians)})


def _alone(work: Callable[[Ceremony], Awaitable[Record]]) -> Record:
    return with_database(lambda settings, database: work(Ceremony(settings, database, operator_origin())))


def _approved(
    operation: Operation, parameters: dict[str, Parameter], work: Callable[[Ceremony], Awaitable[Record]]
) -> Record:
    return under_control(
        operation, parameters, lambda settings, database: work(Ceremony(settings, database, operator_origin()))
    )


def _why(failure: Exception | None) -> str | None:
    return None if failure is None else explained(failure)

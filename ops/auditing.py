"""An auditor at work: the newest checkpoint, and exports of the log written into a folder.

It refuses to know the command line and how proofs are made. Invariants: what is done here is done in the role
`cardvault_auditor`; an export is an event of its own before anything of it is released (controls.md AUD-1, AUD-4); a
folder appears complete or not at all.
"""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

from keys.keyring import Purpose
from keys.signing import Signer
from ops import verify_audit
from ops.audit_bundle import Making, State, refuse_occupied, unfinished
from ops.operating import operator_origin
from ops.refusal import Refused
from vault import custody
from vault.audit.events import Event, EventType
from vault.audit.merkle import Range
from vault.audit.note import NoteInvalid, NoteKey
from vault.auditing import exporting
from vault.auditing.exporting import Basis, Bound, NothingToExport, Part
from vault.auditing.stored_tree import StoredTreeBroken
from vault.custody import INSTALLATION
from vault.db import Database, Session
from vault.roles import AUDITOR
from vault.settings import Settings
from vault.store import audit, audit_epochs, audit_log, audit_sinks
from vault.store.audit_sinks import Lag

_PATIENCE: Final = 15.0
_LOOK: Final = 0.25

# Is told after each entry how many of how many are written.
Progress: TypeAlias = Callable[[int, int], None]


def _unseen(_done: int, _total: int) -> None:
    """Show nobody."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an auditor asks for: from a place or moment up to, and without, another; of one merchant or of all.

    `epoch`: of which epoch of the log; None: of the one that runs.
    """

    since: Bound
    until: Bound
    merchant_id: str | None
    format: str = "jsonl"
    epoch: int | None = None

    @property
    def said(self) -> dict[str, int | str | None]:
        """Give it as it is written down."""
        bounds = {"from": self.since, "to": self.until}
        plain = {name: each.isoformat() if isinstance(each, datetime) else each for name, each in bounds.items()}
        return {**plain, "merchant": self.merchant_id, "format": self.format, "epoch": self.epoch}


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and whether it reaches up to the export itself."""

    record: dict[str, Any]
    complete: bool


@dataclass(frozen=True, slots=True)
class Desk:
    """What an auditor works with; `signers` are the log's keys, the one that is in use first."""

    database: Database
    signers: Sequence[Signer]


@asynccontextmanager
async def auditors_database(settings: Settings) -> AsyncIterator[Database]:
    """Give a connection in the auditors' role."""
    database = Database(settings.operator_database_url.get_secret_value(), role=AUDITOR, pool_size=1)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def auditors_desk(settings: Settings) -> AsyncIterator[Desk]:
    """Open an auditor's connection and the log's keys; raises `KeysError`."""
    async with auditors_database(settings) as database:
        keyring = await custody.open_keyring(settings, database)
        yield Desk(database, await keyring.signers(INSTALLATION, Purpose.AUDIT))


async def sinks(settings: Settings) -> list[dict[str, Any]]:
    """Give what each anchor and each receiver of events was told, and what keeps it."""
    async with auditors_database(settings) as database, database.session() as session:
        return [_sink_record(each) for each in await audit_sinks.lags(session)]


async def forget_sink(settings: Settings, name: str) -> None:
    """Drop a sink that is not configured any more; raises `Refused` where none has this name."""
    event = Event(EventType.AUDIT_SINK_FORGOTTEN, operator_origin(), INSTALLATION, details={"sink": name})
    async with auditors_database(settings) as database, database.transaction() as transaction:
        if not await audit_sinks.forget(transaction, name):
            raise Refused("no sink has this name: see cardvault audit anchors")
        await audit.append(transaction, event)


def _sink_record(lag: Lag) -> dict[str, Any]:
    return {
        "name": lag.name,
        "told": lag.told,
        "epoch": lag.epoch,
        "size": lag.size,
        "deliveredAt": lag.delivered_at.isoformat(timespec="seconds") if lag.delivered_at else None,
        "lagSeconds": round(lag.seconds, 3),
        "trouble": lag.trouble,
        "failures": lag.failures,
    }


def bound(text: str | None) -> Bound:
    """Read a place (digits), a date or a moment in ISO 8601, UTC where no zone is given; raises `Refused`."""
    if text is None or (text.isascii() and text.isdigit()):
        return None if text is None else int(text)
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    raise Refused(f"a bound is a place in the log, or a moment such as {date(2026, 1, 31)}T00:00:00Z")


async def newest(settings: Settings) -> Basis:
    """Give the newest checkpoint with the key that it is signed with; raises `Refused`."""
    async with auditors_desk(settings) as desk, desk.database.session() as session:
        return await _basis(session, desk.signers)


async def log_keys(settings: Settings) -> list[str]:
    """Give the log's keys as verifiers take them, the one that is in use first; raises `Refused`."""
    async with auditors_desk(settings) as desk, desk.database.session() as session:
        origin = (await _basis(session, desk.signers)).checkpoint.origin
        return [str(NoteKey(origin, each.public)) for each in desk.signers]


def verified(arguments: Sequence[str], keys: Sequence[str]) -> tuple[int, str]:
    """Have the offline verifier try one key after the other until an export is valid; gives what it ended with.

    The oldest key is tried last: it leads to all others, and what is said under it is what is wrong.
    """
    code, said = 1, io.StringIO()
    for key in keys:
        said = io.StringIO()
        with redirect_stdout(said), redirect_stderr(said):
            code = verify_audit.main([*arguments, "--key", key])
        if code in {0, 3}:
            break
    return code, said.getvalue()


async def export(settings: Settings, wanted: Wanted, folder: Path, progress: Progress = _unseen) -> Exported:
    """Write what is wanted into a folder that must not exist, or be empty; raises `Refused`.

    What an earlier run of the same export has left unfinished is gone on with, against the checkpoint that it had.
    """
    refuse_occupied(folder)
    async with auditors_desk(settings) as desk, desk.database.session() as session:
        event_id = await audit.append(session, _event(wanted))
        state = unfinished(folder, wanted.said)
        complete = state is not None or await _signed_up_to(session, desk.signers, wanted, event_id)
        try:
            against = await _basis(session, desk.signers, state.epoch if state else wanted.epoch)
            against = _taken_up(against, desk.signers, state) if state else against
            if state is None:
                places = await exporting.selected(session, against, wanted.since, wanted.until)
                state = State(wanted.said, against.epoch, against.note, *places, places.start)
            with Making(folder, state, against.checkpoint.origin) as making:
                await _write(session, against, making, progress)
                record = await _prove(session, desk.signers[0], against, making)
        except NothingToExport as error:
            raise Refused(str(error)) from None
        except StoredTreeBroken:
            raise Refused("hashes of the log are missing in the database: look at the alarms") from None
    return Exported({"folder": str(folder), **record}, complete)


def _event(wanted: Wanted) -> Event:
    objects = (wanted.merchant_id,) if wanted.merchant_id else ()
    details = {name: each for name, each in wanted.said.items() if name != "merchant"}
    return Event(EventType.AUDIT_EXPORTED, operator_origin(), INSTALLATION, objects, details=details)


async def _signed_up_to(session: Session, signers: Sequence[Signer], wanted: Wanted, event_id: str) -> bool:
    """Wait a while until a checkpoint covers an event, and so everything that was committed before it.

    An epoch that has ended is not waited for.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            while True:
                with suppress(NothingToExport):
                    against = await exporting.basis(session, signers)
                    if wanted.epoch not in {None, against.epoch}:
                        return True
                    place = await audit_log.place_of(session, against.epoch, event_id)
                    if place is not None and place < against.size:
                        return True
                await asyncio.sleep(_LOOK)
    return False


def _taken_up(newest: Basis, signers: Sequence[Signer], state: State) -> Basis:
    """Give the checkpoint that an unfinished export was begun against."""
    log = newest.checkpoint.origin
    try:
        return Basis.of(state.epoch, state.note, [NoteKey(log, each.public) for each in signers])
    except NoteInvalid:
        raise Refused("the unfinished export is of another log: delete its folder") from None


async def _basis(session: Session, signers: Sequence[Signer], epoch: int | None = None) -> Basis:
    try:
        return await exporting.basis(session, signers, epoch)
    except NothingToExport as error:
        raise Refused(str(error)) from None
    except NoteInvalid:
        raise Refused("the newest checkpoint is not signed by this installation's keys: look at the alarms") from None


async def _write(session: Session, against: Basis, making: Making, progress: Progress) -> None:
    """Write what is not on the disk yet, a batch in memory at a time."""
    state = making.state
    part = Part(Range(state.place, state.end), state.asked["merchant"])
    async for line in exporting.lines(session, against, part):
        making.add(line)
        progress(line.place + 1 - state.start, state.end - state.start)
    making.save()


async def _prove(session: Session, signer: Signer, against: Basis, making: Making) -> dict[str, Any]:
    """Add checkpoint, signed manifest and key, and let the folder take its place."""
    state, key = making.state, against.key
    part = Part(Range(state.start, state.end), state.asked["merchant"])
    making.put("checkpoint", against.note)
    handed = [json.dumps({"note": note}) + "\n" for note in await audit_epochs.rotations(session)]
    making.put("rotations.jsonl", "".join(handed))
    making.put("vkey", f"{key}\n")
    digests = making.digests("checkpoint", "rotations.jsonl", "vkey")
    text = await exporting.manifest(session, against, part, state.disclosed, digests)
    making.put("manifest.json", text)
    making.put("manifest.sig", exporting.signature(text, against, signer))
    making.complete()
    return {"from": state.start, "to": state.end, "size": against.size, "entries": state.disclosed, "key": str(key)}

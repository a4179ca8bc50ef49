"""Shredding as an operator's command carries it out: steps one after the other, files of shares, the receipt's files.

It refuses to know the command line. Invariants: whatever was cut off goes on where it was when `keys shred` is given
again without --seal; no file is replaced or removed but a receipt, its list, and what the same ceremony wrote before;
a receipt and the list of its cards appear whole or not at all, and only after their event.
"""

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any, Final, TypeAlias

from keys.keyring import Purpose
from keys.seals.keystore import read, shred
from keys.seals.share_file import ShareFile
from keys.seals.shares import ShareWords
from ops import reencrypting
from ops.custodians import SHARE_SUFFIX
from ops.operating import operator_origin, under_control, with_database
from ops.refusal import Refused
from vault import custody, shares
from vault.approval import Operation, Parameter
from vault.audit.note import NoteInvalid, NoteKey
from vault.custody import INSTALLATION
from vault.db import Database
from vault.ids import id_octets
from vault.receipt import Covered, Receipt, verification_key, verified
from vault.reencryption import Progress
from vault.seals import Ceremony
from vault.settings import Settings
from vault.shares import Deliver
from vault.shredding import Plan, Shredding
from vault.store import shredding as rows
from vault.store.shredding import Shred

Record: TypeAlias = dict[str, Any]
LIST_SUFFIX: Final = ".cards"
_LONGEST: Final = 65_536


@dataclass(frozen=True, slots=True)
class Wish:
    """What an operator wants of this run: new shares in a folder, old openers destroyed, a receipt written.

    `deliver` gives the writer of new shares' files for these custodians; it may ask them for passphrases.
    """

    folder: Path | None
    deliver: Callable[[Path, Sequence[str]], Deliver]
    show: Callable[[Progress], None]
    destroy: bool
    receipt: Path | None


def begin(plan: Plan, wish: Wish) -> Record:
    """Begin a shredding once others have approved it, and carry it out as far as it goes."""
    parameters: dict[str, Parameter] = {
        "seals": " ".join(plan.seals),
        "threshold": plan.threshold,
        "custodians": " ".join(plan.custodians),
        "destroy": wish.destroy,
    }

    async def work(settings: Settings, database: Database) -> Record:
        shredding = await _opened(settings, database)
        await shredding.begin(plan)
        return await _carried_out(settings, database, shredding, wish)

    return under_control(Operation.SHRED, parameters, work)


def go_on(wish: Wish) -> Record:
    """Carry out what is left of the shredding that was begun last; raises `Conflict` before the first one.

    Destroying openers is approved by others each time: after it, older copies of the database restore nothing.
    """

    async def work(settings: Settings, database: Database) -> Record:
        return await _carried_out(settings, database, await _opened(settings, database), wish)

    async def current(settings: Settings, database: Database) -> Shred:
        return await (await _opened(settings, database)).current()

    if not wish.destroy:
        return with_database(work)
    return under_control(Operation.SHRED, {"shredding": with_database(current).id, "destroy": True}, work)


def attest(opener: str) -> Record:
    """Record, once others have approved it, that an opener was destroyed elsewhere."""

    async def work(settings: Settings, database: Database) -> Record:
        await (await _opened(settings, database)).attest(opener)
        return {"opener": opener, "fate": "attested"}

    return under_control(Operation.SHRED, {"attest": opener}, work)


def destroy_share(words: ShareWords, file: Path | None, *, acknowledged: bool) -> Record:
    """Record that a share which has ended is destroyed, and destroy its file where it has one."""

    async def work(_settings: Settings, database: Database) -> Record:
        shown = await shares.require_ended(database, words)
        if not acknowledged:
            raise Refused("nothing was destroyed: its custodian has to agree to the text")
        if file is not None:
            await asyncio.to_thread(shred, file)
        await shares.record_destruction(database, operator_origin(), shown)
        return {"seal": shown.set_name, "share": shown.held.number, "custodian": shown.held.custodian}

    return with_database(work)


def receipt_keys() -> list[str]:
    """Give the keys that receipts are verified with, the one that is in use first."""

    async def work(settings: Settings, database: Database) -> list[str]:
        keyring = await custody.open_keyring(settings, database)
        return [str(verification_key(each)) for each in await keyring.signers(INSTALLATION, Purpose.AUDIT)]

    return with_database(work)


def verify_receipt(file: Path, keys: Sequence[str]) -> Record:
    """Check a receipt and the list of cards beside it; needs neither database nor settings. Raises `Refused`."""
    try:
        document = verified(_note_in(file), *map(NoteKey.parse, keys))
    except NoteInvalid as error:
        raise Refused(f"{file}: {error}") from None
    digest, count = hashlib.sha256(), 0
    with _list_of(file).open("rb") as lines:
        for line in lines:
            digest.update(line)
            count += 1
    if document["cards"] != {"count": count, "sha256": digest.hexdigest()}:
        raise Refused(f"{_list_of(file)}: these are not the cards of the receipt")
    return document


async def _opened(settings: Settings, database: Database) -> Shredding:
    keyring = await custody.open_keyring(settings, database)
    return Shredding(Ceremony(settings, database, operator_origin()), keyring)


async def _carried_out(settings: Settings, database: Database, shredding: Shredding, wish: Wish) -> Record:
    current = await shredding.current()
    if current.completed_at is None:
        await _next_root(settings, database, shredding, wish)
    reached = await shredding.end_openers() if wish.destroy else []
    return _record(await _issued(shredding, current, wish.receipt), reached)


async def _next_root(settings: Settings, database: Database, shredding: Shredding, wish: Wish) -> None:
    """Put new keys, seals and shares in the place of those from before, as far as that is left to do."""
    current = await shredding.current()
    deliver = await _writer(database, current, wish) if await shredding.lacks_shares(current) else None
    if await shredding.keys_left(current):
        await shredding.retire_keys(current)
        await reencrypting.work_in(settings, database, wish.show)
        await shredding.destroy_keys(current)
    await shredding.replace_root(current)
    if deliver is not None and current.threshold is not None:
        ceremony = Ceremony(settings, database, operator_origin())
        await shares.create(ceremony, current.threshold, current.custodians, deliver, id_octets(current.id))


async def _writer(database: Database, current: Shred, wish: Wish) -> Deliver:
    """Give the writer of new shares; files that this ceremony wrote before it kept their set are removed, no others."""
    if wish.folder is None:
        raise Refused("new shares are still to be made: say where they go, --output DIR")
    for path in (wish.folder / f"{name}{SHARE_SUFFIX}" for name in current.custodians):
        if not path.exists():
            continue
        set_id = ShareFile.parse(read(path)).set_id
        async with database.session() as session:
            known = await rows.is_share_set(session, set_id)
        if set_id == id_octets(current.id) and not known:
            await asyncio.to_thread(shred, path)
    return wish.deliver(wish.folder, current.custodians)


async def _issued(shredding: Shredding, current: Shred, file: Path | None) -> Receipt:
    digest, count = hashlib.sha256(), 0
    with ExitStack() as files:
        noted, listed = [files.enter_context(_replacing(path)) for path in (file, file and _list_of(file))]
        async for portion in shredding.cards(current):
            text = "".join(f"{merchant_id} {card_id}\n" for merchant_id, card_id in portion).encode()
            digest.update(text)
            count += len(portion)
            listed.write(text)
        receipt, note = await shredding.issue(current, Covered(count, digest.hexdigest()))
        noted.write(note.encode())
    return receipt


@contextmanager
def _replacing(path: Path | None) -> Iterator[IO[bytes]]:
    """Give a file to write, which takes the place of an earlier one when everything went well; no path: nothing is."""
    if path is None:
        with Path(os.devnull).open("wb") as nothing:
            yield nothing
        return
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as written:
        try:
            yield written.file
            written.file.flush()
            os.fsync(written.file.fileno())
            Path(written.name).replace(path)
        finally:
            Path(written.name).unlink(missing_ok=True)


def _record(receipt: Receipt, reached: Sequence[str]) -> Record:
    return {
        "shreddingId": receipt.shredding_id,
        "complete": receipt.complete,
        "cards": receipt.cards.count,
        "rootVersion": receipt.root_version,
        "destroyed": list(reached),
        "left": [opener.name for opener in receipt.openers if not opener.final],
    }


def _note_in(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(_LONGEST + 1)


def _list_of(file: Path) -> Path:
    return file.with_name(f"{file.name}{LIST_SUFFIX}")

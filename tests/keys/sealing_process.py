"""Programs for the tests that fork and kill: each runs in a process of its own, never in pytest's.

`forked KEYS OUT CHILDREN SEALS` loads a key, forks, and lets every child write the nonces it used.
`endless KEYS COUNTER MARKS BLOCK LIMIT` seals until killed or refused, one octet in MARKS after each seal.
"""

import asyncio
import os
import pickle
import sys
from pathlib import Path

from keys.errors import KeyExhausted
from keys.keyring import Keyring, Location, Purpose, WrappedKey
from keys.rootkey import RootKey
from keys.sealed import KeyMaterial
from tests.keys.rows import ENVIRONMENT, MERCHANT, FileRows

PLACE = Location(MERCHANT, "card", "card_bbbbbbbbbbbbbbbbbbbbbbbbbb", "pan")


def save(path: Path, root: RootKey, row: WrappedKey) -> None:
    """Write what a process needs to open a store."""
    path.write_bytes(pickle.dumps((root.key_id, root.material.reveal(), row)))


def keyring_in(keys: Path, counter: Path, **options: int) -> Keyring:
    """Open the store as a process that starts from nothing."""
    key_id, material, row = pickle.loads(keys.read_bytes())
    root = RootKey(key_id, 1, KeyMaterial(material))
    return Keyring({key_id: root}, FileRows(root, row, counter), ENVIRONMENT, **options)


async def nonces(keyring: Keyring, count: int) -> bytes:
    """Seal and return the nonces, one after the other."""
    sealed = [await keyring.seal(Purpose.CARD, b"value", PLACE) for _ in range(count)]
    return b"".join(each.data[17:29] for each in sealed)


def forked(keys: Path, out: Path, children: int, seals: int) -> None:
    """Load the key and reserve a block in the parent, then seal in the children."""
    keyring = keyring_in(keys, out / "counter", block=1000)
    (out / "parent").write_bytes(asyncio.run(nonces(keyring, 1)))
    processes = []
    for number in range(children):
        if (process := os.fork()) == 0:
            (out / f"child-{number}").write_bytes(asyncio.run(nonces(keyring, seals)))
            os._exit(0)
        processes.append(process)
    assert [os.waitpid(process, 0)[1] for process in processes] == [0] * children
    (out / "parent-again").write_bytes(asyncio.run(nonces(keyring, seals)))


async def endless(keyring: Keyring, marks: int) -> None:
    """Seal and leave a mark, until killed or refused."""
    while True:
        await keyring.seal(Purpose.CARD, b"value", PLACE)
        os.write(marks, b".")


def main(program: str, keys: str, *arguments: str) -> None:
    """Run one of the programs."""
    if program == "forked":
        out, children, seals = arguments
        forked(Path(keys), Path(out), int(children), int(seals))
    else:
        counter, marks, block, limit = arguments
        keyring = keyring_in(Path(keys), Path(counter), block=int(block), limit=int(limit))
        try:
            asyncio.run(endless(keyring, os.open(marks, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)))
        except KeyExhausted:
            sys.exit(7)


if __name__ == "__main__":
    main(*sys.argv[1:])

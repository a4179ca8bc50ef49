"""Opens a keystore once for tests that open it again and again: stretching its passphrase takes long on purpose.

It refuses to know what is tested. Invariant: another passphrase, or a file that was touched, is stretched anew (what the
stretching itself does, tests/keys shows).
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from keys.seals.address import LocalAddress, SealAddress
from keys.seals.seal import Seal

Opening: TypeAlias = Callable[[SealAddress], Awaitable[Seal]]
Opened: TypeAlias = dict[tuple[Path, int, int, str], Seal]


def once(stretch: Opening, opened: Opened) -> Opening:
    """Give an opening that remembers what it has opened."""

    async def remembered(address: SealAddress) -> Seal:
        if not isinstance(address, LocalAddress) or address.passphrase_file is None:
            return await stretch(address)
        try:
            keystore, passphrase = address.path.stat(), address.passphrase_file.stat()
            text = address.passphrase_file.read_text()
        except OSError:
            return await stretch(address)
        place = (address.path, keystore.st_ctime_ns, passphrase.st_ctime_ns, text)
        if place not in opened:
            opened[place] = await stretch(address)
        return opened[place]

    return remembered

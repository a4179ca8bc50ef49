"""Opens a keystore once for tests that open it again and again: stretching its passphrase takes long on purpose.

It refuses to know what is tested. Invariant: another passphrase, or a file that was touched, is stretched anew (what the
stretching itself does, tests/keys shows).
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from keys.seals.local import LocalSeal
from vault.settings import Settings

Opening: TypeAlias = Callable[[Settings], Awaitable[LocalSeal]]
Opened: TypeAlias = dict[tuple[Path, int, int, str], LocalSeal]


def once(stretch: Opening, opened: Opened) -> Opening:
    """Give an opening that remembers what it has opened."""

    async def remembered(settings: Settings) -> LocalSeal:
        try:
            keystore, passphrase = settings.keystore_path.stat(), settings.seal_passphrase_file.stat()
            text = settings.seal_passphrase_file.read_text()
        except OSError:
            return await stretch(settings)
        place = (settings.keystore_path, keystore.st_ctime_ns, passphrase.st_ctime_ns, text)
        if place not in opened:
            opened[place] = await stretch(settings)
        return opened[place]

    return remembered

"""Looks whether the gateway can be reached, with the certificates that payments would use.

It refuses to know the gateway's API. Invariant: it opens a connection, says nothing, and closes it.
"""

import asyncio
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_PATIENCE: Final = 5.0
_HTTPS: Final = 443
_HTTP: Final = 80


async def why_unreachable(url: str, ca_file: Path | None) -> str | None:
    """Say why no connection to an address can be had, or None."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    try:
        context = ssl.create_default_context(cafile=ca_file) if secure else None
        async with asyncio.timeout(_PATIENCE):
            _, writer = await asyncio.open_connection(
                parts.hostname, parts.port or (_HTTPS if secure else _HTTP), ssl=context
            )
            writer.close()
            await writer.wait_closed()
    except ssl.SSLCertVerificationError:
        return "its certificate is not trusted"
    except ssl.SSLError:
        return "no TLS connection can be agreed on"
    except TimeoutError:
        return "it does not answer"
    except OSError:
        return "it cannot be reached"
    return None

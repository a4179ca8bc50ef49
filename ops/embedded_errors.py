"""Everything for which the embedded database can refuse to start; each message says why and what to do.

It refuses to know how the server is run. Invariant: no message holds a password or a value of a row.

    EmbeddedError
    ├── BinariesMissing      no PostgreSQL of the wanted kind
    ├── FolderUnreachable    the server's account cannot work in the data folder
    ├── FolderInUse          somebody else does
    └── StartFailed          PostgreSQL ended before it was ready
"""


class EmbeddedError(Exception):
    """The embedded database cannot be had."""


class BinariesMissing(EmbeddedError):
    """No PostgreSQL of the wanted kind or release is installed."""


class FolderUnreachable(EmbeddedError):
    """The account that PostgreSQL would run as cannot enter the data folder, or does not own the data in it."""


class FolderInUse(EmbeddedError):
    """Another server, or another supervisor, works with the data folder."""


class StartFailed(EmbeddedError):
    """PostgreSQL ended before it was ready; the message ends with its last words."""

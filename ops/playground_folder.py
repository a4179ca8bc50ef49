"""Where a playground keeps what it owns, and the files in it that hold secrets.

It refuses to know what runs. Invariants: a secret lies in a file of mode 0600; a folder that another account could have
prepared is refused; a file is replaced as a whole.
"""

import json
import os
import secrets
import socket
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from ops.refusal import Refused

_SHARED: Final = Path("/var/tmp")  # noqa: S108 - the folder in it is checked before it is used
_PASSPHRASE_BYTES: Final = 32
_HOST: Final = "127.0.0.1"


def default_folder() -> Path:
    """Choose a folder that stays the same for an account.

    Root's home is closed to the account that PostgreSQL runs as, so root gets one below /var/tmp. Raises `Refused`
    where somebody has laid a link there.
    """
    if os.geteuid() == 0:
        folder = _SHARED / "cardvault-playground-root"
        if folder.is_symlink():
            raise Refused(f"{folder} is a link: remove it, or give another folder with --data")
        return folder
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "cardvault" / "playground"


@dataclass(frozen=True, slots=True)
class Folder:
    """The paths of a playground."""

    root: Path

    @property
    def logs(self) -> Path:
        """Where everything that runs writes its log."""
        return self.root / "logs"

    @property
    def sandbox(self) -> Path:
        """What the sandbox keeps: its key, and the merchants that it knows."""
        return self.root / "sandbox"

    @property
    def postgres(self) -> Path:
        """What the embedded database owns."""
        return self.root / "postgres"

    @property
    def keystore(self) -> Path:
        """The local seal's file."""
        return self.root / "keystore.json"

    @property
    def passphrase(self) -> Path:
        """The file with the keystore's passphrase."""
        return self.root / "passphrase"

    @property
    def approval_policy(self) -> Path:
        """The policy of approvals, which is empty: whoever plays here plays alone."""
        return self.root / "approvals.toml"

    @property
    def anchor(self) -> Path:
        """The file that checkpoints of the audit log are copied to."""
        return self.root / "audit" / "checkpoints.jsonl"

    @property
    def merchant_key(self) -> Path:
        """The merchant's private key for the gateway."""
        return self.root / "merchant.pem"

    @property
    def record(self) -> Path:
        """What the next start has to know."""
        return self.root / "playground.json"

    def prepare(self) -> None:
        """Make what is missing; raises `Refused` for a folder that somebody else owns."""
        for folder in [each for each in (*reversed(self.root.parents), self.root) if not each.exists()]:
            folder.mkdir()
            folder.chmod(0o711)
        status = self.root.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise Refused(
                f"{self.root} belongs to another account, or others may write there: give another with --data"
            )
        for folder in (self.logs, self.sandbox):
            folder.mkdir(mode=0o700, exist_ok=True)
        if not self.passphrase.exists():
            write_private(self.passphrase, secrets.token_urlsafe(_PASSPHRASE_BYTES))
        if not self.approval_policy.exists():
            write_private(self.approval_policy, "")


@dataclass(frozen=True, slots=True)
class Record:
    """What a playground was set up with; the database knows the rest."""

    api_key: str
    merchant_id: str
    gateway_client_id: str

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read the file, if a set-up has come that far."""
        return cls(**json.loads(path.read_text())) if path.exists() else None

    def write(self, path: Path) -> None:
        """Write the file."""
        write_private(path, json.dumps(asdict(self)))


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 as a whole, in place of the one that is there."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Publish the state of a playground that is ready."""
    write_private(path, json.dumps(state, indent=2) + "\n")


def remembered_ports(path: Path, names: tuple[str, ...]) -> dict[str, int]:
    """Give each name a free port, the one it had the last time where that is still free."""
    known = json.loads(path.read_text()) if path.exists() else {}
    ports: dict[str, int] = {}
    probes: list[socket.socket] = []
    try:
        for name in names:
            probe = _bound(int(known.get(name, 0))) or _bound(0)
            if probe is None:
                raise Refused("there is no free port on this machine")
            probes.append(probe)
            ports[name] = probe.getsockname()[1]
    finally:
        for probe in probes:
            probe.close()
    write_private(path, json.dumps(ports))
    return ports


def _bound(port: int) -> socket.socket | None:
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((_HOST, port))
    except OSError:
        probe.close()
        return None
    return probe

"""A PKCS#11 token in software (SoftHSM2) for the tests of a run, where the machine has it."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MODULES: Sequence[Path] = [
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib64/pkcs11/libsofthsm2.so"),
    Path("/usr/lib64/softhsm/libsofthsm2.so"),
    Path("/opt/homebrew/lib/softhsm/libsofthsm2.so"),
]
TOKEN = "cardvault"
PIN = "48151623"


def module() -> Path | None:
    """Give SoftHSM2's library, or None on a machine without it."""
    found = [each for each in MODULES if each.exists()]
    return found[0] if found and shutil.which("softhsm2-util") else None


@dataclass(frozen=True, slots=True)
class Hsm:
    """An initialised token."""

    library: Path
    folder: Path

    @property
    def pin_file(self) -> Path:
        return self.folder / "pin"

    def uri(self, label: str, token: str = TOKEN, pin_file: Path | None = None) -> str:
        """Give the address of a key in it."""
        source = pin_file or self.pin_file
        return f"pkcs11:token={token};object={label}?module-path={self.library}&pin-source=file:{source}"


def initialised(library: Path, folder: Path) -> Hsm:
    """Make a token. The library reads where it is when this process loads it first, once."""
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    command = ["softhsm2-util", "--init-token", "--free", "--label", TOKEN, "--pin", PIN, "--so-pin", "31415926"]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "pin").write_text(f"{PIN}\n")
    return Hsm(library, folder)

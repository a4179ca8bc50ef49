from pathlib import Path

import pytest

from ops.embedded_errors import BinariesMissing, EmbeddedError, FolderInUse, FolderUnreachable, StartFailed
from ops.embedded_folder import Account, blocking_folder


@pytest.mark.parametrize(
    ("mode", "owner", "group", "other"),
    [
        (0o711, True, True, True),
        (0o710, True, True, False),
        (0o701, True, False, True),
        (0o066, False, False, False),
    ],
)
def test_permission_bits_decide_who_may_enter(
    tmp_path: Path, mode: int, *, owner: bool, group: bool, other: bool
) -> None:
    folder = tmp_path / "it"
    folder.mkdir()
    folder.chmod(mode)
    uid, gid = folder.stat().st_uid, folder.stat().st_gid
    accounts = [
        Account(uid, gid + 1, switch=True),
        Account(uid + 1, gid, switch=True),
        Account(uid + 1, gid + 1, switch=True),
    ]
    assert [each.may_enter(folder) for each in accounts] == [owner, group, other]


def test_the_outermost_closed_folder_is_named(tmp_path: Path) -> None:
    stranger = Account(tmp_path.stat().st_uid + 1, tmp_path.stat().st_gid + 1, switch=True)
    (tmp_path / "a" / "b").mkdir(parents=True)
    closed = blocking_folder(tmp_path / "a" / "b" / "missing", stranger)
    assert closed is not None
    assert closed in tmp_path.parents or closed == tmp_path
    assert all(stranger.may_enter(each) for each in closed.parents)


def test_every_refusal_is_an_embedded_error() -> None:
    assert all(
        issubclass(each, EmbeddedError) for each in (BinariesMissing, FolderInUse, FolderUnreachable, StartFailed)
    )

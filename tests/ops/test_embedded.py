import os
import pwd
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from ops.embedded import EmbeddedPostgres, ServerOptions
from ops.embedded_binaries import Source, find_binaries, placed_beside, system_binaries, wheel_binaries
from ops.embedded_errors import StartFailed
from tests.ops.servers import ask

PROGRAM = "tests.ops.supervisor_process"
REPOSITORY = Path(__file__).parents[2]
INSTALLED = [
    source for source, found in ((Source.WHEEL, wheel_binaries()), (Source.SYSTEM, system_binaries())) if found
]
NOBODY = pwd.getpwnam("nobody")


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
            process.kill()
            wait_until(lambda: not is_alive(pid))  # until then it writes to the folder that is removed next


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

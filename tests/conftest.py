"""Fixtures of the whole suite: the asyncio backend, databases, a folder for logs; and the search for canaries (T-36)."""

import gc
from collections.abc import Generator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.canary import forms_in_text
from tests.database import Cluster, Databases, Run
from tests.hsm import Hsm, initialised, module
from tests.kms import Kms, serving
from tests.lacking import need

pytest.register_assert_rewrite("tests.machine")  # what a machine found says what it compared
_RUN = pytest.StashKey[Run]()
_KEY = "cardvault_cluster"

# Folders and modules whose tests walk the same lines over and over, or run the product in other processes: they are
# not measured for coverage, which would take as long again.
NOT_MEASURED = (
    "tests/architecture/",
    "tests/docs/",
    "tests/faults/",
    "tests/ops/bench/",
    "tests/ops/sandbox/",
    "tests/ops/test_",
    "tests/api/test_described.py",
    "tests/api/test_any_sequence.py",
)


# No test fails because the machine has other things to do.
settings.register_profile("whatever the clock says", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("whatever the clock says")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.stash[_RUN] = Run()


def pytest_collection_finish() -> None:
    """Take the tests themselves out of the collector's rounds, and let it come round less often."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith(NOT_MEASURED):
            item.add_marker(pytest.mark.no_cover)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Start the server in the process that started the workers, and tell each of them where it is."""
    node.workerinput[_KEY] = asdict(node.config.stash[_RUN].start())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test whose captured output or exception holds a canary, and withhold that text."""
    report = yield
    texts = [content for _, content in report.sections]
    if report.failed:
        texts.append(report.longreprtext)
    if found := forms_in_text("\n".join(texts)):
        report.outcome = "failed"
        report.sections = []
        report.longrepr = f"the test's output or exception holds a canary as {', '.join(sorted(found))}: withheld"
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the server and report each file that holds a canary as an error of the run."""
    run = session.config.stash.get(_RUN, None)
    for leak in run.finish() if run else []:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        text = f"{leak.path} holds a canary as {leak.form}; kept until the next run"
        place = (str(leak.path), None, "canary search")
        report = pytest.TestReport("canary search", place, {}, "failed", text, "teardown")
        session.config.hook.pytest_runtest_logreport(report=report)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Hsm:
    """A token in software; on a machine without SoftHSM2 the tests that need one say so, but not in CI."""
    library = module()
    need(library, "SoftHSM2 is not installed (Debian: apt-get install softhsm2), so the PKCS#11 seal is not tested")
    assert library is not None
    return initialised(library, tmp_path_factory.mktemp("hsm"))


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kms]:
    """A double of AWS KMS, and credentials for it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "only-for-tests")
    for name, value in {"AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    with serving() as service:
        yield service


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Cluster:
    """The run's server, shared by all workers."""
    if hasattr(request.config, "workerinput"):
        return Cluster(**request.config.workerinput[_KEY])
    return request.config.stash[_RUN].start()


@pytest.fixture(scope="session")
def log_folder(postgres: Cluster) -> Path:
    """Where started programs write their output, so that it is searched for canaries at the end."""
    return Path(postgres.logs)


@pytest.fixture(scope="session")
def databases(postgres: Cluster, worker_id: str) -> Iterator[Databases]:
    with Databases(postgres, worker_id) as databases:
        yield databases


@pytest.fixture(scope="session")
def migrated_template(databases: Databases) -> str:
    """The name of a migrated database to copy; nobody can connect to it."""
    return databases.migrated_template()


@pytest.fixture
def database_url(databases: Databases, migrated_template: str) -> Iterator[str]:
    """The superuser's URL of a migrated database that no other test sees."""
    yield from databases.fresh(migrated_template)


@pytest.fixture
def empty_database_url(databases: Databases) -> Iterator[str]:
    """The superuser's URL of a database in which nothing is, for the migrations' own tests."""
    yield from databases.fresh(None)

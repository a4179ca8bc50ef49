import ast
import asyncio
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest

from keys.sealed import Sealed
from tests.vault.web import CANARY, DASHED, GROUPED, Log, captured
from vault.logs import (
    KEYS,
    WITHHELD,
    alarm,
    configure,
    describe,
    get_logger,
    leave_context,
    put_in_context,
    write_line,
)
from vault.settings import LogFormat

ROOT = Path(__file__).parents[2]
FULL_WIDTH = CANARY.translate({ord("0") + digit: 0xFF10 + digit for digit in range(10)})
# pytest itself keeps libraries' records as they are, and the suite's search would find a canary in them.
UNSOUGHT = "4929005718362907"
ARABIC = CANARY.translate({ord("0") + digit: 0x0660 + digit for digit in range(10)})


@pytest.fixture
def log() -> Iterator[Log]:
    with captured() as found:
        yield found


def logged(log: Log, **values: object) -> dict[str, object]:
    get_logger("test").info("test.event", **values)
    return dict(log.lines[-1])


@pytest.mark.parametrize(
    "value",
    [
        CANARY,
        GROUPED,
        DASHED,
        FULL_WIDTH,
        ARABIC,
        f"before {CANARY} after",
        "x" * 295 + CANARY,
        "x" * 299 + GROUPED,
        int(CANARY),
        -int(CANARY),
        float(CANARY),
        [CANARY],
        (int(CANARY),),
        ["x", FULL_WIDTH],
    ],
)
@pytest.mark.parametrize("log_format", LogFormat)
def test_no_value_carries_a_card_number_into_the_log(value: object, log_format: LogFormat) -> None:
    """T-39."""
    with captured(log_format) as log:
        get_logger("test").info("test.event", reason=value)

    assert WITHHELD in log.text
    assert CANARY[:12] not in log.text
    assert FULL_WIDTH[:12] not in log.text
    assert ARABIC[:12] not in log.text
    assert GROUPED[:4] not in log.text


def test_neighbours_of_a_withheld_value_are_kept(log: Log) -> None:
    line = logged(log, reason=CANARY, status=201, pointers=["/a", CANARY])

    assert line["reason"] == WITHHELD
    assert line["status"] == 201
    assert line["pointers"] == ["/a", WITHHELD]


def test_a_key_that_is_not_listed_is_dropped_and_counted(log: Log) -> None:
    line = logged(log, card_number="x", password="y", status=1)

    assert line["dropped"] == 2
    assert set(line) == {"time", "level", "event", "source", "status", "dropped"}


def test_a_value_cannot_pretend_to_be_the_lines_own_time_level_or_event(log: Log) -> None:
    line = logged(log, time="never", level="debug")

    assert line["level"] == "info"
    assert line["time"] != "never"
    assert line["dropped"] == 2


@pytest.mark.parametrize("event", ["Card 1111 stored", "a\nb", "", "x" * 81, "päy"])
def test_an_event_that_is_not_a_name_is_replaced(log: Log, event: str) -> None:
    get_logger("test").info(event)

    assert [line["event"] for line in log.lines] == ["invalid_event"]


def test_an_event_with_a_card_number_is_withheld(log: Log) -> None:
    get_logger("test").info(f"card.{CANARY}")

    assert [line["event"] for line in log.lines] == [WITHHELD]


def test_an_event_is_text(log: Log) -> None:
    get_logger("test").info(7)  # type: ignore[arg-type]  # what a mistaken caller does

    assert log.lines[0]["event"] == "invalid_event"


@pytest.mark.parametrize("log_format", LogFormat)
@pytest.mark.parametrize(
    "hostile",
    [
        "\n",
        "\r\n",
        "\x00",
        "\x1b[2J",
        "\x7f",
        "\x85",
        "\u2028",
        "\u2029",
        "\u202e",
        "\u2066",
        "\ufeff",
        "\ud800",
    ],
)
def test_no_value_breaks_out_of_its_line(log_format: LogFormat, hostile: str) -> None:
    """T-40, EXP-7."""
    with captured(log_format) as log:
        get_logger("test").info("test.event", reason=f"a{hostile}b" + '{"event":"forged"}')

    text = log.text
    assert len(text.splitlines()) == 1
    assert hostile not in text.removesuffix("\n")
    assert f"\\u{ord(hostile[0]):04x}" in text


def test_long_texts_and_lists_are_cut(log: Log) -> None:
    line = logged(log, reason="x" * 1_000_000, pointers=list(range(1000)))

    assert line["reason"] == "x" * 300
    assert line["pointers"] == list(range(20))


def test_text_of_every_script_is_kept(log: Log) -> None:
    assert logged(log, reason="Müller 漢字 😀")["reason"] == "Müller 漢字 😀"


class Colour(StrEnum):
    RED = "red"


class Named(NamedTuple):
    secret: str


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (12, 12),
        (1.5, 1.5),
        (Colour.RED, "red"),
        (2**63, WITHHELD),
        (float("nan"), WITHHELD),
        (float("inf"), WITHHELD),
        (b"bytes", "<bytes>"),
        ({"a": 1}, "<dict>"),
        (ValueError("hunter2"), "<ValueError>"),
        (datetime(2026, 1, 1, tzinfo=UTC), "<datetime>"),
        (Sealed("hunter2"), "<Sealed>"),
        ([[1], 2], [2]),
        (Named("hunter2"), "<Named>"),
    ],
)
def test_only_plain_values_are_written(log: Log, value: object, shown: object) -> None:
    assert logged(log, reason=value)["reason"] == shown


def fail_with(secret: str) -> NoReturn:
    raise ValueError(secret)


def test_an_exception_is_its_type_and_places_and_nothing_it_says(log: Log) -> None:
    """SAD-7 (c)."""
    try:
        fail_with("hunter2")
    except ValueError:
        get_logger("test").exception("test.failed")

    line = log.lines[0]
    assert line["error"] == "ValueError"
    assert line["places"][-1].startswith("tests/vault/test_logs.py:")
    assert line["places"][-1].endswith(" fail_with")
    assert "causes" not in line
    assert "hunter2" not in log.text


def test_the_types_of_causes_are_named(log: Log) -> None:
    try:
        try:
            fail_with("hunter2")
        except ValueError:
            raise KeyError("hunter2") from OSError("hunter2")
    except KeyError as error:
        get_logger("test").error("test.failed", exc_info=error)

    assert log.lines[0]["causes"] == ["OSError"]
    assert "hunter2" not in log.text


def test_what_happened_meanwhile_is_a_cause_unless_it_was_set_aside() -> None:
    outer, inner = KeyError(), ValueError()
    outer.__context__ = inner

    assert describe(outer)["causes"] == ["ValueError"]
    outer.__suppress_context__ = True
    assert "causes" not in describe(outer)


def test_members_of_a_group_are_named() -> None:
    group = ExceptionGroup("hunter2", [ValueError("hunter2"), KeyError("hunter2")])

    assert describe(group)["causes"] == ["ValueError", "KeyError"]


def test_a_circle_of_causes_ends() -> None:
    first, second = ValueError("hunter2"), KeyError("hunter2")
    first.__context__ = second
    second.__context__ = first

    assert describe(ExceptionGroup("hunter2", [first]))["causes"] == [
        "ValueError",
        *["KeyError", "ValueError", "KeyError", "ValueError", "KeyError"],
    ]


def test_deep_recursion_does_not_make_a_long_line() -> None:
    def recurse() -> None:
        recurse()

    with pytest.raises(RecursionError) as caught:
        recurse()

    places = describe(caught.value)["places"]
    assert isinstance(places, list)
    assert len(places) == 12


@pytest.mark.parametrize("exc_info", [True, (None, None, None), (ValueError, "no error", None)])
def test_no_exception_is_nothing_to_describe(log: Log, exc_info: object) -> None:
    assert "error" not in logged(log, exc_info=exc_info)


def test_an_exception_triple_is_described(log: Log) -> None:
    error = ValueError("hunter2")

    assert logged(log, exc_info=(ValueError, error, None))["error"] == "ValueError"


def test_what_is_bound_to_the_request_is_in_the_line(log: Log) -> None:
    token = put_in_context({"request_id": "req_a", "secret": "hunter2", "reason": "another"})

    line = logged(log, reason="its own")
    leave_context(token)

    assert line["reason"] == "its own"
    assert "request_id" not in logged(log)
    assert line["request_id"] == "req_a"
    assert line["dropped"] == 1


def test_a_line_without_a_logger_is_a_line_like_any_other(log: Log) -> None:
    token = put_in_context({"request_id": "req_a"})
    write_line("vault.http", "test.event", {"status": 201, "secret": "hunter2", "reason": CANARY})
    leave_context(token)

    assert log.lines[0] | {"time": "now"} == {
        "time": "now",
        "level": "info",
        "event": "test.event",
        "source": "vault.http",
        "request_id": "req_a",
        "status": 201,
        "reason": WITHHELD,
        "dropped": 1,
    }


def test_an_alarm_is_critical_and_carries_its_code(log: Log) -> None:
    alarm(get_logger("test"), "late_authorisation", payment_id="pay_a")

    assert [(line["level"], line["event"], line["code"], line["payment_id"]) for line in log.lines] == [
        ("critical", "alarm", "late_authorisation", "pay_a")
    ]


def test_debug_lines_are_not_written(log: Log) -> None:
    get_logger("test").debug("test.event")

    assert log.text == ""


@pytest.mark.parametrize("name", ["uvicorn.error", "asyncio", "sqlalchemy.engine", "aiohttp.client", "some.library"])
def test_a_librarys_record_is_its_place_and_nothing_it_says(log: Log, name: str) -> None:
    """SAD-7 (b)."""
    try:
        fail_with("hunter2")
    except ValueError:
        logging.getLogger(name).exception("got %s", UNSOUGHT, extra={"card": UNSOUGHT}, stack_info=True)

    line = log.lines[0]
    assert (line["event"], line["level"], line["source"]) == ("library.record", "error", name)
    assert line["function"].startswith("tests/vault/test_logs.py:")
    assert line["error"] == "ValueError"
    assert "hunter2" not in log.text
    assert UNSOUGHT not in log.text


def test_handlers_that_a_library_brought_are_taken_off() -> None:
    stream = io.StringIO()
    library = logging.getLogger("library.with.a.handler")
    library.addHandler(logging.StreamHandler(stream))
    library.propagate = False

    with captured() as log:
        library.warning("hunter2")

    assert stream.getvalue() == ""
    assert log.lines[0]["source"] == "library.with.a.handler"


@pytest.mark.parametrize(("number", "level"), [(35, "warning"), (49, "error"), (99, "critical")])
def test_a_level_of_a_librarys_own_counts_as_the_one_below(log: Log, number: int, level: str) -> None:
    logging.getLogger("some.library").log(number, "hunter2")

    assert log.lines[0]["level"] == level


def test_a_record_below_everything_is_not_written(log: Log) -> None:
    logger = logging.getLogger("some.library")
    logger.setLevel(1)
    try:
        logger.log(5, "hunter2")
    finally:
        logger.setLevel(logging.NOTSET)

    assert log.text == ""


def test_access_logs_of_servers_are_off(log: Log) -> None:
    """T-39: their lines hold the caller's path."""
    for name in ("uvicorn.access", "aiohttp.access"):
        logging.getLogger(name).error("GET /v1/cards/%s", UNSOUGHT)

    assert log.text == ""


@pytest.mark.filterwarnings("default")
def test_a_warning_is_its_place_and_nothing_it_says(log: Log) -> None:
    logging.captureWarnings(capture=False)
    logging.captureWarnings(capture=True)
    warnings.warn(f"hunter2 {UNSOUGHT}", stacklevel=1)

    assert log.lines[0]["source"] == "py.warnings"
    assert "hunter2" not in log.text


def test_an_uncaught_error_is_a_line_and_not_a_traceback(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    """T-42."""
    error = ValueError("hunter2")

    sys.excepthook(ValueError, error, None)
    threading.excepthook(threading.ExceptHookArgs((ValueError, error, None, None)))
    sys.unraisablehook(Unraisable(error))  # type: ignore[arg-type]  # the interpreter alone can make the real one

    assert [line["event"] for line in log.lines] == [
        "process.uncaught",
        "process.uncaught_in_thread",
        "process.unraisable",
    ]
    assert {line["error"] for line in log.lines} == {"ValueError"}
    assert "hunter2" not in log.text
    assert capsys.readouterr() == ("", "")


class Unraisable:
    def __init__(self, error: BaseException) -> None:
        self.exc_value = error


def test_a_failed_task_that_nobody_awaited_is_a_line(log: Log) -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_exception_handler(
            {"message": f"hunter2 {UNSOUGHT}", "exception": ValueError("hunter2")}
        )

    asyncio.run(main())

    assert log.of("library.record")[0]["source"] == "asyncio"
    assert "hunter2" not in log.text


class Broken(io.BytesIO):
    def write(self, _data: object) -> NoReturn:
        raise OSError(28, "No space left on device")


def test_a_full_disk_stops_nothing() -> None:
    """T-20."""
    with captured():
        configure(LogFormat.JSON, stream=Broken())
        get_logger("test").info("test.event")


def test_a_closed_stream_stops_nothing() -> None:
    with captured():
        stream = io.BytesIO()
        configure(LogFormat.JSON, stream=stream)
        stream.close()
        get_logger("test").info("test.event")


def test_standard_output_is_the_stream_by_default(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with captured():
        configure(LogFormat.JSON)
        get_logger("test").info("test.event")
        sys.stdout.flush()

    assert json.loads(capfdbinary.readouterr().out)["event"] == "test.event"


def test_the_console_shows_the_same_in_one_readable_line() -> None:
    with captured(LogFormat.CONSOLE) as log:
        get_logger("test").warning("test.event", status=201)

    time, rest = log.text.split(" ", 1)
    assert datetime.fromisoformat(time).tzinfo is not None
    assert rest == "warning  test.event source=test status=201\n"


def test_no_listed_key_invites_card_data() -> None:
    assert not {key for key in KEYS if any(word in key for word in ("pan", "card_n", "cvv", "token", "secret", "body"))}


def keys_logged(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="debug" | "info" | "warning" | "error" | "exception" | "critical")):
                yield from (word.arg for word in node.keywords if word.arg)
            case ast.Call(func=ast.Name(id="alarm")):
                yield from (word.arg for word in node.keywords if word.arg)


@pytest.mark.parametrize("path", sorted(ROOT.glob("vault/**/*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_key_that_the_code_logs_is_listed(path: Path) -> None:
    logged = set(keys_logged(ast.parse(path.read_text(encoding="utf-8"))))

    assert logged - KEYS - {"exc_info"} == set()

"""The process's log: one line for each event, made of keys that are known in advance and values that are made harmless.

Refuses to know messages: an event has a literal name, an exception is its type and places, and a library's record is
reduced to where it came from. Invariants: no line holds a local variable, an exception's text or a card number; no
value can begin a new line; writing a line never raises.
"""

import logging
import re
import sys
import threading
import unicodedata
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import suppress
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from itertools import islice
from pathlib import PurePath
from traceback import walk_tb
from types import TracebackType
from typing import Any, BinaryIO, Final

import orjson
import structlog
from structlog.typing import FilteringBoundLogger

from vault.pan_detector import contains_pan, maybe_pan
from vault.settings import LogFormat

# Every key that a line may have. What is not listed is dropped and counted, so that a new key is a decision.
KEYS: Final = frozenset({
    "event", "level", "time", "source", "dropped",
    "request_id", "trace_id", "merchant_id", "client_id", "card_id", "payment_id", "mandate_id", "capture_id",
    "refund_id", "vaulting_id", "event_id", "audit_event_id", "alarm_id", "key_id", "object_id", "operator_id",
    "approval_id", "endpoint_id",
    "method", "route", "status", "duration_ms", "code", "reason", "operation", "outcome", "state", "purpose",
    "pointers", "attempt", "count", "size", "seconds", "sqlstate", "constraint", "result_code", "loop",
    "error", "causes", "places", "function", "feature", "version", "environment", "host", "port", "process",
})  # fmt: skip

WITHHELD: Final = "[withheld]"
_EVENT: Final = re.compile(r"[a-z0-9_.]{1,80}")
# Control characters, line and paragraph separators, directions of writing, and halves of surrogate pairs.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_LONGEST_TEXT: Final = 300
_OVERLAP: Final = 40  # a number that begins before the cut is looked at as a whole
_LONGEST_LIST: Final = 20
_LARGEST_NUMBER: Final = 2**63
_PLACES: Final = 12
_CAUSES: Final = 6

Event = MutableMapping[str, Any]

_context: ContextVar[Mapping[str, object] | None] = ContextVar("log_context", default=None)


class _Sink:
    """The end of the chain, one for the process; a full disk or a closed pipe loses lines and stops nothing else."""

    __slots__ = ("log_format", "stream")

    def __init__(self) -> None:
        self.log_format = LogFormat.JSON
        self.stream: BinaryIO | None = None

    def write(self, line: bytes) -> None:
        with suppress(OSError, ValueError, AttributeError):
            stream = self.stream or sys.stdout.buffer
            stream.write(line + b"\n")
            stream.flush()

    debug = info = warning = error = critical = write


_SINK: Final = _Sink()


def configure(log_format: LogFormat, *, stream: BinaryIO | None = None) -> None:
    """Send everything that this process logs, libraries' records and uncaught errors included, to one stream of lines.

    Standard output where no stream is given. To be called once, at the start. Loggers of ours are safe before it, too:
    they never take the library's own chain, which writes local variables.
    """
    _SINK.log_format = log_format
    _SINK.stream = stream
    _adopt_standard_logging()
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


def get_logger(name: str) -> FilteringBoundLogger:
    """Give the logger of a module, by the module's name."""
    logger: FilteringBoundLogger = structlog.wrap_logger(
        _SINK,
        processors=[_in_context, _shape, _render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        source=name,
    ).bind()
    return logger


def put_in_context(values: Mapping[str, object]) -> Token[Mapping[str, object] | None]:
    """Let every line of this task, and of tasks that it begins, hold these values; the token is for `leave_context`."""
    return _context.set(values)


def leave_context(token: Token[Mapping[str, object] | None]) -> None:
    """Let lines hold again what they held before."""
    _context.reset(token)


def write_line(source: str, event: str, values: Mapping[str, object]) -> None:
    """Write a line of level info as a logger would, for what every request writes: a logger's own objects cost more."""
    line = _in_context(None, "info", {"event": event, "source": source, **values})
    _SINK.write(_render(None, "info", _shape(None, "info", line)))


def alarm(logger: FilteringBoundLogger, code: str, **ids: object) -> None:
    """Write the line that wakes somebody: event `alarm`, level critical, a literal code and ids of ours."""
    logger.critical("alarm", code=code, **ids)


class _Adopted(logging.Handler):
    """Takes the records of libraries: logger, level, place and exception type, never the message or its arguments."""

    def emit(self, record: logging.LogRecord) -> None:
        level = max(logging.DEBUG, min(logging.CRITICAL, record.levelno // 10 * 10))
        place = _place(record.pathname, record.lineno, record.funcName)
        get_logger(record.name).log(level, "library.record", function=place, exc_info=record.exc_info)


def _adopt_standard_logging() -> None:
    """Lead every logger of the standard library to us, whatever handlers it had; libraries' access logs end here."""
    root = logging.getLogger()
    root.handlers[:] = [_Adopted()]
    root.setLevel(logging.WARNING)
    for name in list(root.manager.loggerDict):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in ("uvicorn.access", "aiohttp.access"):
        logging.getLogger(name).disabled = True
    logging.captureWarnings(capture=True)


def _uncaught(_kind: type[BaseException], error: BaseException, _traceback: TracebackType | None) -> None:
    get_logger("process").critical("process.uncaught", exc_info=error)


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    get_logger("process").critical("process.uncaught_in_thread", exc_info=args.exc_value)


def _unraisable(args: "sys.UnraisableHookArgs") -> None:
    get_logger("process").error("process.unraisable", exc_info=args.exc_value)


def _in_context(_logger: object, _level: str, event: Event) -> Event:
    """Add what the task's lines have in common, unless the line says otherwise."""
    common = _context.get()
    return {**common, **event} if common else event


def _shape(_logger: object, level: str, event: Event) -> Event:
    """Make a line of what was given: known keys, plain values, exceptions by type and place."""
    exc_info = event.pop("exc_info", None)
    name = event.pop("event", None)
    line: Event = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": level,
        "event": name if isinstance(name, str) and _EVENT.fullmatch(name) else "invalid_event",
    }
    dropped = 0
    for key, value in event.items():
        if key in KEYS and key not in line:
            line[key] = _harmless(value)
        else:
            dropped += 1
    if exc_info:
        line.update(describe(_exception_of(exc_info)))
    if dropped:
        line["dropped"] = dropped
    return line


def _exception_of(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if isinstance(exc_info[1], BaseException) else None
    return sys.exception()


def describe(error: BaseException | None) -> dict[str, object]:
    """Say of an exception its type, the types of what caused it, and the code places it passed, innermost last."""
    if error is None:
        return {}
    causes = [type(cause).__qualname__ for cause in islice(_causes(error), _CAUSES)]
    places = [_place(frame.f_code.co_filename, number, frame.f_code.co_name) for frame, number in _frames(error)]
    found: dict[str, object] = {"error": type(error).__qualname__, "places": places[-_PLACES:]}
    return {**found, "causes": causes} if causes else found


def _frames(error: BaseException) -> Iterator[tuple[Any, int]]:
    return walk_tb(error.__traceback__)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk down what an exception names as its causes, groups included; a circle ends at the caller's limit."""
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield member
            yield from _causes(member)
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield cause
        yield from _causes(cause)


def _place(path: str, number: int, function: str) -> str:
    return f"{'/'.join(PurePath(path).parts[-3:])}:{number} {function}"


def _harmless(value: object) -> object:
    """Give what may stand in a line for a value: short plain text, numbers, lists of these, else the type's name."""
    match value:
        case str():
            plain = len(value) <= _LONGEST_TEXT and value.isascii() and value.isprintable()
            return value if plain else _text(value)
        case None | bool():
            return value
        case int() | float():
            return value if abs(value) < _LARGEST_NUMBER else WITHHELD
        case list() | tuple() if type(value) in {list, tuple}:  # a value of ours that is a tuple is not for the log
            return [_harmless(item) for item in value[:_LONGEST_LIST] if not isinstance(item, list | tuple)]
        case _:
            return f"<{type(value).__name__}>"


def _text(value: str) -> str:
    seen = value[: _LONGEST_TEXT + _OVERLAP]
    if contains_pan(_ascii_digits(seen)):
        return WITHHELD
    return _UNSAFE.sub(_escape, seen[:_LONGEST_TEXT])


def _ascii_digits(text: str) -> str:
    """Write digits of every script as ASCII ones, so that a number in another script is seen as well."""
    return "".join(str(unicodedata.digit(char, char)) for char in text)


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _without_pans(value: Any) -> Any:
    """Withhold each value that contains a card number; the last net, below everything that should not let one come."""
    if isinstance(value, dict):
        return {key: _without_pans(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_pans(entry) for entry in value]
    return WITHHELD if contains_pan(str(value)) else value


def _render(_logger: object, _method: str, line: Event) -> bytes:
    data = orjson.dumps(line)
    if maybe_pan(data):
        line = _without_pans(line)
        data = orjson.dumps(line)
    return data if _SINK.log_format is LogFormat.JSON else _as_text(line)


def _as_text(line: Event) -> bytes:
    head = f"{line.pop('time')} {line.pop('level'):8} {line.pop('event')}"
    return " ".join([head, *(f"{key}={value}" for key, value in line.items())]).encode()

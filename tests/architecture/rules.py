"""The house rules that no linter knows, each a function from sources to the places that break it."""

import ast
import re
from collections import defaultdict

from tests.architecture.source import Place, Sources, keyword, last_name, names_in

MODULE_LINES = 300
ALONE = {"ops/verify_audit.py": 499}  # what auditors are given is one file
FUNCTION_LINES = 40
REPEATED_LINES = 6
TINY_LINES = 10

_SCRIPTS = "vault/migrations/versions/"
_BROAD = {"Exception", "BaseException"}
_LEVELS = ("debug", "info", "warning", "error", "critical", "exception")
_SHAPELESS = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}
_BINDINGS = (
    ast.Assign,
    ast.AnnAssign,
    ast.AugAssign,
    ast.NamedExpr,
    ast.For,
    ast.AsyncFor,
    ast.comprehension,
    ast.withitem,
)
_TRIVIAL = re.compile(r"[\s\W]*|(from|import|@|#|\"\"\").*")


def without_docstring(sources: Sources) -> list[str]:
    """A module opens with two to eight lines of prose, a tiny one with one; a drawn tree below does not count."""
    found = []
    for path, tree in sources.trees.items():
        prose = [line for line in (ast.get_docstring(tree) or "").splitlines() if line and not line.startswith(" ")]
        tiny = len(sources.lines[path]) <= TINY_LINES or path.startswith("vault/migrations/")
        if not (1 if tiny else 2) <= len(prose) <= 8:
            found.append(f"{path} opens with {len(prose)} lines")
    return found


def long_modules(sources: Sources) -> list[str]:
    """A migration, once released, is never touched again, so its length is nobody's burden."""
    sizes = {path: len(lines) for path, lines in sources.lines.items() if not path.startswith(_SCRIPTS)}
    return [f"{path} has {size} lines" for path, size in sizes.items() if size > ALONE.get(path, MODULE_LINES)]


def long_functions(sources: Sources) -> list[str]:
    """From the line of `def` to the last one."""
    sizes = [
        (place, (node.end_lineno or node.lineno) - node.lineno + 1)
        for place, node in sources.functions()
        if not place.path.startswith(_SCRIPTS)
    ]
    return [f"{place} is {size} lines long" for place, size in sizes if size > FUNCTION_LINES]


def repeated_runs(sources: Sources) -> list[str]:
    """Six lines that say something, in the same order, at two places; imports and lone brackets say nothing."""
    seen: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for path, lines in sources.lines.items():
        if not path.startswith(_SCRIPTS):
            telling = [
                (number, line.strip()) for number, line in enumerate(lines, 1) if not _TRIVIAL.fullmatch(line.strip())
            ]
            for start in range(len(telling) - REPEATED_LINES + 1):
                run = telling[start : start + REPEATED_LINES]
                seen[tuple(line for _, line in run)].append(f"{path}:{run[0][0]}")
    return [" = ".join(places) for places in seen.values() if len(places) > 1]


def reveal_sites(sources: Sources) -> set[str]:
    """Where the one door of the secret types is named, called or not."""
    return {f"{place.path}:{place.scope}" for place in _reveals(sources)}


def reveals_not_inline(sources: Sources) -> list[str]:
    """`reveal` is called where it is named, and what it gives is never bound to a name: tracebacks show locals."""
    return [str(place) for place in _reveals(sources) if not _is_called(place) or _is_bound(place)]


def _reveals(sources: Sources) -> list[Place]:
    by_attribute = [
        each for each in sources.places if isinstance(each.node, ast.Attribute) and each.node.attr == "reveal"
    ]
    by_text = [each for each in sources.places if isinstance(each.node, ast.Constant) and each.node.value == "reveal"]
    return by_attribute + by_text


def _is_called(place: Place) -> bool:
    return isinstance(place.around[0], ast.Call) and place.around[0].func is place.node


def _is_bound(place: Place) -> bool:
    """Climb over methods, indices and choices, which still give the secret, and see what takes it."""
    inner: ast.AST = place.node
    for outer in place.around:
        passes_on = isinstance(outer, ast.Attribute | ast.Subscript | ast.IfExp | ast.BoolOp | ast.Await)
        if not passes_on and not (isinstance(outer, ast.Call) and outer.func is inner):
            return isinstance(outer, _BINDINGS) and not _goes_into_a_field(outer)
        inner = outer
    return False


def _goes_into_a_field(binding: ast.AST) -> bool:
    return isinstance(binding, ast.Assign) and all(isinstance(each, ast.Subscript) for each in binding.targets)


def commits(sources: Sources) -> list[str]:
    """The unit of work in `vault/db.py` is the only place that commits."""
    return [str(place) for place, _ in sources.calls("commit") if place.path != "vault/db.py"]


def prints(sources: Sources) -> list[str]:
    """Only `ops` speaks to a terminal."""
    return [str(place) for place, _ in sources.calls("print") if not place.path.startswith("ops/")]


def log_events_that_are_not_literal(sources: Sources) -> list[str]:
    """What is put together may hold a value; values belong into fields, which are checked one by one."""
    calls = [(place, call.args[-1]) for place, call in sources.calls("alarm") if call.args]
    calls += [(place, call.args[0]) for place, call in sources.calls(*_LEVELS) if call.args]
    return [str(place) for place, event in calls if isinstance(event, ast.JoinedStr | ast.BinOp | ast.Call)]


def imports_in_functions(sources: Sources) -> list[str]:
    """A cycle means that the layers are wrong; only commands put off what is slow to import."""
    inner = [place for place, _ in sources.imports() if place.scope and not place.path.startswith("ops/cli/")]
    return [str(place) for place in inner]


def dependencies_without_scope(sources: Sources) -> list[str]:
    """FastAPI ends a dependency of request scope after the response is sent: too late to commit (mechanics of yield)."""
    return [str(place) for place, call in sources.calls("Depends", "Security") if keyword(call, "scope") != "function"]


def slow_middleware(sources: Sources) -> list[str]:
    """Middleware is pure ASGI: one `BaseHTTPMiddleware` costs two thirds of the throughput."""
    by_name = [each for each in sources.places if last_name(each.node) == "BaseHTTPMiddleware"]
    by_import = [place for place, name in sources.imports() if name.endswith("BaseHTTPMiddleware")]
    by_decorator = [
        place
        for place, node in sources.functions()
        if any(isinstance(each, ast.Call) and last_name(each.func) == "middleware" for each in node.decorator_list)
    ]
    return [str(place) for place in by_name + by_import + by_decorator]


def broad_handlers(sources: Sources) -> list[str]:
    """Whoever catches everything hides something; the last handler of a request and of a worker's loop may."""
    allowed = ("vault/problems.py", "vault/worker/")
    handlers = [
        place
        for place in sources.places
        if isinstance(place.node, ast.ExceptHandler) and (place.node.type is None or names_in(place.node.type) & _BROAD)
    ]
    suppressions = [
        place for place, call in sources.calls("suppress") if any(names_in(arg) & _BROAD for arg in call.args)
    ]
    return [str(place) for place in handlers + suppressions if not place.path.startswith(allowed)]


def ciphers_elsewhere(sources: Sources) -> list[str]:
    """One module makes envelopes; the self-test compares the cipher with known answers."""
    allowed = ("keys/envelope.py", "keys/selftest.py")
    found = [place for place, name in sources.imports() if name.startswith("cryptography.hazmat.primitives.ciphers")]
    return [str(place) for place in found if place.path not in allowed]


def nonces_passed_around(sources: Sources) -> list[str]:
    """T-6: nobody takes or hands over a nonce but the module that draws it, and the cipher in a token that it gives it to."""
    allowed = ("keys/envelope.py", "keys/seals/pkcs11.py")
    arguments = [place for place in sources.places if isinstance(place.node, ast.arg | ast.keyword)]
    named = [place for place in arguments if re.search(r"nonce|\biv\b", getattr(place.node, "arg", None) or "")]
    return [str(place) for place in named if place.path not in allowed]


def nonces_not_drawn(sources: Sources) -> list[str]:
    """T-6: what is sealed with comes straight from the system's random source, never from a constant."""
    calls = sources.calls("_seal_with")
    return [str(place) for place, call in calls if not call.args or not names_in(call.args[0]) >= {"os", "urandom"}]


def engines_that_print_values(sources: Sources) -> list[str]:
    """T-38: an error of SQLAlchemy prints the statement's parameters, unless told not to."""
    calls = sources.calls("create_engine", "create_async_engine", "engine_from_config", "async_engine_from_config")
    return [str(place) for place, call in calls if keyword(call, "hide_parameters") is not True]


def shapeless_names(sources: Sources) -> list[str]:
    """A module is named after what it is about."""
    return [path for path in sources.trees if _SHAPELESS & set(re.split(r"[/._]", path))]


def unfinished_remarks(sources: Sources) -> list[str]:
    """What is to be done stands in an issue."""
    remark = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
    texts = [(path, number, line) for path, lines in sources.lines.items() for number, line in enumerate(lines, 1)]
    return [f"{path}:{number}" for path, number, line in texts if remark.search(line)]

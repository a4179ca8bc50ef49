"""Sources as syntax trees, and small questions about them; it knows no rule."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self, TypeAlias

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("keys", "vault", "ops")

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Place:
    """A node of a module, the nodes around it from the nearest outwards, and the function or class that holds it."""

    path: str
    scope: str
    node: ast.AST
    around: tuple[ast.AST, ...]

    def __str__(self) -> str:
        return f"{self.path}:{getattr(self.node, 'lineno', 1)} in {self.scope or 'the module'}"


class Sources:
    """The modules of a tree by path, for example `vault/card.py`."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.lines = {path: text.splitlines() for path, text in texts.items()}
        self.trees = {path: ast.parse(text, path) for path, text in texts.items()}

    @classmethod
    def of_product(cls) -> Self:
        """Read the product's own packages; an empty module holds nothing to judge."""
        files = [path for package in PACKAGES for path in sorted((REPOSITORY / package).rglob("*.py"))]
        return cls({path.relative_to(REPOSITORY).as_posix(): text for path in files if (text := path.read_text())})

    @cached_property
    def places(self) -> list[Place]:
        """List every node of every module."""
        return [place for path, tree in self.trees.items() for place in _walk(path, tree, "", ())]

    def calls(self, *names: str) -> list[tuple[Place, ast.Call]]:
        """Find the calls of functions or methods with these last names."""
        found = ((place, place.node) for place in self.places if isinstance(place.node, ast.Call))
        return [(place, call) for place, call in found if last_name(call.func) in names]

    def functions(self) -> list[tuple[Place, Function]]:
        """Find every function and method."""
        return [(place, place.node) for place in self.places if isinstance(place.node, Function)]

    def imports(self) -> list[tuple[Place, str]]:
        """Find every import, with the module's name or the imported name behind it."""
        found = []
        for place in self.places:
            if isinstance(place.node, ast.Import):
                found += [(place, alias.name) for alias in place.node.names]
            elif isinstance(place.node, ast.ImportFrom):
                found += [(place, f"{place.node.module}.{alias.name}") for alias in place.node.names]
        return found


def _walk(path: str, parent: ast.AST, scope: str, around: tuple[ast.AST, ...]) -> Iterator[Place]:
    outer = (parent, *around)
    for child in ast.iter_child_nodes(parent):
        yield Place(path, scope, child, outer)
        named = isinstance(child, Function | ast.ClassDef)
        yield from _walk(path, child, f"{scope}.{child.name}".lstrip(".") if named else scope, outer)  # type: ignore[attr-defined] # named


def last_name(node: ast.AST) -> str:
    """Give the last part of a dotted name, empty for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def names_in(node: ast.AST | None) -> set[str]:
    """Collect the last parts of all names in an expression."""
    return {last_name(each) for each in ast.walk(node)} if node else set()


def keyword(call: ast.Call, name: str) -> object:
    """Give the literal value of a keyword argument, None where it is missing or no literal."""
    values = [each.value for each in call.keywords if each.arg == name]
    return values[0].value if values and isinstance(values[0], ast.Constant) else None

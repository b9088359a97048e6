"""Code outside this package that a configuration names: where it is, without running it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import resolve_name
from pathlib import Path
from typing import Any


def digests(module: str, plain: Callable[[ast.AST], Any]) -> list[tuple[str, Any]]:
    """The code of a module, and of all modules of its top-level package that it imports or lies in.

    Args:
        plain: of a syntax tree what counts of it.

    Returns:
        Name and what counts of each module, sorted by name.

    Raises:
        FileNotFoundError: when there is no such module on Python's path or in the current folder.
    """
    top = module.partition(".")[0]
    parts = module.split(".")
    waiting = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
    found: dict[str, Any] = {}
    while waiting:
        name = waiting.pop()
        spec = None if name in found else _spec(name)
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            if name == module and name not in found:
                raise FileNotFoundError(f"no source of module {module}")
            continue
        tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
        found[name] = plain(tree)
        package = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
        waiting += [other for other in _imported(tree, package) if other.partition(".")[0] == top]
    return sorted(found.items())


def _spec(module: str) -> ModuleSpec | None:
    """Where a module is; unlike ``importlib.util.find_spec`` this runs none of the packages that it is in."""
    places: list[str] | None = [*sys.path, str(Path.cwd())]
    spec = None
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:count]), places)
        if spec is None:
            return None
        locations = spec.submodule_search_locations
        places = None if locations is None else list(locations)
        if places is None and count < len(parts):
            return None
    return spec


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    """Absolute names of what a module may import; names that are no modules among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module or ""
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))

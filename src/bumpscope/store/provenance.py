"""Which code a step depends on: the closure of its module's imports inside the package."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

from bumpscope.store.schemas import TABLES

PACKAGE = Path(__file__).parents[1]


def module_path(module: str) -> Path:
    """The file of a module of this package, given by its dotted name below ``bumpscope``."""
    base = PACKAGE.joinpath(*module.split("."))
    file = base.with_suffix(".py")
    return file if file.exists() else base / "__init__.py"


def closure(module: str) -> list[Path]:
    """All files of the package that ``module`` imports, directly or not, itself included; sorted.

    Templates count as used by the module that names them (``templates/NAME``).
    """
    seen: set[Path] = set()
    waiting = [module_path(module)]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        if not path.exists():
            raise FileNotFoundError(f"{module} imports {path}, which does not exist")
        seen.add(path)
        waiting.extend(_imports(path))
    return sorted(seen)


@cache
def _imports(path: Path) -> tuple[Path, ...]:
    found = []
    if path.suffix != ".py":
        return ()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "bumpscope":
            base = ".".join(node.module.split(".")[1:])
            # ``from bumpscope.x import y`` may import the module x.y or a name of the module x.
            for alias in node.names:
                dotted = f"{base}.{alias.name}" if base else alias.name
                inner = PACKAGE.joinpath(*dotted.split("."))
                if inner.with_suffix(".py").exists() or (inner / "__init__.py").exists():
                    found.append(module_path(dotted))
                if base:
                    found.append(module_path(base))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("templates/"):
            found.append(PACKAGE / "show" / node.value)
    return tuple(path for path in found if path.suffix in (".py", ".jinja", ".css", ".js"))


TABLE_FUNCTIONS = ("open_table", "read_block", "read_table", "write_table")
SCHEMAS = module_path("store.schemas")


def tables_used(module: str) -> list[str]:
    """Names of the tables that ``module`` and what it imports read or write by name; sorted."""
    return sorted({name for path in closure(module) for name in _table_names(path)})


@cache
def _table_names(path: Path) -> tuple[str, ...]:
    if path.suffix != ".py":
        return ()
    return tuple(
        str(node.args[0].value)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in TABLE_FUNCTIONS
        and node.args
        and isinstance(node.args[0], ast.Constant)
    )


READERS_OF_RUNS = ("block", "has", "having", "path", "table")


@cache
def tables_of_runs(module: str) -> list[str]:
    """Names of the single runs' tables that ``module`` and what it imports ask a ``Results`` for; sorted."""
    return sorted({name for path in closure(module) for name in _names_asked_for(path)})


@cache
def _names_asked_for(path: Path) -> tuple[str, ...]:
    if path.suffix != ".py":
        return ()
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in READERS_OF_RUNS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "results"
    ]
    found = []
    for call in calls:
        names = [one.value for one in call.args[:2] if isinstance(one, ast.Constant) and one.value in TABLES]
        if not names:
            raise ValueError(f"{path}, line {call.lineno}: the name of a table must be written out, as in the schemas")
        found += [str(name) for name in names]
    return tuple(found)


@cache
def code_fingerprint(module: str) -> str:
    """Sixteen hexadecimal digits that change when any file that ``module`` uses does.

    Of the tables' columns only those of the tables it uses count, so that a new column of an analysis does not
    make every training stale.
    """
    digest = hashlib.sha256()
    for name in tables_used(module):
        digest.update(repr(TABLES[name]).encode())
    for path in closure(module):
        if path == SCHEMAS:
            continue
        digest.update(f"{path.relative_to(PACKAGE).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]

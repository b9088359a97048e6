"""A fingerprint of the code that a step depends on: the syntax trees of its module and of all modules that it imports.

Comments, docstrings, messages and the names of modules do not count, so that rewording or moving code makes no result
stale.
"""

from __future__ import annotations

import ast
import gc
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from bumpscope.store import foreign
from bumpscope.store.schemas import TABLES

PACKAGE = Path(__file__).parents[1]
# Sections of the configuration hold no more than keys, which reach a step as its settings.
SECTIONS = {
    *("config.analysis", "config.choice", "config.denoiser", "config.diffusion", "config.model", "config.probe"),
    *("config.run", "config.section", "config.steps", "config.training", "config.world"),
}
# Columns count for the steps that declare their table, and what changes this module changes fingerprints by itself.
LEFT_OUT = {"store.columns", "store.schemas", "store.provenance", "store.foreign", *SECTIONS}
TEMPLATES = (".jinja", ".css", ".js")
LOGGING = {"debug", "info", "warning", "error", "exception"}
TEXTS = {"help", "description"}
# What holds statements, and with them imports.
BLOCKS = (ast.stmt, ast.excepthandler, ast.match_case)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Pause Python's garbage collector, which would go through the hundred syntax trees again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@cache
def module_path(module: str) -> Path:
    """The file of a module of this package, given by its dotted name below ``bumpscope``."""
    base = PACKAGE.joinpath(*module.split("."))
    file = base.with_suffix(".py")
    return file if file.exists() else base / "__init__.py"


@cache
@_without_collector()
def code_fingerprint(module: str) -> str:
    """Sixteen hexadecimal digits for all code that ``module`` uses, and for the columns of the tables it declares.

    Args:
        module: of this package, by its dotted name below ``bumpscope``; or an import path such as
            ``my_package.net:MyNet``, whose code is that of its module and of all modules of ``my_package`` that this
            imports.

    Raises:
        CycleError: when modules of this package import each other.
        FileNotFoundError: when a module is not found.
    """
    path, named, _ = module.partition(":")
    if named:
        package, _, inner = path.partition(".")
        return code_fingerprint(inner) if package == "bumpscope" else _hash(foreign.digests(path, _plain))[:16]
    TopologicalSorter({name: _imported(name) for name in closure(module)}).prepare()
    names = sorted({*declared(module, "READS"), *declared(module, "WRITES")})
    columns = [(name, [(column.name, column.kind) for column in TABLES[name].columns]) for name in names]
    return _hash(_digest(module), columns)[:16]


def declared(module: str, constant: str) -> Any:
    """The literal that a module assigns to ``constant``, such as a tuple of tables; () where there is none.

    It is read from the syntax tree, since torch and matplotlib take seconds to import.
    """
    for node in _tree(module).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Name) and target.id == constant:
                return ast.literal_eval(node.value)
    return ()


def with_worlds(modules: Sequence[str], worlds: Iterable[str]) -> tuple[str, ...]:
    """``modules``, and the import paths of worlds where one of them builds worlds by their names."""
    builds = any("worlds.named" in closure(module) for module in modules if ":" not in module)
    return (*modules, *(sorted(set(worlds)) if builds else ()))


def closure(module: str) -> set[str]:
    """``module`` and all modules of the package that it imports, directly or not, by their dotted names."""
    seen, waiting = set[str](), [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += _imported(name)
    return seen


@cache
def _text(module: str) -> str:
    return module_path(module).read_text(encoding="utf-8")


@cache
@_without_collector()
def _tree(module: str) -> ast.Module:
    return ast.parse(_text(module))


@cache
def _imported(module: str) -> tuple[str, ...]:
    """Modules of the package that a module imports itself."""
    found, waiting = [], list[ast.AST]([_tree(module)])
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found += [used for used, *_ in _parts(node) if used]
        elif not _for_type_checkers(node):
            waiting.extend(inner for inner in ast.iter_child_nodes(node) if isinstance(inner, BLOCKS))
    return (*found, *_listed(module))


@cache
def _listed(module: str) -> list[str]:
    """All modules of a package that lists its own folder (``__path__``), since it imports them by name."""
    nodes = ast.walk(_tree(module)) if "__path__" in _text(module) else ()
    if not any(isinstance(node, ast.Name) and node.id == "__path__" for node in nodes):
        return []
    files = module_path(module).parent.glob("*.py")
    return sorted(f"{module}.{file.stem}" for file in files if file.stem != "__init__")


def _parts(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str, str]]:
    """Module of the package ("" for other packages), name there and name here of each name that a statement imports."""
    for alias in node.names:
        own = alias.asname or alias.name
        if isinstance(node, ast.Import):
            package, source = alias.name.partition(".")[0], alias.name
        else:
            package, _, source = (node.module or "").partition(".")
        if package != "bumpscope":
            yield "", f"{package}.{source}.{alias.name}", own
        elif isinstance(node, ast.Import) or node.level:
            raise ValueError(f"{ast.unparse(node)}: write from bumpscope.MODULE import NAME")
        elif module_path(inner := f"{source}.{alias.name}".lstrip(".")).exists():
            yield inner, "", own
        else:  # a name of a module; of the package itself only the version, which does not count
            yield source, alias.name, own


def _for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@cache
def _digest(module: str) -> str:
    """SHA-256 of a module's code, in which an import stands for the digest of the module that is imported."""
    if module in LEFT_OUT:
        return module
    folder, tree = module_path(module).parent, _tree(module)
    beside = [other for other in sorted(folder.iterdir()) if other.suffix in TEMPLATES]
    listed = [_digest(other) for other in _listed(module)]
    return _hash(_plain(tree), listed, [other.read_bytes() for other in beside])


def _hash(*values: Any) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()


def _plain(value: Any, silent: bool = False) -> Any:
    """A syntax tree as nested tuples, without what cannot change a result; without any text where ``silent``."""
    if not isinstance(value, ast.AST):
        if not isinstance(value, list):
            return value
        if value and isinstance(value[0], ast.stmt):
            return _statements(value)
        return tuple([_plain(one, silent) for one in value if not (silent and _is_text(one))])
    kind, fields = type(value), value.__dict__
    if silent and _is_text(value):
        return ""
    if isinstance(value, ast.Raise):
        silent = True
    elif isinstance(value, ast.Call):
        silent = silent or _called(value)[1].endswith("Error")
        fields = fields | {"keywords": [keyword for keyword in value.keywords if keyword.arg not in TEXTS]}
    plain: list[Any] = [kind.__name__]
    # Most values are leaves or nodes without fields: these calls are spared, since every job and dry run does this.
    for name in kind._fields:
        inner = fields.get(name)
        if inner is None or inner == []:
            continue
        if isinstance(inner, ast.AST):
            plain.append((name, _plain(inner, silent) if inner._fields else (type(inner).__name__,)))
        elif not isinstance(inner, list):
            plain.append((name, inner))
        elif (found := _plain(inner, silent)) != ():
            plain.append((name, found))
    return tuple(plain)


def _statements(body: list[ast.stmt]) -> tuple[Any, ...]:
    """A block of statements without its messages; imports first, since their order follows the names of modules."""
    imports = [part for node in body if isinstance(node, ast.Import | ast.ImportFrom) for part in _parts(node)]
    others = [
        _plain(node)
        for node in body
        if not isinstance(node, ast.Import | ast.ImportFrom) and not _for_type_checkers(node) and not _is_message(node)
    ]
    return (*sorted((module and _digest(module), name, own) for module, name, own in imports), *others)


def _is_message(node: ast.stmt) -> bool:
    """Whether a statement is a docstring, or reports progress."""
    if not isinstance(node, ast.Expr):
        return False
    if isinstance(node.value, ast.Call):
        owner, name = _called(node.value)
        return (owner == "log" and name in LOGGING) or (name == "report" and owner in ("", "self"))
    return _is_text(node.value)


def _called(call: ast.Call) -> tuple[str, str]:
    """The name of a called function, and of what it is an attribute of, as far as these are names."""
    if isinstance(call.func, ast.Attribute):
        return getattr(call.func.value, "id", getattr(call.func.value, "attr", "?")), call.func.attr
    return "", getattr(call.func, "id", "")


def _is_text(node: Any) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)

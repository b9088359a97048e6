"""The rooms of the package: a module imports only from its own room and those before it, and never in a circle."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from bumpscope.store.provenance import PACKAGE

ROOMS = ("config", "store", "worlds", "denoise", "probe", "measure", "judge", "show", "commands")
ON_THE_ROOT = {"__init__", "__main__", "seeding"}


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts).removesuffix("__init__").removesuffix(".")


MODULES = {dotted(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(module: str, types: bool = True) -> set[str]:
    """Modules of the package that a module imports, anywhere in it; with ``types``, also those for type checkers."""
    found = set()
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    if not types:
        tree.body = [
            node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
        ]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name.removeprefix("bumpscope.") in MODULES else str(node.module) for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    inside = {name.removeprefix("bumpscope").removeprefix(".") for name in found if name.split(".")[0] == "bumpscope"}
    return inside - {""}


def room(module: str) -> str:
    return module.split(".")[0]


def test_only_the_door_and_the_seeds_lie_on_the_root() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == ON_THE_ROOT
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(ROOMS)


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) in ROOMS])
def test_a_module_imports_from_its_own_room_and_those_before_it(module: str) -> None:
    imported = imports(module) - {"seeding"}
    assert imported <= MODULES.keys()
    allowed = ROOMS[: ROOMS.index(room(module)) + 1]
    assert {name for name in imported if room(name) not in allowed} == set()


def test_seeds_are_derived_without_the_rest_of_the_package() -> None:
    assert imports("seeding") == set()


def test_no_modules_import_each_other() -> None:
    TopologicalSorter({name: imports(name, types=False) for name in MODULES}).prepare()

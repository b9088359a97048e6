"""The benchmarks as modules, for tests."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parents[2] / "benchmarks"
# At the end, since the folder's names are not to hide those of the tests.
sys.path.append(str(FOLDER))


def module(name: str) -> ModuleType:
    """A benchmark under a name of its own, for some share theirs with other modules."""
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found

"""The lock for pip and the environment for conda name the same versions."""

import re
import shutil
import subprocess
from pathlib import Path

import yaml
from rattler import MatchSpec

ROOT = Path(__file__).parents[2]
CONDA_TO_PIP = {
    "pytorch": "torch", "playwright-python": "playwright", "python-duckdb": "duckdb", "matplotlib-base": "matplotlib",
}  # fmt: skip


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").split()
    pins = [re.fullmatch(r"([A-Za-z0-9._-]+)==([^=\s]+)", line) for line in lines]
    assert all(pins), [line for line, pin in zip(lines, pins, strict=True) if not pin]
    return {pin[1].lower().replace("_", "-"): pin[2] for pin in pins if pin}


def conda_specs() -> list[str]:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    return [spec for spec in environment["dependencies"] if isinstance(spec, str)]


def test_conda_pins_equal_the_lock() -> None:
    pins = locked()
    compared = 0
    for text in conda_specs():
        spec = MatchSpec(text)
        name = spec.name.normalized
        if name in ("python", "pip"):
            continue
        assert str(spec.version) == f"{pins[CONDA_TO_PIP.get(name, name)]}.*", text
        compared += 1
    assert compared > 20


def test_every_dependency_of_the_package_is_pinned_in_both() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = project.split("dependencies = [")[1].split("]")[0]
    names = [re.match(r"[a-z0-9-]+", text)[0] for text in re.findall(r'"([^"]+)"', block)]  # type: ignore[index]
    conda = {
        CONDA_TO_PIP.get(MatchSpec(text).name.normalized, MatchSpec(text).name.normalized) for text in conda_specs()
    }
    assert len(names) > 10
    for name in names:
        assert name in locked(), name
        assert name in conda, name


def test_lock_holds_no_cuda_package() -> None:
    assert not [name for name in locked() if name.startswith(("nvidia", "cuda", "triton"))]


def built_again(folder: Path) -> bool:
    done = subprocess.run(["make", "-n", "environment"], cwd=folder, capture_output=True, text=True, check=True)
    return "-m venv" in done.stdout


def test_an_environment_that_was_built_in_another_folder_is_built_again(tmp_path: Path) -> None:
    project = tmp_path / "the project"
    (project / ".venv").mkdir(parents=True)
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy2(ROOT / name, project / name)
    assert built_again(project)
    (project / ".venv/complete").write_text(f"{project / '.venv'}\n")
    assert not built_again(project)
    assert built_again(project.rename(tmp_path / "renamed"))

"""The lock for pip and the environment for conda name the same versions."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
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


def made_with(tmp_path: Path, python: str) -> subprocess.CompletedProcess[str]:
    """What `make environment` says with a Python, where there is no environment yet."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy2(ROOT / name, tmp_path / name)
    command = ["make", "environment", f"PYTHON={python}"]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)


OLD = "[ $1 = --version ] && echo Python 3.9.2"


@pytest.mark.parametrize(("script", "told"), [(OLD, "Python 3.9.2"), ("exit 9", "no Python"), ("", "no Python")])
def test_an_older_python_is_told_in_one_line_before_anything_is_made(tmp_path: Path, script: str, told: str) -> None:
    python = tmp_path / "my python"
    if script:
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
    done = made_with(tmp_path, str(python))
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode and lines == [
        f"PYTHON: holds {python}, which is {told}; name Python 3.11 or later: make environment PYTHON=python3.11"
    ]
    assert not (tmp_path / ".venv").exists()


# Recipes of containers


def sections(recipe: str) -> dict[str, str]:
    """Headers and sections of a recipe of Apptainer."""
    text = "\n".join(line for line in recipe.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    first, *rest = re.split(r"^%(\w+)$", text, flags=re.M)
    headers = dict(line.split(": ", 1) for line in first.splitlines())
    return headers | dict(zip(rest[::2], rest[1::2], strict=True))


def test_the_recipes_install_the_lock_and_nothing_else_on_the_python_of_conda() -> None:
    version = next(spec.partition("=")[2] for spec in conda_specs() if spec.startswith("python="))
    apptainer = sections((ROOT / "container/apptainer.def").read_text(encoding="utf-8"))
    assert apptainer["Bootstrap"] == "docker" and apptainer["From"] == f"python:{version}-bookworm"
    assert apptainer["files"].split() == ["requirements.lock", "/requirements.lock"]
    docker = (ROOT / "container/Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    steps = dict(re.findall(r"^([A-Z]+) (.*)$", docker, flags=re.M))
    assert steps["FROM"] == apptainer["From"] and steps["COPY"].split() == apptainer["files"].split()
    for script in (apptainer["post"].replace("{{ TORCH_INDEX }}", "there"), apptainer["environment"], steps["RUN"]):
        subprocess.run(["bash", "-n", "-c", script], check=True)
    for script in (apptainer["post"], steps["RUN"]):
        assert re.findall(r"pip install .*?--requirement (\S+)", script) == ["/requirements.lock"]
        assert script.count("pip install") == 1 and "pip check" in script


def test_what_snakemake_itself_needs_is_named_on_the_page() -> None:
    script = """
import sys, importlib.metadata as metadata
before = set(sys.modules)
import filelock
from bumpscope.config import disk, loading, plan
from bumpscope.store import files, lineage, verification
owners = metadata.packages_distributions()
names = {name.partition(".")[0] for name in set(sys.modules) - before} - {"bumpscope"}
print(*sorted({owner for name in names for owner in owners.get(name, ())}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    used = {name.lower() for name in done.stdout.split()}
    page = " ".join((ROOT / "docs/installation.md").read_text(encoding="utf-8").split())
    named = set(re.split(r",? and |, ", re.findall(r"it needs (.*) beside itself", page)[0]))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    own = set(re.findall(r'"([a-z0-9-]+)[^"]*"', project.split("dependencies = [")[1].split("]")[0]))
    # The others come with these.
    assert named == used & own - {"numpy"}

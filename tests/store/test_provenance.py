"""What code a step depends on: all that it imports, and nothing else."""

import importlib
import json
import os
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bumpscope import commands
from bumpscope.show import figures
from bumpscope.store import provenance
from bumpscope.store.provenance import PACKAGE, closure, code_fingerprint, module_path, tables_used

COMMANDS = sorted(m.name for m in pkgutil.iter_modules(commands.__path__) if m.name not in ("cli", "interface"))
FIGURES = sorted(m.name for m in pkgutil.iter_modules(figures.__path__) if m.name != "style")


def names(module):
    """Dotted names of the modules in a closure."""
    files = [path.relative_to(PACKAGE) for path in closure(module) if path.suffix == ".py"]
    return {".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in files}


def really_imported(module):
    """Modules of the package that importing ``module`` brings in, all imported anew."""
    before = {name: loaded for name, loaded in sys.modules.items() if name.split(".")[0] == "bumpscope"}
    for name in before:
        del sys.modules[name]
    try:
        importlib.import_module(f"bumpscope.{module}")
        return {name.removeprefix("bumpscope.") for name in sys.modules if name.startswith("bumpscope.")}
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "bumpscope"]:
            del sys.modules[name]
        sys.modules.update(before)


@pytest.mark.parametrize(
    "module", [f"commands.{name}" for name in COMMANDS] + [f"show.figures.{name}" for name in FIGURES]
)
def test_everything_that_a_step_imports_counts_and_hardly_anything_else(module):
    imported = really_imported(module) - {
        "commands",
        "show",
        "show.figures",
        "store",
        "config",
        "worlds",
        "denoise",
        "probe",
        "measure",
        "judge",
    }  # the packages' own inits
    counted = names(module)
    assert imported <= counted
    # Beyond that only the version, and what is imported for type checkers alone.
    assert counted - imported <= {"version", "figures"}


def test_packages_have_no_code_of_their_own():
    for package in ("commands", "figures"):
        lines = module_path(package).read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 1


LATER = {"behaviour", "geometry", "topology", "phases", "effects", "metrics", "coupling", "claims", "results", "report"}


@pytest.mark.parametrize(
    ("step", "independent_of"),
    [
        ("dataset", LATER | {"config", "faults", "training", "unet", "diffusion", "generation", "checkpoints"}),
        ("train", LATER | {"config", "faults", "generation", "alignment", "reference"}),
        ("generate", LATER | {"config", "faults", "alignment"}),
        ("behaviour", LATER - {"behaviour"} | {"config", "training", "unet", "diffusion", "generation"}),
        ("geometry", LATER - {"geometry"} | {"config", "training", "unet", "diffusion", "generation"}),
        # Topology denoises as geometry does.
        ("topology", LATER - {"topology", "geometry"} | {"config", "training", "unet", "diffusion", "generation"}),
        # Nothing that is judged makes anything be generated again.
        ("vary", LATER - {"behaviour", "geometry"} | {"config", "faults", "alignment", "variants", "sensitivity"}),
        ("sensitivity", {"config", "faults", "variants", "geometry", "training", "unet", "diffusion", "generation"}),
    ],
)
def test_a_step_does_not_depend_on_what_comes_after_it(step, independent_of):
    counted = names(f"commands.{step}")
    assert not counted & independent_of
    assert not any(name.startswith("figures") for name in counted)
    assert counted & {f"commands.{name}" for name in COMMANDS} == {f"commands.{step}"}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_depends_on_no_other_figure(name):
    others = {f"show.figures.{other}" for other in FIGURES} - {f"show.figures.{name}"}
    assert not names(f"show.figures.{name}") & others


def test_a_module_that_does_not_exist_is_told():
    with pytest.raises(FileNotFoundError):
        closure("commands.none_such")


def test_a_template_counts_as_part_of_the_module_that_names_it(tmp_path, monkeypatch):
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "page.html.jinja").write_text("hello")
    (tmp_path / "page.py").write_text('NAME = "templates/page.html.jinja"\n')
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)
    assert [path.name for path in closure("page")] == ["page.py", "page.html.jinja"]


def test_the_tables_that_a_step_uses_are_those_it_names():
    assert tables_used("commands.train") == ["dataset", "losses"]
    assert tables_used("commands.generate") == ["latents", "samples"]
    assert tables_used("commands.behaviour") == ["behaviour", "samples"]
    assert set(tables_used("commands.geometry")) == {"behaviour", "embedding", "geometry", "latents", "samples"}


def fingerprints(package):
    """Fingerprints of all commands and figures, by a package that lies elsewhere, in a process of its own."""
    modules = [f"commands.{name}" for name in COMMANDS] + [f"show.figures.{name}" for name in FIGURES]
    script = (
        "import json, sys; from bumpscope.store.provenance import PACKAGE, code_fingerprint\n"
        "print(json.dumps([str(PACKAGE), {m: code_fingerprint(m) for m in sys.argv[1:]}]))"
    )
    environment = os.environ | {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    told = subprocess.run([sys.executable, "-c", script, *modules], env=environment, capture_output=True, check=True)
    where, found = json.loads(told.stdout)
    assert Path(where) == package
    return found


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    package = tmp_path_factory.mktemp("source") / "bumpscope"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    return package, fingerprints(package)


def changed_by(copied, file, old, new):
    """Steps whose fingerprint an edit changes."""
    package, before = copied
    path = package / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    try:
        after = fingerprints(package)
    finally:
        path.write_text(text, encoding="utf-8")
    return {module for module in before if before[module] != after[module]}


def test_a_fingerprint_does_not_depend_on_where_the_package_lies(copied):
    assert copied[1]["commands.train"] == code_fingerprint("commands.train")
    assert len(set(copied[1].values())) == len(copied[1])


def test_an_edit_of_the_denoiser_changes_training_and_probing_only(copied):
    probing = {"commands.train", "commands.generate", "commands.effects", "commands.vary"}
    assert changed_by(copied, "unet.py", "LONGEST_PERIOD = 10_000.0", "LONGEST_PERIOD = 20_000.0") == probing


def test_an_edit_of_an_analysis_changes_that_analysis_and_no_training(copied):
    changed = changed_by(copied, "alignment.py", '"""One basis', '"""The basis')
    assert changed == {"commands.geometry", "commands.explorer"}


@pytest.mark.parametrize("name", FIGURES[::3])
def test_an_edit_of_a_figure_changes_that_figure_only(copied, name):
    # The report is made again because a figure that it shows is.
    assert changed_by(copied, f"figures/{name}.py", '"""', '"""Edited. ') == {f"show.figures.{name}"}


def test_an_edit_of_the_figures_style_changes_no_table(copied):
    changed = changed_by(copied, "figures/style.py", '"""', '"""Edited. ')
    assert {f"show.figures.{name}" for name in FIGURES} <= changed
    assert not changed & {f"commands.{name}" for name in ("train", "generate", "behaviour", "geometry", "claims")}


def test_a_new_column_of_an_unrelated_table_does_not_make_a_training_stale(copied):
    old = '"value | float | see the metric | its value; empty where it is not defined"'
    changed = changed_by(copied, "schemas.py", old, old[:-1] + r'\nextra | float | px | new"')
    assert "commands.geometry" in changed
    assert not changed & {f"commands.{name}" for name in ("dataset", "train", "generate", "effects", "behaviour")}


def test_a_changed_column_of_its_own_table_makes_a_training_stale(copied):
    changed = changed_by(copied, "schemas.py", "training images drawn so far", "images drawn so far")
    assert "commands.train" in changed
    assert "commands.generate" not in changed

"""What code a step depends on: all that it imports and nothing else, whatever it is called and however it is worded."""

import ast
import importlib
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from graphlib import CycleError
from pathlib import Path

import pytest

from bumpscope.commands import cli
from bumpscope.config.denoiser import BUILT_IN
from bumpscope.show import figures
from bumpscope.store import provenance
from bumpscope.store.provenance import PACKAGE, closure, code_fingerprint, declared, module_path
from bumpscope.store.schemas import TABLES

COMMANDS = cli.command_names()
FIGURES = sorted(m.name for m in pkgutil.iter_modules(figures.__path__))
STEPS = [f"commands.{name}" for name in COMMANDS] + [f"show.figures.{name}" for name in FIGURES]
ROOMS = {"config", "store", "worlds", "denoise", "probe", "measure", "judge", "show", "commands"}


def really_imported(module):
    """Modules of the package that importing ``module`` brings in, all imported anew."""
    before = {name: loaded for name, loaded in sys.modules.items() if name.split(".")[0] == "bumpscope"}
    for name in before:
        del sys.modules[name]
    try:
        importlib.import_module(f"bumpscope.{module}")
        if "bumpscope.judge.claims" in sys.modules:  # which imports each claim when it is asked for them
            sys.modules["bumpscope.judge.claims"].modules()
        return {name.removeprefix("bumpscope.") for name in sys.modules if name.startswith("bumpscope.")}
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "bumpscope"]:
            del sys.modules[name]
        sys.modules.update(before)


@pytest.mark.parametrize("module", STEPS)
def test_everything_that_a_step_imports_counts_and_nothing_else(module):
    imported, counted = really_imported(module), closure(module)
    # Importing a module runs the __init__ of each folder that it is in; they hold nothing.
    parents = {name.rpartition(".")[0] for name in imported}
    assert {name for name in imported - counted if name not in parents} == set()
    assert counted <= imported


def test_packages_have_no_code_of_their_own():
    for path in PACKAGE.glob("*/**/__init__.py"):
        # Claims are listed by their package, which is imported by what judges or shows them all.
        if path != module_path("judge.claims"):
            assert len(ast.parse(path.read_text(encoding="utf-8")).body) <= 1, path


# What any step needs to read its settings, and to read and write tables.
COMMON = {
    "commands.interface",
    *(
        f"config.{name}"
        for name in (
            "analysis",
            "choice",
            "denoiser",
            "diffusion",
            "lattice",
            "model",
            "probe",
            "run",
            "section",
            "steps",
        )
    ),
    "config.training",
    "config.world",
    "store.columns",
    "store.files",
    "store.foreign",
    "store.headers",
    "store.manifest",
    "store.names",
    "store.origin",
    "store.provenance",
    "store.schemas",
    "store.tables",
}
# A world is found by its name, so what it draws is not among these.
WORLD = {"worlds.bumps", "worlds.factor", "worlds.named", "worlds.world", "store.imports"}
READING = {f"worlds.{name}" for name in ("behaviour", "blobs", "outcomes", "position", "reading", "sized")}
NETWORK = {f"denoise.{name}" for name in ("denoiser", "devices", "named", "process")}
NETWORK |= {"store.checkpoints", "seeding", *WORLD}
PROBING = NETWORK | {"denoise.predictions", "denoise.recorder", "probe.checkpoint"}
SHARING = {"commands.jobs", "commands.sharing", "store.locks"}
GENERATION = PROBING | {"denoise.samplers", "probe.generation", "worlds.requests"}
CLOUDS = {f"measure.{name}" for name in ("components", "dimension", "factorisation", "geometry", "order")}
# How large a sheet in disorder would be seen is asked of the rule that tells one.
CLOUDS |= {"measure.betti", "measure.phases", "measure.sheet", "seeding", *WORLD}
CLOSURES = {
    "dataset": WORLD,
    "train": NETWORK
    | {f"denoise.{name}" for name in ("assignment", "flat", "loop", "recorder", "together", "trainer")}
    | {"commands.jobs", "store.locks", "store.machine"},
    "generate": GENERATION | SHARING,
    "effects": PROBING
    | SHARING
    | {"probe.effects", "probe.frequency", "probe.resolution", "worlds.bayes", "worlds.exact", "worlds.position"},
    "interventions": PROBING
    | SHARING
    | READING
    | {"denoise.samplers", "probe.generation", "probe.interventions"}
    | {"measure.components", "measure.order"},
    "behaviour": WORLD | READING,
    "geometry": CLOUDS | {"measure.alignment", "measure.umaps", "store.clouds"},
    # Topology starts from the same components as geometry.
    "topology": {"measure.components", "measure.topology", "store.clouds", "seeding"},
    "phases": WORLD | {"measure.as_read", "measure.betti", "measure.phases"},
    "vary": GENERATION | CLOUDS | READING,
}


@pytest.mark.parametrize("step", CLOSURES)
def test_a_step_of_a_run_imports_only_what_it_needs(step):
    assert closure(f"commands.{step}") == COMMON | CLOSURES[step] | {f"commands.{step}"}


@pytest.mark.parametrize("step", ["runs", "metrics", "coupling", "leaderboard", "claims", "sensitivity"])
def test_what_is_judged_depends_on_no_training_network_or_figure(step):
    counted = closure(f"commands.{step}")
    assert not [name for name in counted if name.split(".")[0] in ("denoise", "show")]
    assert counted & {f"commands.{name}" for name in COMMANDS} == {f"commands.{step}"}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_depends_on_no_other_figure(name):
    others = {f"show.figures.{other}" for other in FIGURES} - {f"show.figures.{name}"}
    assert not closure(f"show.figures.{name}") & others


def test_a_module_that_does_not_exist_is_told():
    with pytest.raises(FileNotFoundError):
        closure("commands.none_such")


CACHED = [one for one in vars(provenance).values() if hasattr(one, "cache_clear")]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes a package of a few modules (step, room__module) in place of this one; returns the fingerprint of step."""
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path / "package")

    def write(**modules):
        for function in CACHED:
            function.cache_clear()
        shutil.rmtree(provenance.PACKAGE, ignore_errors=True)
        for name, text in modules.items():
            path = provenance.PACKAGE / f"{name.replace('__', '/', 1)}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return code_fingerprint("step")

    yield write
    for function in CACHED:
        function.cache_clear()


STEP = "from bumpscope.a import f\n\n\ndef step():\n    return f()\n"


def test_what_a_name_means_counts_and_not_where_it_is_defined(package):
    one, two = "def f():\n    return 1\n", "def f():\n    return 2\n"
    before = package(step=STEP, a=one, b=two)
    assert package(step=STEP.replace("bumpscope.a", "bumpscope.b"), a=one, b=two) != before
    assert package(step=STEP.replace("bumpscope.a", "bumpscope.b"), a=two, b=one) == before
    assert package(step=STEP.replace("bumpscope.a", "bumpscope.room.a"), room__a=one) == before
    assert package(step=STEP, a=two) != before


def test_the_order_of_imports_does_not_count(package):
    a, b = "X = 1\n", "def f():\n    return 2\n"
    before = package(step="from bumpscope import a\nfrom bumpscope.b import f\n", a=a, b=b)
    assert package(step="from bumpscope.a import f\nfrom bumpscope.z import a\n", z__a=a, a=b) == before


def test_a_circle_of_imports_is_told(package):
    with pytest.raises(CycleError):
        package(step=STEP, a="from bumpscope.b import g\n", b="from bumpscope.a import f\n")
    back = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from bumpscope.a import f\n"
    package(step=STEP, a="from bumpscope.b import g\n", b=back)


def test_a_package_that_lists_its_folder_depends_on_all_modules_in_it(package):
    step, lists = (
        "from bumpscope.claims import NAMES\n",
        "import pkgutil\nNAMES = list(pkgutil.iter_modules(__path__))\n",
    )
    before = package(step=step, claims____init__=lists, claims__one="X = 1\n")
    assert closure("step") == {"step", "claims", "claims.one"}
    assert package(step=step, claims____init__=lists, claims__one="X = 2\n") != before


def test_templates_count_for_the_modules_that_they_lie_beside(package):
    found = []
    for text in ("hello", "goodbye", "hello"):
        package(step="from bumpscope.page.build import build\n", page__build="def build():\n    pass\n")
        (provenance.PACKAGE / "page/page.html.jinja").write_text(text)
        (provenance.PACKAGE / "page/notes.txt").write_text(f"{len(found)}")
        for function in CACHED:
            function.cache_clear()
        found.append(code_fingerprint("step"))
    assert found[0] == found[2] != found[1]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("log.info('%s', x)", "log.info('now %s', x)"),
        ("log.info('%s', x)", "'only this'"),
        ("report(f'at {x}')", "report(f'now at {x}, {y}')"),
        ("raise ValueError(f'{x}: bad')", "raise ValueError(f'bad: {x}!')"),
        ("return FileError('bad')", "return FileError('worse')"),
        ("return Option(1, help='a number')", "return Option(1, help='an amount' + 's')"),
        ("return Field(1, description='a number')", "return Field(1)"),
        ("'Docstring.'", "'Another.'  # and a comment"),
        ("return (x)", "return x"),
        ("return 'a' 'b'", 'return "ab"'),
    ],
)
def test_words_for_readers_do_not_count(package, old, new):
    function = "import logging\nlog = logging.getLogger('x')\n\n\ndef f(x, y):\n    {}\n"
    assert package(step=STEP, a=function.format(old)) == package(step=STEP, a=function.format(new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return log(x)", "return log(y)"),
        ("return x.info('a')", "return x.info('b')"),
        ("return 'a'", "return 'b'"),
        ("return 1", "return 1.0"),
        ("return 1", "return True"),
        ("raise ValueError", "raise KeyError"),
        ("raise ValueError(x)", "raise ValueError(y)"),
        ("return f(help='a', mode='b')", "return f(help='a', mode='c')"),
        ("return x[1:]", "return x[:1]"),
        ("return [x, None]", "return [None, x]"),
        ("return {'a': x, **y}", "return {**y, 'a': x}"),
        ("return x < y", "return x <= y"),
        ("return x", "yield x"),
        ("x: int = 1", "x: float = 1"),
        ("import numpy as np", "import scipy as np"),
    ],
)
def test_what_can_change_a_result_counts(package, old, new):
    function = "def f(x, y):\n    {}\n"
    assert package(step=STEP, a=function.format(old)) != package(step=STEP, a=function.format(new))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_declares_tables_that_exist(name):
    module = importlib.import_module(f"bumpscope.commands.{name}")
    for constant in ("READS", "WRITES"):
        assert getattr(module, constant) == declared(f"commands.{name}", constant)
        assert set(getattr(module, constant)) <= TABLES.keys()


def test_every_table_is_written_by_one_command():
    written = [table for name in COMMANDS for table in declared(f"commands.{name}", "WRITES")]
    assert sorted(written) == sorted(TABLES)


def fingerprints(package, names=STEPS):
    """Fingerprints of all commands and figures, by a package that lies elsewhere, in a process of its own."""
    script = (
        "import json, sys; from bumpscope.store.provenance import PACKAGE, code_fingerprint\n"
        "print(json.dumps([str(PACKAGE), {m: code_fingerprint(m) for m in sys.argv[1:]}]))"
    )
    environment = os.environ | {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    told = subprocess.run([sys.executable, "-c", script, *names], env=environment, capture_output=True, check=True)
    where, found = json.loads(told.stdout)
    assert Path(where) == package
    return found


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    package = tmp_path_factory.mktemp("source") / "bumpscope"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    return package, fingerprints(package)


class Copy:
    """A copy of the package to edit."""

    def __init__(self, original, folder):
        self.before, self.package = original[1], folder / "bumpscope"
        shutil.copytree(original[0], self.package)

    def edit(self, file, change):
        path = self.package / file
        text = path.read_text(encoding="utf-8")
        assert change(text) != text, file
        path.write_text(change(text), encoding="utf-8")

    def replace(self, file, old, new):
        self.edit(file, lambda text: text.replace(old, new, 1))

    def changed(self):
        """Steps whose fingerprint is another than that of the original."""
        after = fingerprints(self.package)
        return {module for module, fingerprint in self.before.items() if after[module] != fingerprint}


@pytest.fixture
def copy(original, tmp_path):
    return Copy(original, tmp_path)


def test_a_fingerprint_does_not_depend_on_where_the_package_lies(original):
    assert original[1]["commands.train"] == code_fingerprint("commands.train")
    assert len(set(original[1].values())) == len(original[1])


def test_docstrings_and_comments_in_every_module_and_the_version_change_nothing(copy):
    files = [path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")]
    assert {file.split("/")[0] for file in files} >= ROOMS
    for file in files:
        copy.edit(file, lambda text: re.sub(r'"""', '"""Edited. ', text, count=1) + "\n# A comment.\n")
    copy.replace("__init__.py", '__version__ = "', '__version__ = "9')
    assert copy.changed() == set()


def test_messages_of_the_trainer_change_nothing(copy):
    copy.replace("denoise/loop.py", "resumed at step", "going on from step")
    copy.replace("denoise/loop.py", "is of another training", "belongs to another training")
    assert copy.changed() == set()


def test_a_constant_of_the_trainer_changes_training_only(copy):
    copy.edit("denoise/loop.py", lambda text: re.sub(r"(?m)^([A-Z_]+) = (\d)", r"\1 = 7\2", text, count=1))
    assert copy.changed() == {"commands.train"}


def test_a_denoiser_changes_what_names_it_and_no_other_code(copy, original):
    copy.replace("denoise/references.py", "GATE_RATE = 1.5", "GATE_RATE = 2.5")
    assert copy.changed() == set()
    before, after = (fingerprints(package, BUILT_IN.values()) for package in (original[0], copy.package))
    changed = {kind for kind, path in BUILT_IN.items() if before[path] != after[path]}
    assert changed == {kind for kind, path in BUILT_IN.items() if "denoise.references" in path}


OUTSIDE = {
    "mine/__init__.py": "",
    "mine/net.py": "from bumpscope.seeding import derived_seed\nfrom .parts import layer\n\nnet = layer\n",
    "mine/parts.py": "def layer():\n    return 1\n",
    "mine/other.py": "def other():\n    return 1\n",
    "theirs.py": "def theirs():\n    return 1\n",
}


def test_code_from_elsewhere_is_that_of_its_package_as_far_as_it_is_imported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def found(**changes):
        for file, text in OUTSIDE.items():
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).write_text(text + changes.get(Path(file).stem, ""))
        code_fingerprint.cache_clear()
        return code_fingerprint("mine.net:net")

    usual = found()
    assert found(other="CHANGED = 1\n") == found(theirs="CHANGED = 1\n") == found(net="# A comment.\n") == usual
    assert len({usual, found(net="CHANGED = 1\n"), found(parts="CHANGED = 1\n"), found(__init__="CHANGED = 1\n")}) == 4
    assert "mine" not in sys.modules  # it was read, not run
    with pytest.raises(FileNotFoundError, match=r"mine\.nets"):
        code_fingerprint("mine.nets:net")


def test_an_import_swapped_for_another_changes_what_uses_it(copy):
    (copy.package / "worlds/others.py").write_text("def derived_seed(*parts):\n    return 0\n")
    copy.replace("commands/topology.py", "from bumpscope.seeding import", "from bumpscope.worlds.others import")
    assert copy.changed() == {"commands.topology"}


def test_modules_that_move_change_nothing(copy):
    moved = {"denoise.unet": "worlds.attention", "measure.alignment": "probe.basis", "seeding": "config.seeds"}
    for old, new in moved.items():
        for part in (old, new):
            assert "." not in part or (copy.package / part.split(".")[0]).is_dir()
        (copy.package / f"{old.replace('.', '/')}.py").rename(copy.package / f"{new.replace('.', '/')}.py")
    for path in copy.package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for old, new in moved.items():
            text = text.replace(f"from bumpscope.{old} import", f"from bumpscope.{new} import")
        path.write_text(text, encoding="utf-8")
    assert copy.changed() == set()


@pytest.mark.parametrize("name", FIGURES[:1] + [pytest.param(name, marks=pytest.mark.slow) for name in FIGURES[8::8]])
def test_an_edit_of_a_figure_changes_that_figure_only(copy, name):
    copy.edit(f"show/figures/{name}.py", lambda text: f"{text}\nEDITED = True\n")
    assert copy.changed() == {f"show.figures.{name}"}


def test_an_edit_of_the_figures_style_changes_no_table(copy):
    copy.edit("show/style.py", lambda text: f"{text}\nEDITED = True\n")
    found = copy.changed()
    assert {f"show.figures.{name}" for name in FIGURES} <= found
    assert not found & {f"commands.{name}" for name in COMMANDS if declared(f"commands.{name}", "WRITES")}


def test_a_column_changes_only_the_steps_that_declare_its_table(copy):
    old = "training images drawn so far"
    copy.replace("store/schemas.py", old, rf"{old}\nextra | float | px | new")
    users = {step for step in STEPS if "losses" in (*declared(step, "READS"), *declared(step, "WRITES"))}
    assert copy.changed() == users
    assert {"commands.train", "commands.metrics"} <= users
    assert "commands.generate" not in users


def test_a_new_key_of_the_analysis_changes_nothing_by_itself(copy):
    copy.edit(
        "config/analysis.py", lambda text: f"{text.rstrip()}\n    new: float = Field(1.0, description='a number')\n"
    )
    assert copy.changed() == set()


def test_sections_that_do_not_count_hold_no_more_than_keys():
    for module in provenance.SECTIONS:
        assert closure(module) <= provenance.SECTIONS | {"config.lattice"}


def test_what_a_column_says_changes_nothing(copy):
    copy.replace("store/schemas.py", "training images drawn so far", "images drawn so far")
    assert copy.changed() == set()

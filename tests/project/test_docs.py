"""Every code block and command in README.md and docs/ works.

- ``python`` and ``sql``: run against the finished tiny run, linked as ``results``. Blocks of a page share their names;
  ``NAMES`` maps names of the default experiment to the tiny one. No result may be empty.
- ``yaml``: a valid configuration, or a profile with Snakemake's options.
- ``bash``: each command once; ``snakemake`` and ``make`` with ``--dry-run``. Long scripts (``MEASURING``) are only
  checked for their options; ``NOT_RUN`` says why other commands are skipped.
- ``diff``, and blocks whose first line is a comment with a path: used by the tests of what they describe.
"""

import ast
import html.parser
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
import yaml
from snakemake.cli import get_argument_parser

from bumpscope.config.experiment import Config
from bumpscope.config.loading import load
from bumpscope.store.results import Results
from dry_runs import dry_run
from fenced_blocks import PAGES, ROOT, Block, Command, blocks, commands, write_blocks
from workflow import copy_project, planned, snakemake

NAMES = {"balanced": "plane", "1200": "60", "halved3": "down3", "39": "166"}
KINDS = {"python", "sql", "yaml", "bash", "diff"}
MEASURING = ("benchmarks/", "validation/", "tests/")
NOT_RUN = {
    "source": "the tests run in an environment already",
    "conda": "no conda here; test_environment compares its file with the lock",
    "nvidia-smi": "comes with a GPU's driver",
    "benchmarks/gpu.sh": "needs a GPU; test_gpu_benchmark runs it at small sizes",
    "sbatch": "needs a cluster; tried on the one of tests/support/slurm_cluster.py",
    "apptainer": "not installed here; test_environment reads its recipe",
    "docker": "not installed here; test_environment reads its recipe",
    "snakemake --sdm": "needs Apptainer or conda; test_surroundings runs jobs with a stand-in for Apptainer",
    "snakemake --unlock": "there is no lock to remove; the answer was tried on a killed run",
    ".venv/bin/pip": "downloads packages",
    ".venv/bin/pytest": "runs these tests",
}
# Exit statuses that are not errors.
ANSWERS = {"fuser": (0, 1)}


@pytest.fixture(scope="module")
def place(experiment: tuple[Path, float], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the finished run in `results`, the files that pages describe, and a git history."""
    copy = copy_project(tmp_path_factory.mktemp("pages"))
    (copy / "results").symlink_to(experiment[0] / "results")
    shutil.copytree(ROOT / "validation", copy / "validation", ignore=shutil.ignore_patterns("results", "__pycache__"))
    for block in blocks("yaml", "python"):
        if block.file:
            (copy / block.file).parent.mkdir(parents=True, exist_ok=True)
            (copy / block.file).write_text(block.text, encoding="utf-8")
    identity = ("-c", "user.name=t", "-c", "user.email=t@t")
    for words in (("init", "-q"), ("add", "src"), ("commit", "-qm", "one"), ("update-ref", "ORIG_HEAD", "HEAD")):
        subprocess.run(["git", *identity, *words], cwd=copy, check=True)
    return copy


def translated(text: str) -> str:
    for ours, tiny in NAMES.items():
        text = re.sub(rf"\b{ours}\b", tiny, text)
    return text


@pytest.mark.parametrize("block", blocks(), ids=str)
def test_a_block_has_a_known_language(block: Block) -> None:
    assert block.kind in KINDS, block.kind


# Python and SQL


def _check(value: Any, where: str) -> None:
    if isinstance(value, (pd.DataFrame, pd.Series, np.ndarray, dict)):
        assert len(value), f"{where}: empty"


def run_python(block: Block, names: dict[str, Any]) -> None:
    """Run a block and check the value of each expression and of each name."""
    source = translated(block.text)
    tree = ast.parse(source)
    for statement in tree.body:
        where = f"{block.page}:{block.line + statement.lineno - 1}"
        if isinstance(statement, ast.Expr):
            code = compile(ast.Expression(statement.value), where, "eval")
            _check(eval(code, names), where)
        else:
            exec(compile(ast.Module([statement], []), where, "exec"), names)
    for name, value in names.items():
        _check(value, f"{block}: {name}")


def pages_with(kind: str) -> list[str]:
    return sorted({block.page for block in blocks(kind) if not block.file})


@pytest.mark.parametrize("page", pages_with("python"))
def test_python_on_a_page_runs(page: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    names: dict[str, Any] = {"__name__": "page"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for block in blocks("python"):
            if block.page == page and not block.file:
                run_python(block, names)


@pytest.mark.parametrize("page", pages_with("sql"))
def test_sql_on_a_page_runs(page: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    connection = duckdb.connect()
    for block in blocks("sql"):
        if block.page == page:
            statements = [text for text in translated(block.text).split(";") if text.strip()]
            results = [connection.sql(text) for text in statements]
            assert len(results[-1].df()), str(block)


def test_duckdb_sees_the_rows_that_the_package_sees(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    connection = duckdb.connect()
    views = [text for block in blocks("sql") for text in block.text.split(";") if "CREATE" in text]
    for view in views:
        connection.sql(view)
    theirs = connection.sql("SELECT dataset, seed, step, sample, outcome FROM behaviour ORDER BY ALL").df()
    ours = Results("results").table("behaviour", ["step", "sample", "outcome"]).drop(columns="run")
    ours = ours.sort_values(["dataset", "seed", "step", "sample"])
    pd.testing.assert_frame_equal(theirs, ours.reset_index(drop=True), check_dtype=False)


# YAML


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_yaml_on_a_page_is_a_configuration_or_a_profile(block: Block) -> None:
    plain = yaml.safe_load(block.text)
    if plain.keys() <= Config.model_fields.keys():
        assert list(load(ROOT / "config.yaml", plain).runs())
    else:
        options = {word for action in get_argument_parser()._actions for word in action.option_strings}
        assert {f"--{key}" for key in plain} <= options


# Bash


def _is_not_run(text: str) -> bool:
    return any(text == known or text.startswith(f"{known} ") for known in NOT_RUN)


def test_skipped_commands_are_on_a_page() -> None:
    assert not [known for known in NOT_RUN if not any(f"{c.text} ".startswith(f"{known} ") for c in commands())]


def prepared(text: str) -> str:
    """A command as the test runs it."""
    folder = Path(sys.executable).parent
    text = re.sub(r"<[^>]+>", "PLACEHOLDER", text).split(" | ")[0]
    text = re.sub(r"\bresults/\S+", lambda match: translated(match[0]), text)
    text = text.replace(".venv/bin/", f"{shlex.quote(str(folder))}/")
    return re.sub(r"^(snakemake|make)\b", r"\1 --dry-run", text)


def measuring(text: str) -> tuple[Path, list[str]] | None:
    """Script and options of a command that takes long."""
    words = text.split()
    if words[0].endswith("python") and words[1].startswith(MEASURING):
        return ROOT / words[1], [word for word in words[2:] if word.startswith("--")]
    return None


# Commands that are the same as dry runs are run once.
RUN_HERE = {
    prepared(command.text).replace(" -n", ""): command for command in commands() if not _is_not_run(command.text)
}


# Dry runs of many runs; that of one's own arm, which lays two presets over each other, stays. Others plan what a
# command that stays plans.
OF_PRESETS = ("imbalance", "factorise", "factorise_more", "factorise_random", "factorise_long", "percolation")
OF_PRESETS += ("sized_arms", "factorised", "gated")
MANY_RUNS = tuple(f"{name}.yaml --config" for name in OF_PRESETS)
PLANNED_ALIKE = (
    "resources gpu=1", "output=DIR", "training={steps: 1500}", "sensitivity --cores 2", "paper.yaml",
    "snakemake figures", "--forcerun figure", '-c "import torch; print(torch.__version__, torch.cuda',
)  # fmt: skip
LEFT_OUT = MANY_RUNS + PLANNED_ALIKE
CASES = [
    pytest.param(command, marks=pytest.mark.slow, id=str(command)) if any(one in command.text for one in LEFT_OUT)
    else pytest.param(command, id=str(command))
    for command in RUN_HERE.values()
]  # fmt: skip


@pytest.mark.parametrize("command", CASES)
def test_a_command_on_a_page_runs(command: Command, place: Path) -> None:
    if script := measuring(command.text):
        path, options = script
        source = path.read_text(encoding="utf-8")
        assert all(f'"{option}"' in source or f"{option}" in source for option in options), command.place
        return
    program = command.text.split()[0]
    folder = ROOT if program == "make" else place
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": search, "PYTHONPATH": str(place / "src")}
    text = prepared(command.text)
    if program == "snakemake":
        done = dry_run(shlex.split(text)[2:], folder, environment)
    else:
        done = subprocess.run(
            ["bash", "-c", text], cwd=folder, capture_output=True, text=True, env=environment, check=False
        )
    assert done.returncode in ANSWERS.get(program, (0,)), command.place + "\n" + done.stdout + done.stderr


# What the pages say of the workflow


@pytest.mark.slow  # half a minute
def test_a_denoiser_of_ones_own_takes_a_file_and_a_key(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "own")
    write_blocks(project, "my_package/net.py")
    file = project / "my_package/net.py"
    network = file.read_text(encoding="utf-8")
    preset = tmp_path / "own.yaml"
    tiny = (project / "workflow/presets/tiny.yaml").read_text(encoding="utf-8")
    preset.write_text(tiny + 'denoiser: {kind: "my_package.net:MLP", width: 48}\n', encoding="utf-8")
    run = "results/runs/plane/seed=0"
    done = snakemake(project, f"{run}/phases.parquet", f"{run}/effects.parquet", preset=preset)
    assert done.returncode == 0, done.stdout + done.stderr
    vectors = pd.read_parquet(project / run / "latents.parquet").vector
    assert set(vectors.str.len()) == {48}
    # Editing the file makes its trainings and probes stale, and nothing that does not run it.
    assert planned(project, f"{run}/effects.parquet", preset=preset) == {}
    file.write_text(network + "\nCHANGED = True\n", encoding="utf-8")
    assert planned(project, f"{run}/effects.parquet", preset=preset) == {"effects": 1, "train": 1}
    file.write_text(network.replace("view_as(x)", "sum()"), encoding="utf-8")
    wrong = snakemake(project, "--dry-run", preset=preset)
    assert wrong.returncode != 0
    assert "denoiser.kind: the prediction of my_package.net:MLP is []" in wrong.stdout + wrong.stderr


@pytest.mark.slow  # a minute each
@pytest.mark.parametrize("kind", ["sized", "sized_xy", "my_package.shapes:Squares"])
def test_another_world_runs_through_the_whole_workflow(kind: str, tmp_path: Path) -> None:
    project = copy_project(tmp_path / "own")
    write_blocks(project, "my_package/shapes.py")
    preset = tmp_path / "sized.yaml"
    text = (ROOT / "tests/support/sized.yaml").read_text(encoding="utf-8")
    if kind == "sized_xy":
        text = text.replace("kind: sized,", "kind: sized_xy,").replace("    dx: 2.0\n", "    dx: 2.0\n    dy: 2.0\n")
    elif kind != "sized":
        text = text.replace("world: {kind: sized, sizes: 4, ratio: 3.0}", f'world: {{kind: "{kind}"}}')
        text = text.replace("    margin: 3.0\n    dx: 2.0\n", "")
    preset.write_text(text, encoding="utf-8")
    done = snakemake(project, preset=preset)
    assert done.returncode == 0, done.stdout + done.stderr
    assert planned(project, preset=preset) == {}
    runs = Results(project / "results")
    (name,) = set(runs["sized-seed0"].names) - {"x", "y"}
    assert {f"mu_{name}", name, "misses"} <= set(runs.table("behaviour"))
    assert {name, f"x_{name}"} <= set(runs.table("metrics")["factor"].dropna())
    assert (project / "results/report.html").exists()


def test_activations_may_be_deleted_and_come_again_when_they_are_needed(
    experiment: tuple[Path, float], tmp_path: Path
) -> None:
    project = experiment[0]
    path = project / "results/runs/plane/seed=0/latents.parquet"
    shutil.move(path, tmp_path / "kept.parquet")
    try:
        assert planned(project) == {}
        plan = planned(project, "--forcerun", "geometry")
        assert plan["generate"] == 1 and "train" not in plan
    finally:
        shutil.move(tmp_path / "kept.parquet", path)
    assert planned(project) == {}


# Glossary: columns whose values it explains.
EXPLAINED = {
    "behaviour": ["split", "outcome"],
    "latents": ["layer", "noise"],
    "geometry": ["space", "label"],
    "phases": ["latent_phase", "behaviour_phase", "order"],
    "effects": ["weights"],
    "runs": ["boundary", "polarity", "skew_axis", "prediction", "reference", "device"],
    "coupling": ["kind", "reference", "measure", "verdict", "simultaneous"],
    "claims": ["claim", "verdict"],
}


@pytest.mark.parametrize("table", EXPLAINED)
def test_the_glossary_explains_values_of_columns(table: str, place: Path) -> None:
    text = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"`([^`]+)`", text))
    frame = Results(place / "results").table(table, EXPLAINED[table])
    for column in EXPLAINED[table]:
        assert set(frame[column].dropna()) <= explained, column


# The site


class Fetched(html.parser.HTMLParser):
    """Addresses that a page loads when opened."""

    def __init__(self, text: str):
        super().__init__()
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        for name in ("src", "srcset", "data") + (("href",) if tag == "link" else ()):
            if known.get(name):
                self.addresses.append(str(known[name]))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    yield target


def test_the_site_has_every_page_and_fetches_nothing_from_elsewhere(site: Path) -> None:
    for page in PAGES[1:]:
        assert (site / f"{page.stem}.html").exists()
    for page in site.rglob("*.html"):
        addresses = Fetched(page.read_text(encoding="utf-8")).addresses
        assert addresses
        assert not [address for address in addresses if re.match(r"(?:\w+:)?//", address)], page
    for style in site.rglob("*.css"):
        assert not re.findall(r"url\([\"']?(?:https?:)?//|@import [\"']?https?:", style.read_text(encoding="utf-8")), (
            style
        )


def test_every_page_can_be_reached_from_the_first() -> None:
    text = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
    reached, waiting = set(), ["index.md"]
    while waiting:
        name = waiting.pop()
        if name not in reached and name in text:
            reached.add(name)
            waiting += re.findall(r"\]\(([\w-]+\.md)", text[name])
    assert reached == {page.name for page in PAGES[1:]}


def test_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#\s]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(links) > 10
    assert not [link for link in links if "://" not in link and not (ROOT / link).exists()]

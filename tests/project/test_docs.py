"""Every block of code and every command on the pages for readers does what the page says.

- ``python``: run against a finished run of the tiny preset, which lies in ``results``; the blocks of a page share their
  names. The default experiment's names are put into the tiny one's (``NAMES``). No frame may come out empty.
- ``sql``: run by DuckDB, in the same place.
- ``yaml``: laid over the default configuration, or, for a profile, compared with Snakemake's options.
- ``bash``: each command once. ``snakemake`` gets ``--dry-run``, ``make`` the same; ``.venv/bin`` is where this Python
  is; below ``results/`` names are put as in ``NAMES``. Scripts that measure for long are looked at and not run
  (``MEASURING``), and what cannot be run here says why (``NOT_RUN``).
- ``diff`` and files (a block whose first line is a comment with a path) are put in place by the test of what they do.
"""

import ast
import html.parser
import os
import re
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

from bumpscope.config import experiment as config
from bumpscope.config.settings import IMAGE_LAYER, LAYERS
from bumpscope.judge import verdicts
from bumpscope.judge.claims import data as claims_of_data
from bumpscope.judge.claims import phases as claims_of_phases
from bumpscope.judge.coupling import FEWEST_SEEDS
from bumpscope.store.experiment import Experiment
from bumpscope.store.schemas import TABLES
from fenced_blocks import PAGES, ROOT, Block, Command, blocks, commands
from workflow import copy_project, planned, snakemake

# Together with the tests that share the finished run.
pytestmark = pytest.mark.xdist_group("workflow")
NAMES = {"balanced": "plane", "1600": "60", "239": "166"}
KINDS = {"python", "sql", "yaml", "bash", "diff"}
# Blocks that are no code.
OUTPUT = {"docs/findings.md": "what `snakemake sensitivity` printed"}
MEASURING = ("benchmarks/", "validation/", "tests/")
NOT_RUN = {
    "source": "the tests run in an environment already",
    "conda": "no conda here; test_environment compares its file with the lock",
    "nvidia-smi": "comes with a GPU's driver",
    "squeue": "needs a cluster; test_slurm runs it on one",
    "snakemake --unlock": "there is no lock to remove; the answer was tried on a killed run",
    ".venv/bin/pip": "downloads packages",
    ".venv/bin/pytest": "runs these tests",
}
# Programs whose status says what they found.
ANSWERS = {"fuser": (0, 1)}


@pytest.fixture(scope="module")
def place(experiment: tuple[Path, float], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the finished run in `results`, the files that pages tell to write, and a history."""
    copy = copy_project(tmp_path_factory.mktemp("pages"))
    (copy / "results").symlink_to(experiment[0] / "results")
    for block in blocks("yaml"):
        if block.file:
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
def test_every_block_is_of_a_kind_that_is_tested(block: Block) -> None:
    assert block.kind in KINDS or (not block.kind and block.page in OUTPUT), block.kind


# Python and SQL


def _check(value: Any, where: str) -> None:
    if isinstance(value, (pd.DataFrame, pd.Series, np.ndarray, dict)):
        assert len(value), f"{where}: nothing came out"


def run_python(block: Block, names: dict[str, Any]) -> None:
    """Run a block; every expression on a line of its own, and every name, is looked at."""
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
    ours = Experiment("results").table("behaviour", ["step", "sample", "outcome"]).drop(columns="run")
    ours = ours.astype({"dataset": str, "seed": int}).sort_values(["dataset", "seed", "step", "sample"])
    pd.testing.assert_frame_equal(theirs, ours.reset_index(drop=True), check_dtype=False)


# YAML


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_yaml_on_a_page_is_a_configuration_or_a_profile(block: Block) -> None:
    plain = yaml.safe_load(block.text)
    if plain.keys() <= config.Config.model_fields.keys():
        assert list(config.load(ROOT / "config.yaml", plain).runs())
    else:
        options = {word for action in get_argument_parser()._actions for word in action.option_strings}
        assert {f"--{key}" for key in plain} <= options


# Bash


def _is_not_run(text: str) -> bool:
    return any(text == known or text.startswith(f"{known} ") for known in NOT_RUN)


def test_what_is_not_run_is_on_a_page() -> None:
    assert not [known for known in NOT_RUN if not any(f"{c.text} ".startswith(f"{known} ") for c in commands())]


def prepared(text: str) -> str:
    """A command as it is run here."""
    folder = Path(sys.executable).parent
    text = re.sub(r"<[^>]+>", "PLACEHOLDER", text).split(" | ")[0]
    text = re.sub(r"\bresults/\S+", lambda match: translated(match[0]), text)
    text = text.replace(".venv/bin/", f"{folder}/")
    return re.sub(r"^(snakemake|make)\b", r"\1 --dry-run", text)


def measuring(text: str) -> tuple[Path, list[str]] | None:
    """The script of a command that measures for long, and its options."""
    words = text.split()
    if words[0].endswith("python") and words[1].startswith(MEASURING):
        return ROOT / words[1], [word for word in words[2:] if word.startswith("--")]
    return None


# A dry run of what is a dry run already is the same, and so is one whose output is only shown in part.
RUN_HERE = {
    prepared(command.text).replace(" -n", ""): command for command in commands() if not _is_not_run(command.text)
}


@pytest.mark.parametrize("command", RUN_HERE.values(), ids=str)
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
    done = subprocess.run(
        ["bash", "-c", prepared(command.text)], cwd=folder, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode in ANSWERS.get(program, (0,)), command.place + "\n" + done.stdout + done.stderr


# What the pages say of the workflow


def test_a_denoiser_of_ones_own_takes_a_file_and_one_line(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "own")
    of_page = [block for block in blocks() if block.page == "docs/extending.md"]
    (network,) = [block for block in of_page if block.kind == "python" and block.file]
    (change,) = [block for block in of_page if block.kind == "diff"]
    old, new = (line[1:] for line in change.text.splitlines())
    (project / network.file).write_text(network.text, encoding="utf-8")
    denoisers = project / "src/bumpscope/denoise/references.py"
    lines = denoisers.read_text(encoding="utf-8").splitlines()
    assert lines.count(old) == 1
    denoisers.write_text("\n".join(new if line == old else line for line in lines) + "\n", encoding="utf-8")
    run = "results/runs/plane/seed=0"
    done = snakemake(project, f"{run}/phases.parquet", f"{run}/effects.parquet")
    assert done.returncode == 0, done.stdout + done.stderr
    vectors = pd.read_parquet(project / run / "latents.parquet").vector
    assert set(vectors.str.len()) == {16 * 8}  # the width of its hidden layers and of no layer of the UNet
    # An edit of the file makes its trainings stale, like one of the project's own.
    with (project / network.file).open("a", encoding="utf-8") as file:
        file.write("\n# changed\n")
    assert planned(project, f"{run}/losses.parquet")["train"] == 1


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


# Claims and glossary


def test_every_claim_is_explained_in_the_words_of_its_rule() -> None:
    page = (ROOT / "docs/claims.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (C\d): .*?\n(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL))
    assert list(sections) == list(verdicts.STATEMENTS)
    for claim, text in sections.items():
        plain = " ".join(text.split())
        assert verdicts.STATEMENTS[claim] in plain
        assert verdicts.STATISTICS[claim] in plain
        for part in ("**Statistic**", "**Control**", "**Bound**"):
            assert part in text, (claim, part)


def test_the_bounds_of_the_claims_are_those_of_the_code() -> None:
    page = (ROOT / "docs/claims.md").read_text(encoding="utf-8")
    bounds = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", page, flags=re.MULTILINE))
    constants = vars(claims_of_phases) | vars(claims_of_data)
    numbers = {name for name, value in constants.items() if name.isupper() and isinstance(value, (int, float))}
    assert bounds.keys() == numbers
    for name, told in bounds.items():
        digits = len(told.partition(".")[2])
        assert round(constants[name], digits) == float(told), name
    assert claims_of_phases.share_p(FEWEST_SEEDS, FEWEST_SEEDS, "greater") <= claims_of_phases.SIGNIFICANCE
    assert claims_of_phases.share_p(FEWEST_SEEDS - 1, FEWEST_SEEDS, "greater") > claims_of_phases.SIGNIFICANCE


def defined() -> set[str]:
    """Values that the glossary explains."""
    return set(re.findall(r"`([^`]+)`", (ROOT / "docs/glossary.md").read_text(encoding="utf-8")))


# Text columns that hold names and sentences; the values of all others are few and mean something.
FREE_TEXT = ("run", "dataset", "path", "metric", "reason", "statement", "statistic", "level", "quantity", "subject")
FREE_TEXT += ("swapped", "null_x", "null_y", "matched")
FREE_TEXT += ("processor", "instructions", "gpu", "cuda", "system", "python", "numpy", "torch", "version", "code")


def enumerated() -> dict[tuple[str, str], list[str]]:
    """Values that the description of a text column lists: ``a, b or c``."""
    one = r"[\w?]+(?: \([^)]*\))?"
    found = {}
    for name, table in TABLES.items():
        for column in table.columns:
            if column.kind == "text" and column.name not in (*FREE_TEXT, "layer"):
                listed = re.search(rf"((?:{one}, )*{one}),? or ({one})(?=[:;,.]| where|$)", column.description)
                if listed:
                    values = re.sub(r" \([^)]*\)", "", f"{listed[1]}, {listed[2]}").split(", ")
                    found[name, column.name] = values
    return found


def test_the_glossary_explains_the_values_that_columns_may_have() -> None:
    lists = enumerated()
    assert lists["behaviour", "outcome"] == ["none", "multiple", "misplaced", "correct"]
    assert lists["phases", "latent_phase"] == ["A", "B", "C", "?"]
    assert lists["claims", "verdict"] == ["supported", "contradicted", "undetermined"]
    assert len(lists) > 20
    lists["latents", "layer"] = [*LAYERS, IMAGE_LAYER]
    missing = {where: [value for value in values if value not in defined()] for where, values in lists.items()}
    assert not {where: values for where, values in missing.items() if values}


def test_the_glossary_explains_the_values_that_columns_have(place: Path) -> None:
    runs = Experiment(place / "results")
    looked_at = 0
    for name in runs.tables:
        frame = runs.table(name)
        for column in TABLES[name].columns:
            if column.kind == "text" and column.name not in FREE_TEXT:
                values = set(frame[column.name].dropna())
                assert values <= defined(), (name, column.name, values - defined())
                looked_at += len(values)
    assert looked_at > 30


# The site


class Fetched(html.parser.HTMLParser):
    """What a page fetches when it is opened."""

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

"""The whole chain, run for real with the tiny preset, and what makes which of its steps stale."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from filelock import FileLock

from bumpscope.config.loading import load
from bumpscope.config.variants import readings
from bumpscope.judge.claims import modules
from bumpscope.judge.sensitivity import QUALIFIERS, Probing
from bumpscope.measure.as_read import UMAP_VERDICTS
from bumpscope.store.manifest import verify
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import read_metadata, read_table
from interrupted_runs import checksums, kill_and_restart
from whole_files import look
from workflow import command, jobs, planned, snakemake

SECONDS_FOR_TINY = 120
# Made by `snakemake sensitivity` alone.
OF_SENSITIVITY = {"sensitivity", "places", "varied_behaviour", "varied_geometry"}


def test_tiny_preset_ends_in_a_report_within_two_minutes_of_two_cores(experiment: tuple[Path, float]) -> None:
    project, seconds = experiment
    assert (project / "results/report.html").stat().st_size > 10_000
    # Core-seconds, since the tests beside this one take their share of the wall clock.
    assert seconds < 2 * SECONDS_FOR_TINY


# The tiny preset has neither an imbalanced dataset nor a design.
EMPTY = {"coupling", "arms", "combinations", "leaderboard"}


def test_every_table_of_the_contract_is_there_with_its_columns(project: Path) -> None:
    runs = read_table("runs", project / "results/runs.parquet")
    assert list(runs.run) == ["plane-seed0", "ring-seed0"]
    for name in TABLES.keys() - OF_SENSITIVITY:
        table = TABLES[name]
        places = [{"path": run.path, "dataset": run.dataset} for run in runs.itertuples()]
        for path in {project / "results" / table.path.format(**place) for place in places}:
            if path == project / "results/runs/ring/seed=0/interventions.parquet":
                # None are asked of it.
                assert not path.exists()
                continue
            # Reading checks every column's presence and type.
            frame = read_table(name, path)
            assert len(frame) or name in EMPTY, path
            assert read_metadata(path)["settings"], path


def test_report_needs_no_network_and_shows_every_figure(project: Path) -> None:
    page = (project / "results/report.html").read_text(encoding="utf-8")
    shown, absent = (set(re.findall(rf'<{tag} id="(\w+)"', page)) for tag in ("figure", "p"))
    assert shown | absent == {path.stem for path in (project / "results/figures").glob("*.png")}
    assert len(shown) >= 10 and page.count("data:image/png;base64,") == len(shown)
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*//[^"]*"', page)


def test_no_temporary_file_or_training_state_is_left(project: Path) -> None:
    results = project / "results"
    assert not list(results.rglob("*.part"))
    assert not list((results / ".state").glob("*/*"))


def test_the_same_command_again_does_nothing(project: Path) -> None:
    assert planned(project) == {}


def _preset(project: Path, change: Callable[[dict], None]) -> Path:
    preset = yaml.safe_load((project / "workflow/presets/tiny.yaml").read_text(encoding="utf-8"))
    change(preset)
    path = project / "changed.yaml"
    path.write_text(yaml.safe_dump(preset, sort_keys=False), encoding="utf-8")
    return path


AGGREGATION = {
    "runs",
    "metrics",
    "coupling",
    "leaderboard",
    "claims",
    "claims_as_csv",
    "figure",
    "animation",
    "explorer",
    "report",
    "all",
}
CONFIGURATION = {"configuration"}
JUDGED = AGGREGATION - {"runs"}
ANALYSIS = {"behaviour", "geometry", "phases"}
PROBED = ANALYSIS | {"generate", "topology"} | JUDGED
TRAINED = PROBED | AGGREGATION | {"train", "effects", "interventions"}


def _set(section: str, key: str, value: object) -> Callable[[dict], None]:
    def change(preset: dict) -> None:
        preset.setdefault(section, {})[key] = value

    return change


def _add_dataset(preset: dict) -> None:
    preset["datasets"]["extra"] = {"image_size": 16, "dx": 4.0, "dy": 4.0}


@pytest.mark.parametrize(
    ("change", "rules", "trainings"),
    [
        (_set("analysis", "tolerance", 0.5), ANALYSIS | JUDGED | {"interventions"}, 0),
        (_set("probe", "samples", 48), PROBED, 0),
        (_set("probe", "effect_timesteps", [300]), {"effects"} | JUDGED, 0),
        (_set("training", "learning_rate", 1.0e-3), TRAINED, 2),
    ],
)
def test_a_key_reruns_just_what_depends_on_it(
    project: Path, change: Callable[[dict], None], rules: set[str], trainings: int
) -> None:
    plan = planned(project, preset=_preset(project, change))
    assert set(plan) - CONFIGURATION == rules
    assert plan.get("train", 0) == trainings


@pytest.mark.parametrize(
    ("change", "trainings", "interventions"),
    [
        (lambda preset: preset.update(seeds=[0, 1]), 2, 1),
        (_add_dataset, 1, 0),
    ],
)
def test_a_seed_or_dataset_added_runs_only_its_own_runs(
    project: Path, change: Callable[[dict], None], trainings: int, interventions: int
) -> None:
    plan = planned(project, preset=_preset(project, change))
    for rule in ("train", "generate", "effects", "behaviour", "geometry", "topology", "phases"):
        assert plan.pop(rule) == trainings
    assert plan.pop("interventions", 0) == interventions
    plan.pop("dataset", None)
    assert set(plan) - CONFIGURATION == AGGREGATION


def test_a_cell_added_to_a_sweep_trains_only_itself_and_missing_controls(project: Path) -> None:
    def add_cell(preset: dict) -> None:
        common = {"image_size": 16, "sigma": 1.0, "margin": 2.0}
        preset["sweep"] = {"common": common, "spacings": {"dx": [2.0], "dy": [4.0]}, "controls": "both"}

    done = snakemake(project, "--dry-run", preset=_preset(project, add_cell))
    assert done.returncode == 0, done.stdout + done.stderr
    text = done.stdout + done.stderr
    # The cell, its mirror image, and of each spacing the null in x alone, in y alone and in both. The balanced lattice
    # at 2 px is there as `plane`; no square lattice has about as many images.
    added = ["dx12_dy2", "dx12_dy4", "dx2_dy12", "dx2_dy4", "dx4_dy12", "dx4_dy2", "dx4_dy4"]
    assert sorted(set(re.findall(r"Training (\w+) with seed 0", text))) == added
    plan = jobs(text)
    for rule in ("dataset", "train", "generate", "effects", "behaviour", "geometry", "topology", "phases"):
        assert plan.pop(rule) == len(added)
    assert set(plan) - CONFIGURATION == AGGREGATION
    assert "No control with as many images, to within 2 %, for dx2_dy4 (18 images; nearest 16)." in text


def test_command_line_keys_are_laid_over_a_preset_as_a_preset_over_the_default(project: Path) -> None:
    cells = "sweep={spacings: {dx: [2.0], dy: [4.0]}, controls: false}"
    done = snakemake(project, "--dry-run", "--config", "output=cells", cells)
    assert done.returncode == 0, done.stdout + done.stderr
    text = done.stdout + done.stderr
    assert set(re.findall(r"Training (\w+) with seed 0", text)) == {"dx2_dy4"}
    assert "bumpscope: 1 runs of 1 datasets" in text


def test_a_dataset_override_reruns_only_that_dataset(project: Path) -> None:
    def change(preset: dict) -> None:
        preset["datasets"]["ring"]["training"] = {"learning_rate": 1.0e-3}

    assert planned(project, preset=_preset(project, change))["train"] == 1


@pytest.mark.parametrize(
    ("file", "rules"),
    [
        ("src/bumpscope/measure/components.py", {"geometry", "topology", "phases", "interventions"} | JUDGED),
        ("src/bumpscope/measure/topology.py", {"topology", "phases"} | JUDGED),
        ("src/bumpscope/worlds/behaviour.py", ANALYSIS | JUDGED | {"interventions"}),
        ("src/bumpscope/judge/claims/__init__.py", {"claims", "claims_as_csv", "report", "all"}),
        ("src/bumpscope/show/animation.py", {"animation", "all"}),
        ("src/bumpscope/denoise/trainer.py", TRAINED),
        ("src/bumpscope/show/report/page.py", {"report", "all"}),
    ],
)
def test_an_edit_of_code_reruns_just_what_uses_it(project: Path, file: str, rules: set[str]) -> None:
    path = project / file
    before = path.read_bytes()
    try:
        path.write_bytes(before + b"\nCHANGED = True\n")
        assert set(planned(project)) == rules
    finally:
        path.write_bytes(before)


def test_an_edit_of_one_figure_redraws_only_that_figure(project: Path) -> None:
    path = project / "src/bumpscope/show/figures/loss.py"
    before = path.read_bytes()
    try:
        path.write_bytes(before + b"\nCHANGED = True\n")
        assert planned(project) == {"figure": 1, "report": 1, "all": 1}
    finally:
        path.write_bytes(before)


def test_comments_docstrings_and_the_version_rerun_nothing(project: Path) -> None:
    before = {path: path.read_text(encoding="utf-8") for path in (project / "src/bumpscope").rglob("*.py")}
    try:
        for path, text in before.items():
            reworded = text.replace('"""', '"""Reworded. ', 1).replace('__version__ = "', '__version__ = "9')
            path.write_text(f"{reworded}\n# A comment.\n", encoding="utf-8")
        assert planned(project) == {}
    finally:
        for path, text in before.items():
            path.write_text(text, encoding="utf-8")


def test_a_folder_that_is_copied_keeps_its_checksums_and_reruns_nothing(project: Path) -> None:
    shutil.copytree(project / "results", project / "copied")
    try:
        assert look(project / "copied").broken == []
        verify(project / "copied/runs/plane/seed=0/losses.parquet")
        records = {path.name for path in (project / "copied/runs/plane/seed=0/.sha256").iterdir()}
        assert {"checkpoints.sha256", "losses.parquet.sha256", "latents.parquet.sha256"} <= records
        assert planned(project, "--config", "output=copied") == {}
    finally:
        shutil.rmtree(project / "copied")


@pytest.mark.parametrize("gpus", [0, 2])
def test_threads_memory_partition_and_gpus_rerun_nothing(project: Path, gpus: int) -> None:
    threads = ("--cores", "1", "--set-threads", "train=2", "--default-resources", "slurm_partition=long")
    resources = ("--resources", f"gpu={gpus}", "--set-resources", "train:mem_mb=5000", "train:runtime=5")
    assert planned(project, *threads, *resources, "--config", "device=cpu") == {}


def test_touched_sources_and_a_changed_readme_rerun_nothing(project: Path) -> None:
    for path in (project / "src").rglob("*.py"):
        path.touch()
    (project / "README.md").write_text("changed", encoding="utf-8")
    assert planned(project) == {}


def test_output_goes_where_it_is_told(project: Path) -> None:
    done = snakemake(project, "--dry-run", "--config", "output=elsewhere")
    assert done.returncode == 0
    assert "elsewhere/report.html" in done.stdout + done.stderr
    assert "results/report.html" not in done.stdout + done.stderr


def test_the_configuration_in_force_is_written_also_where_a_path_has_spaces(project: Path) -> None:
    cells = "sweep={spacings: {dx: [2.0], dy: [4.0]}, controls: false}"
    done = snakemake(project, "out put/config.json", "--config", "output=out put", cells)
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads((project / "out put/config.json").read_text(encoding="utf-8"))
    assert written["sweep"]["spacings"] == {"dx": [2.0], "dy": [4.0]}
    assert written["datasets"] == {} and "output" not in written


def test_all_faults_of_a_config_are_told_before_any_job(project: Path) -> None:
    path = project / "wrong.yaml"
    path.write_text("training: {steps: none, learnin_rate: 1.0}\nseeds: []\n", encoding="utf-8")
    done = snakemake(project, preset=path)
    text = done.stdout + done.stderr
    assert done.returncode != 0
    for line in ("training.steps: holds", "training.learnin_rate: unknown key", "seeds: holds []"):
        assert line in text
    assert "Traceback" not in text
    assert "Job stats" not in text


@pytest.mark.slow  # two minutes
def test_killed_at_random_moments_every_table_is_what_an_undisturbed_run_gives(project: Path) -> None:
    moments = [random.Random(7).uniform(6, 30) for _ in range(3)]
    assert kill_and_restart(project, "killed", moments) >= 1
    try:
        for pattern in ("*.parquet", "*.safetensors"):
            undisturbed = checksums(project / "results", pattern)
            assert checksums(project / "killed", pattern) == undisturbed
            assert len(undisturbed) > 5
    finally:
        shutil.rmtree(project / "killed")


def test_steps_end_with_a_killed_workflow_and_the_same_command_goes_on(project: Path) -> None:
    # The others are killed by the slow tests.
    files = [f"runs/{run}/seed=0/losses.parquet" for run in ("plane", "ring")]
    wanted = (*(f"orphans/{file}" for file in files), "--config", "output=orphans")
    process = subprocess.Popen(command(*wanted), cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    trained = [project / f"orphans/.state/{run}-seed0" for run in ("plane", "ring")]
    try:
        _wait_for(lambda: any(list(folder.glob("*/step=0.safetensors")) for folder in trained))
        # Only Snakemake itself dies; the trainings that it started notice.
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        _wait_for(lambda: not _processes_of("output=orphans", "orphans/logs"))
        done = snakemake(project, *wanted)
        assert done.returncode == 0, done.stdout + done.stderr
        made, whole = checksums(project / "orphans"), checksums(project / "results")
        # States are kept until a whole workflow has ended.
        made = {name: checksum for name, checksum in made.items() if not name.startswith(".state")}
        assert set(files) < set(made) and made == {name: whole[name] for name in made}
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(project / "orphans", ignore_errors=True)


def _processes_of(*words: str) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in listed if any(word in line for word in words)]


def _wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


def test_a_second_workflow_in_the_same_folder_is_refused_in_one_line(project: Path) -> None:
    with FileLock(project / "results/.lock"):
        done = snakemake(project, "--force", "configuration")
    assert done.returncode != 0
    assert "results: another workflow is running in this folder" in done.stdout + done.stderr


def test_datasets_keep_the_order_of_the_configuration(project: Path) -> None:
    def reorder(preset: dict) -> None:
        preset["datasets"] = {"zebra": {"dx": 4.0, "dy": 4.0}, "apple": {"dx": 6.0, "dy": 6.0}}

    options = ("--dry-run", "--printshellcmds", "--config", "output=order")
    done = snakemake(project, "order/runs.parquet", *options, preset=_preset(project, reorder))
    assert re.search(r'runs --runs .*"zebra":.*"apple":', done.stdout + done.stderr)


@pytest.mark.slow  # half a minute
def test_a_shorter_training_leaves_no_checkpoint_of_the_longer_one(project: Path) -> None:
    def shorter(preset: dict) -> None:
        preset["datasets"].pop("ring")
        preset["datasets"]["plane"].pop("probe")
        preset["training"] |= {"steps": 20, "checkpoints": [0, 20]}
        preset["probe"]["checkpoints"] = [0, 20]

    def shortest(preset: dict) -> None:
        shorter(preset)
        preset["training"] |= {"steps": 10, "checkpoints": [0, 10]}
        preset["probe"]["checkpoints"] = [0, 10]

    for change, last in ((shorter, 20), (shortest, 10)):
        done = snakemake(project, "short/runs.parquet", "--config", "output=short", preset=_preset(project, change))
        assert done.returncode == 0, done.stdout + done.stderr
        found = {path.name for path in (project / "short/runs/plane/seed=0/checkpoints").iterdir()}
        assert found == {"step=0.safetensors", f"step={last}.safetensors"}
        assert list(read_table("runs", project / "short/runs.parquet").training_steps) == [last]


@pytest.mark.slow  # test_assignment compares the bytes without the workflow
def test_a_run_alone_equals_the_same_run_in_a_grid(project: Path) -> None:
    def alone(preset: dict) -> None:
        del preset["datasets"]["plane"]

    target = "alone/runs/ring/seed=0/losses.parquet"
    done = snakemake(project, target, "--config", "output=alone", preset=_preset(project, alone))
    assert done.returncode == 0, done.stdout + done.stderr
    for pattern in ("losses.parquet", "*.safetensors"):
        found = checksums(project / "alone/runs/ring", pattern)
        assert found
        assert found == checksums(project / "results/runs/ring", pattern)


@pytest.fixture(scope="module")
def varied(experiment: tuple[Path, float]) -> Iterator[tuple[Path, str]]:
    """The project once `snakemake sensitivity` has run in it, and what that printed."""
    project, _ = experiment
    done = snakemake(project, "sensitivity")
    assert done.returncode == 0, done.stdout + done.stderr
    yield project, done.stdout + done.stderr
    # Other tests compare the results with those of an experiment without it.
    shutil.rmtree(project / "results/sensitivity")
    for name in ("sensitivity.parquet", "places.parquet", "sensitivity.txt"):
        (project / "results" / name).unlink()


@pytest.mark.slow
def test_sensitivity_trains_nothing_and_prints_what_it_writes(varied: tuple[Path, str]) -> None:
    project, told = varied
    assert jobs(told) == {"vary": 4, "sensitivity": 1}
    text = (project / "results/sensitivity.txt").read_text(encoding="utf-8")
    assert text in told
    verdicts = read_table("sensitivity", project / "results/sensitivity.parquet")
    assert re.search(r"^\d+ of the \d+ verdicts whose numbers", text, flags=re.MULTILINE)
    assert len(verdicts) == 8 * len(modules())
    assert verdicts.groupby("factor")["level"].nunique().to_dict() == {
        "configured": 1, "tolerance": 1, "place": 3, "samples": 1, "sampler": 1, "weights": 1,
    }  # fmt: skip
    places = read_table("places", project / "results/places.parquet")
    assert places.groupby(["run", "step"]).size().to_dict() == {("plane-seed0", 0): 4, ("plane-seed0", 60): 4}
    for name in OF_SENSITIVITY:
        path = project / "results" / TABLES[name].path.format(variant="samples=32", path="runs/plane/seed=0")
        assert len(read_table(name, path))


@pytest.mark.slow
def test_read_as_configured_a_run_shows_exactly_what_it_shows_in_the_experiment(varied: tuple[Path, str]) -> None:
    results = varied[0] / "results"
    first = readings(load(varied[0] / "config.yaml", varied[0] / "workflow/presets/tiny.yaml")).readings[0]
    row = read_table("runs", results / "runs.parquet").set_index("run", drop=False).loc["plane-seed0"]
    folder = results / "sensitivity/configured/runs/plane/seed=0"
    tables = [read_table(f"varied_{name}", folder / f"{name}.parquet") for name in ("behaviour", "geometry")]
    metrics, phases = Probing(row.to_dict(), *tables).read(first)
    own = read_table("phases", results / "runs/plane/seed=0/phases.parquet")
    # A reading is of one place, and makes no UMAPs.
    own = own[own["judged"]].drop(columns=UMAP_VERDICTS).reset_index(drop=True)
    assert len(own) == 2
    pd.testing.assert_frame_equal(phases[own.columns], own)
    own = read_table("metrics", results / "metrics.parquet", filters=[("run", "==", "plane-seed0")])
    both = metrics.merge(own, on=["step", *QUALIFIERS], suffixes=("", "_own"))
    assert len(both) == len(metrics) > 150
    np.testing.assert_array_equal(both.value_own.to_numpy(), both.value.to_numpy())
    own = read_table("claims", results / "claims.parquet")
    judged = read_table("sensitivity", results / "sensitivity.parquet", filters=[("factor", "==", "configured")])
    shared = [name for name in own.columns if name in judged.columns]
    pd.testing.assert_frame_equal(judged[shared], own[shared])


@pytest.mark.slow
def test_another_level_reruns_just_what_it_needs(varied: tuple[Path, str]) -> None:
    project, _ = varied
    assert planned(project, "sensitivity") == {}
    assert planned(project, "sensitivity", preset=_preset(project, _set("sensitivity", "tolerances", [0.5, 3.0]))) == {
        "sensitivity": 1
    }
    more = _preset(project, _set("sensitivity", "samples", [32, 48]))
    assert planned(project, "sensitivity", preset=more) == {"vary": 1, "sensitivity": 1}
    assert planned(project, preset=more) == {}

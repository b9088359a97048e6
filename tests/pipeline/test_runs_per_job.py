"""Several runs a job in the real workflow, on two fake GPUs."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from interrupted_runs import checksums
from workflow import command, copy_project, jobs, planned, snakemake

# test_assignment and test_sharing have what jobs do without the workflow.
pytestmark = pytest.mark.slow

FAKE_GPUS = Path(__file__).parents[1] / "support" / "fake_gpus"
# Four runs of two shapes, trained in moments.
GRID = {
    "seeds": [0, 1],
    "datasets": {
        "small": {"image_size": 8, "sigma": 1.0, "margin": 2.0},
        "large": {
            "image_size": 16,
            "sigma": 1.0,
            "margin": 2.0,
            "dx": 2.0,
            "dy": 2.0,
            "model": {"attention_resolutions": [2]},
        },
    },
    "model": {"channel_multipliers": [1, 1, 1], "attention_resolutions": [1], "embedding_width": 8},
    "training": {"steps": 20, "batch_size": 4, "warmup_steps": 2, "checkpoints": [0, 20]},
    "probe": {
        **{"checkpoints": [0], "samples": 16, "sampling_steps": 2, "layers": ["down3"], "timesteps": [500]},
        **{"effect_timesteps": [450], "effect_samples": 32},
    },
}
SEEDS = (0, 1)


def targets(seeds=SEEDS) -> list[str]:
    return [f"results/runs/{dataset}/seed={seed}/losses.parquet" for dataset in GRID["datasets"] for seed in seeds]


def on_fake_gpus(project: Path, gpus: int, files: list[str], *more: str) -> None:
    """Make files with as many runs a job as there are planned ones for each GPU."""
    environment = os.environ | {"PYTHONPATH": str(FAKE_GPUS), "TMPDIR": str(project.parent)}
    words = command(*files, "--cores", "8", "--resources", f"gpu={gpus}", *more, preset="grid.yaml")
    done = subprocess.run(words, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, str]:
    """A project whose four runs were trained on two GPUs, and what was told."""
    project = copy_project(tmp_path_factory.mktemp("runs-per-job") / "project")
    (project / "grid.yaml").write_text(yaml.safe_dump(GRID), encoding="utf-8")
    on_fake_gpus(project, 2, targets())
    return project, told_by(project / "results")


def told_by(results: Path) -> str:
    logs = sorted((results / "logs/train").glob("*.log"))
    assert len(logs) == 4
    return "".join(path.read_text(encoding="utf-8") for path in logs)


def batches_of(told: str) -> list[list[str]]:
    return [batch.split(", ") for batch in re.findall(r"INFO (\S.*): training on cpu", told)]


def test_each_run_is_trained_once_by_jobs_that_train_runs_of_one_shape(trained):
    _, told = trained
    batches = batches_of(told)
    assert sorted(run for batch in batches for run in batch) == [
        f"{dataset}-seed{seed}" for dataset in ("large", "small") for seed in SEEDS
    ]
    assert max(map(len, batches)) > 1
    assert all(len({run.partition("-")[0] for run in batch}) == 1 for batch in batches)
    assert len(re.findall(r"step 20 of 20", told)) == 4


def test_with_as_many_gpus_as_runs_each_is_trained_by_its_own_job(trained):
    project, _ = trained
    words = [target.replace("results/", "each/") for target in targets()]
    on_fake_gpus(project, 4, words, "--config", "output=each")
    assert [len(batch) for batch in batches_of(told_by(project / "each"))] == [1, 1, 1, 1]


def test_no_two_jobs_hold_one_gpu_at_a_time(trained):
    _, told = trained
    held = set()
    for _, what, index in sorted(re.findall(r"(\S+ \S+) INFO (holds|gives back) fake GPU (\d)", told)):
        if what == "holds":
            assert index not in held
            held.add(index)
        else:
            held.remove(index)
    assert not held
    assert set(re.findall(r"holds fake GPU (\d)", told)) <= {"0", "1"}


def test_runs_trained_one_a_job_have_the_same_bytes(trained):
    project, _ = trained
    words = [target.replace("results/", "alone/") for target in targets(SEEDS[1:])]
    done = snakemake(project, *words, "--config", "output=alone", "device=cpu", preset="grid.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    found = checksums(project / "alone")
    assert len(found) >= 2 * 3 and found.items() <= checksums(project / "results").items()


def test_on_one_gpu_the_probes_of_a_run_are_made_by_its_first_job(trained):
    project, _ = trained
    tables = [project / f"results/runs/small/seed=0/{name}.parquet" for name in ("latents", "effects")]
    on_fake_gpus(project, 1, [str(path.relative_to(project)) for path in tables])
    logs = [project / f"results/logs/{name}/small-seed0.log" for name in ("generate", "effects")]
    told = sorted((path.read_text(encoding="utf-8") for path in logs), key=lambda text: "made along" in text)
    assert "was made beside another job" in told[0] and "holds fake GPU" not in told[0]
    assert told[1].count("made along on cpu") == 1 and "failed" not in told[1]
    assert all(path.exists() for path in tables)
    assert not [*(project / "results/.state").glob("*/generate"), *(project / "results/.state").glob("*/effects")]


@pytest.mark.parametrize("number", ["auto", "1", "8"])
def test_another_number_of_runs_a_job_reruns_nothing(trained, number):
    project, _ = trained
    assert planned(project, *targets(), "--config", f"runs_per_job={number}", preset="grid.yaml") == {}


def test_a_new_seed_trains_just_itself(trained):
    project, _ = trained
    (project / "more.yaml").write_text(yaml.safe_dump(GRID | {"seeds": [*SEEDS, 7]}), encoding="utf-8")
    wanted = targets((*SEEDS, 7))
    done = snakemake(project, "--dry-run", *wanted, preset="more.yaml")
    assert jobs(done.stdout + done.stderr) == {"train": 2}
    before = checksums(project / "results")
    done = snakemake(project, *wanted, "--config", "runs_per_job=8", "device=cpu", preset="more.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {name for name in checksums(project / "results") if name not in before} >= {
        f"runs/{dataset}/seed=7/losses.parquet" for dataset in GRID["datasets"]
    }
    logs = (project / "results/logs/train").glob("*-seed7.log")
    told = "".join(path.read_text(encoding="utf-8") for path in logs)
    assert sorted(re.findall(r"INFO (\S.*): training on cpu", told)) == ["large-seed7", "small-seed7"]

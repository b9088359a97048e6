"""The workflow on a real SLURM: it ends, within its GPUs, and nothing that happens to a job is lost."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from debian import Unavailable
from fenced_blocks import ROOT, commands
from interrupted_runs import checksums
from slurm_cluster import Cluster, Record, obstacle
from slurm_runs import (
    FIRST_STATE,
    PRESET,
    RUNS,
    Submitted,
    hit_limit_and_cancel,
    lose_the_node_and_the_workflow,
    most_at_once,
    resumed,
    training_name,
)
from workflow import copy_project, snakemake

if reason := obstacle():
    # Here, so that the summary has one line and not one for each test.
    pytest.skip(f"no test on SLURM: {reason}", allow_module_level=True)
# The disturbed workflow takes five minutes, most of them of waiting for the scheduler.
pytestmark = [pytest.mark.slow, pytest.mark.slurm]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    one = Cluster()
    try:
        one.__enter__()
    except Unavailable as reason:
        pytest.skip(f"no test on SLURM: {reason}")
    yield one
    one.__exit__()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("slurm"))


@pytest.fixture(scope="module")
def story(cluster: Cluster, project: Path) -> tuple[Submitted, dict[str, str], list[Record], dict[str, str]]:
    """A disturbed workflow that has ended, what befell which run, the scheduler's record, and the checksums of an
    undisturbed run without SLURM."""
    workflow, late, cancelled = hit_limit_and_cancel(cluster, project, "disturbed")
    with workflow.killed_if_this_fails():
        # While the other training waits for its limit.
        done = snakemake(project, "undisturbed/claims.parquet", "--config", "output=undisturbed", preset="cluster.yaml")
        assert done.returncode == 0, done.stdout + done.stderr
    workflow.end()
    return workflow, {"TIMEOUT": late, "CANCELLED": cancelled}, cluster.records(), checksums(project / "undisturbed")


def test_a_disturbed_workflow_ends_with_the_tables_of_an_undisturbed_one(story) -> None:
    workflow, _, _, undisturbed = story
    assert (workflow.results / "report.html").stat().st_size > 10_000
    assert len(undisturbed) > 20
    assert checksums(workflow.results) == undisturbed


def test_never_more_than_two_gpu_jobs_run_or_wait_at_once(story) -> None:
    records = story[2]
    assert sum(record.gpus for record in records) >= 3 * len(RUNS)
    assert most_at_once(records, "started") == 2
    assert most_at_once(records, "submitted") == 2


@pytest.mark.parametrize("state", ["TIMEOUT", "CANCELLED"])
def test_a_training_cut_off_is_retried_with_more_and_resumes(story, state: str) -> None:
    workflow, befell, records, _ = story
    run = befell[state]
    attempts = [record for record in records if record.name == training_name(run)]
    assert [record.state for record in attempts] == [state, "COMPLETED"]
    assert [record.megabytes for record in attempts] == [3000, 6000]
    # The limit that ran out was cut short while the job ran, so that nobody waits for hours.
    assert attempts[0].minutes == 240 if state == "CANCELLED" else attempts[0].minutes < 60
    assert attempts[1].minutes == 480
    assert resumed(workflow, run) == [FIRST_STATE]


@pytest.mark.parametrize("state", ["TIMEOUT", "CANCELLED"])
def test_the_error_names_the_logs_of_the_job_and_shows_them(story, state: str) -> None:
    workflow, befell, records, _ = story
    number = next(record.job for record in records if record.state == state)
    error = re.search(rf"Error in rule train:\n +message: SLURM-job '{number}'.*?external_jobid", workflow.told(), re.S)
    assert error and f"'{state}'" in error[0]
    own, of_slurm = re.search(r"log: (\S+), (\S+) \(check", error[0]).groups()
    assert own == f"disturbed/logs/train/{befell[state]}.log"
    shown = workflow.told()[error.end() :]
    assert f"{befell[state]}: training on cpu" in shown.split(f"Logfile {own}:")[1].split("Logfile")[0]
    told = Path(of_slurm).read_text(encoding="utf-8")
    assert {"TIMEOUT": "DUE TO TIME LIMIT", "CANCELLED": "CANCELLED AT"}[state] in told
    # Only the workflow tries again, with more; not the Snakemake inside the job.
    assert "Trying to restart" not in told


def test_jobs_too_small_for_a_submission_share_one(story) -> None:
    workflow, _, records, _ = story
    small = [record for record in records if not record.gpus]
    assert [record.name.split("_")[1] for record in small] == ["datasets", "analysis", "summary"]
    steps = int(re.search(r"^total +(\d+)$", workflow.told(), re.M)[1])
    # One for each of train, generate and effects of a run, and the two that were tried again.
    assert len(records) == 3 * len(RUNS) + 2 + 3 < steps / 2


def test_a_lost_node_and_a_killed_workflow_change_no_table(cluster: Cluster, project: Path, story) -> None:
    before = len(cluster.records())
    workflow, steps = lose_the_node_and_the_workflow(cluster, project, "lost")
    workflow.end()
    assert steps == {run: [FIRST_STATE] for run in RUNS}
    assert checksums(workflow.results) == story[3]
    records = cluster.records()[before:]
    for run in RUNS:
        states = [record.state for record in records if record.name == training_name(run)]
        # SLURM itself queues such a job again.
        assert states[0] == "NODE_FAIL" and states[-1] == "COMPLETED", records
    assert most_at_once(records, "started") <= 2


def test_the_preset_of_these_tests_has_the_runs_that_they_name() -> None:
    assert re.findall(r"^  (\w+): \{image_size", PRESET, re.M) == [run.split("-")[0] for run in RUNS]


ON_A_PAGE = r"`((?:squeue|sinfo|scontrol show)\b[^`…]*)`"


def test_commands_of_the_pages_are_understood(cluster: Cluster) -> None:
    asked = {command.text for command in commands() if command.text.startswith("squeue")}
    asked |= set(re.findall(ON_A_PAGE, (ROOT / "docs/cluster.md").read_text(encoding="utf-8")))
    assert len(asked) >= 3
    for text in asked:
        done = subprocess.run(["bash", "-o", "pipefail", "-c", text], capture_output=True, text=True, check=False)
        assert done.returncode == 0 and done.stdout.strip(), text + done.stderr

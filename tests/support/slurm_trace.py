"""What SLURM saw of an undisturbed and two disturbed workflows, and their tables' checksums, into docs/slurm-trace.md.

    make slurm-trace        # as root, on Debian or Ubuntu; a quarter of an hour

The same scenes as in tests/pipeline/test_slurm.py, here with the undisturbed run on the cluster too.
"""

import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import torch

from debian import Unavailable
from interrupted_runs import checksums
from slurm_cluster import Cluster, Record, ask
from slurm_runs import (
    RUNS,
    Submitted,
    hit_limit_and_cancel,
    lose_the_node_and_the_workflow,
    most_at_once,
    resumed,
)
from workflow import ROOT, copy_project

PAGE = ROOT / "docs" / "slurm-trace.md"
INTRODUCTION = """\
# What SLURM saw

Written by `make slurm-trace`, not by hand: the workflow three times on a real SLURM of one node with two
fake GPUs (`tests/support/slurm_cluster.py`), with two small trainings. What is told of jobs is the scheduler's own
record of every attempt that ended. `make test` plays the second of the scenes and compares its tables.
"""
LATE = """\
Both trainings were made to hang after their first state. One of them then reached its time limit, which was cut short
while it ran; the other was cancelled with `scancel`."""
LOST = """\
Both trainings were made to hang after their first state. Everything on the node was then killed with `kill -9`, slurmd
and jobs, and slurmd started again. When a training had resumed, Snakemake itself was killed with `kill -9`, which
leaves its jobs to run, and the same command given again."""


def attempts(records: list[Record]) -> str:
    """The scheduler's record as a table, times in seconds since the first submission."""
    first = min(record.submitted for record in records)

    def seconds(moment: object) -> float:
        return int((moment - first).total_seconds())

    rows = [
        {
            "job": record.job,
            "what": record.name.removeprefix("rule_").replace("_wildcards_", " ").replace("_", " "),
            "GPUs": record.gpus,
            "memory (MB)": record.megabytes,
            "limit (min)": record.minutes,
            "submitted (s)": seconds(record.submitted),
            "started (s)": seconds(record.started),
            "ended (s)": seconds(record.ended),
            "state": record.state,
        }
        for record in sorted(records, key=lambda record: (record.started, record.job))
    ]
    return pd.DataFrame(rows).to_markdown(index=False)


def scene(title: str, told: str, workflow: Submitted, records: list[Record]) -> list[str]:
    lines = [f"## {title}", told, attempts(records)]
    lines.append(
        f"At most {most_at_once(records, 'started')} GPUs were held at once, and at most "
        f"{most_at_once(records, 'submitted')} held or waited for."
    )
    lines.append(f"Last attempts in the logs: {told_of({run: resumed(workflow, run) for run in RUNS})}.")
    return lines


def told_of(steps: dict[str, list[int]]) -> str:
    """Where trainings resumed, as text."""
    said = {run: ", ".join(f"resumed at step {step}" for step in found) for run, found in steps.items()}
    return "; ".join(f"{run} {text or 'started anew'}" for run, text in said.items())


def compared(sums: dict[str, dict[str, str]]) -> str:
    """The checksums of all runs side by side, the first twelve digits of each."""
    names = sorted(set().union(*sums.values()))
    rows = [
        {"file": f"`{name}`"}
        | {run: f"`{files[name][:12]}`" if name in files else "missing" for run, files in sums.items()}
        for name in names
    ]
    frame = pd.DataFrame(rows)
    frame["equal"] = frame[list(sums)].nunique(axis=1).map({1: "yes"}).fillna("NO")
    return frame.to_markdown(index=False)


def main() -> None:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    with tempfile.TemporaryDirectory() as folder, Cluster() as cluster:
        project = copy_project(Path(folder) / "project")
        seen = 0
        lines, sums = [INTRODUCTION], {}
        versions = f"Python {platform.python_version()}; torch {torch.__version__}; commit {commit}"
        lines.append(f"{ask('squeue', '--version')}; {versions}.")

        def play(title: str, told: str, output: str, workflow: Submitted) -> None:
            nonlocal seen
            workflow.end()
            records = cluster.records()
            lines.extend(scene(title, told, workflow, records[seen:]))
            sums[output] = checksums(workflow.results)
            seen = len(records)

        play("Undisturbed", "Nothing happened.", "undisturbed", Submitted(project, "undisturbed"))
        play("A time limit and a cancelled job", LATE, "limit", hit_limit_and_cancel(cluster, project, "limit")[0])
        lost, steps = lose_the_node_and_the_workflow(cluster, project, "lost")
        play("A lost node and a killed workflow", LOST, "lost", lost)
        lines.append(f"Before the kill: {told_of(steps)}.")
    lines += ["## Tables and checkpoints", compared(sums)]
    PAGE.write_text("\n\n".join(line.strip() for line in lines) + "\n", encoding="utf-8")
    print(f"written: {PAGE}")
    if any(files != sums["undisturbed"] for files in sums.values()):
        sys.exit("a disturbed run's tables are not those of the undisturbed one")


if __name__ == "__main__":
    try:
        main()
    except Unavailable as error:
        sys.exit(f"SLURM: {error}")

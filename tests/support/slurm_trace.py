"""An undisturbed and two disturbed workflows on a real SLURM, into docs/slurm-trace.md and its CSV files.

    make slurm-trace        # as root, on Debian or Ubuntu; a quarter of an hour

The same scenes as in tests/pipeline/test_slurm.py, here with the undisturbed run on the cluster too.
"""

import platform
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import pandas as pd
import torch

from benchmark_modules import module
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

writing = module("writing")
DATA = writing.DOCS / "data"
PAGE = """\
# What SLURM saw

Written by `make slurm-trace`: the workflow three times on a real SLURM of one node with two fake GPUs
(`tests/support/slurm_cluster.py`), with two small trainings. The numbers are the scheduler's own record.

- `undisturbed`: nothing happened.
- `limit`: both trainings were made to hang after their first state. One reached its time limit, which was cut short
  while it ran; the other was cancelled with `scancel`.
- `lost`: both trainings were made to hang after their first state, then everything on the node was killed with
  `kill -9` and slurmd started again. When a training had resumed, Snakemake itself was killed with `kill -9`, which
  leaves its jobs to run, and the same command given again.

{table}

*Trainings* is what the logs of their last attempts say. An attempt that was cut off is given twice the memory and time
when Snakemake submits it again; SLURM itself starts the jobs of a lost node again.

{equal} of {files} tables and checkpoints have the same SHA-256 in all three runs.

{scheduler}; Python {python}; torch {torch}; commit {commit}. In full: [jobs](data/slurm-jobs.csv),
[checksums](data/slurm-files.csv).
"""
NAMES = ("undisturbed", "limit", "lost")


def page(folder: Path = DATA) -> str:
    """The page's text, from the CSV files."""
    jobs, scenes, files = (pd.read_csv(folder / f"slurm-{name}.csv") for name in ("jobs", "scenes", "files"))
    facts = dict(pd.read_csv(folder / "slurm-facts.csv", dtype=str).itertuples(index=False))
    rows = []
    for scene in scenes.to_dict("records"):
        of = jobs[jobs.scene == scene["scene"]]
        cut = of.state[of.state != "COMPLETED"].value_counts(sort=False)
        row = {"run": scene["scene"], "attempts": len(of)}
        row["cut off"] = ", ".join(f"{count} {state}" for state, count in cut.items()) or "none"
        row["seconds"] = of.ended_s.max()
        row["GPUs held at once"] = scene["gpus_held"]
        row["held or waited for"] = scene["gpus_held_or_waited_for"]
        rows.append(row | {"trainings": scene["trainings"]})
    equal = int((files[list(NAMES)].fillna("").nunique(axis=1) == 1).sum())
    return PAGE.format(table=writing.markdown(pd.DataFrame(rows)), equal=equal, files=len(files), **facts)


def attempts(scene: str, records: list[Record]) -> list[dict[str, object]]:
    """The scheduler's record, times in seconds since the first submission."""
    first = min(record.submitted for record in records)

    def seconds(moment: datetime) -> int:
        return int((moment - first).total_seconds())

    return [
        {
            "scene": scene,
            "job": record.job,
            "name": record.name.removeprefix("rule_").replace("_wildcards_", " ").replace("_", " "),
            "gpus": record.gpus,
            "memory_mb": record.megabytes,
            "limit_min": record.minutes,
            "submitted_s": seconds(record.submitted),
            "started_s": seconds(record.started),
            "ended_s": seconds(record.ended),
            "state": record.state,
        }
        for record in sorted(records, key=lambda record: (record.started, record.job))
    ]


def trainings(workflow: Submitted) -> str:
    """Where the last attempts at each training resumed."""
    steps = {run: resumed(workflow, run) for run in RUNS}
    said = {run: ", ".join(f"resumed at step {step}" for step in found) for run, found in steps.items()}
    return "; ".join(f"{run} {text or 'started anew'}" for run, text in said.items())


def main() -> None:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    jobs, scenes, sums = [], [], {}
    with tempfile.TemporaryDirectory() as folder, Cluster() as cluster:
        project = copy_project(Path(folder) / "project")
        facts = {"scheduler": ask("squeue", "--version"), "python": platform.python_version()}
        facts |= {"torch": torch.__version__, "commit": commit}
        seen = 0

        def play(scene: str, workflow: Submitted) -> None:
            nonlocal seen
            workflow.end()
            every = cluster.records()
            records, seen = every[seen:], len(every)
            jobs.extend(attempts(scene, records))
            held, wanted = (most_at_once(records, since) for since in ("started", "submitted"))
            row = {"scene": scene, "gpus_held": held, "gpus_held_or_waited_for": wanted}
            scenes.append(row | {"trainings": trainings(workflow)})
            sums[scene] = checksums(workflow.results)

        play("undisturbed", Submitted(project, "undisturbed"))
        play("limit", hit_limit_and_cancel(cluster, project, "limit")[0])
        play("lost", lose_the_node_and_the_workflow(cluster, project, "lost")[0])
    short = {scene: {name: digest[:12] for name, digest in files.items()} for scene, files in sums.items()}
    tables = {
        "slurm-jobs": pd.DataFrame(jobs),
        "slurm-scenes": pd.DataFrame(scenes),
        "slurm-files": pd.DataFrame(short).rename_axis("file").sort_index().reset_index(),
        "slurm-facts": pd.DataFrame(facts.items(), columns=["fact", "value"]),
    }
    for name, table in tables.items():
        (DATA / f"{name}.csv").write_text(writing.as_csv(table), encoding="utf-8")
    writing.write("slurm-trace", page(), {})
    if any(files != sums["undisturbed"] for files in sums.values()):
        sys.exit("a disturbed run's tables are not those of the undisturbed one")


if __name__ == "__main__":
    try:
        main()
    except Unavailable as error:
        sys.exit(f"SLURM: {error}")

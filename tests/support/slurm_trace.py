"""An undisturbed and two disturbed workflows on a real SLURM, into docs/interruptions.md and its CSV files.

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

import interruptions_page
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
    interruptions_page.write(tables)
    if any(files != sums["undisturbed"] for files in sums.values()):
        sys.exit("a disturbed run's tables are not those of the undisturbed one")


if __name__ == "__main__":
    try:
        main()
    except Unavailable as error:
        sys.exit(f"SLURM: {error}")

"""Time and peak memory of planning many runs, and the jobs that SLURM would get.

    python benchmarks/dry_run.py [--runs 10 100 1000]

A dry run reads the configuration, builds the DAG and prints the plan. Two shapes of many runs: seeds of one dataset,
and cells of a sweep with five seeds each. Submissions are counted in what a dry run with the SLURM profile prints.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import torch
import yaml
from record import RESULTS, ROOT, save, watched, with_slopes

from bumpscope.config.loading import validate

SEEDS_OF_A_CELL = 5
ONE_DATASET, SWEEP = "seeds of one dataset", f"cells of a sweep, {SEEDS_OF_A_CELL} seeds each"
# Of each exponent the axis skewed, the other axis, and both; and one dataset without skew for all of them.
DATASETS_AN_EXPONENT = 3


def configurations(count: int) -> dict[str, dict[str, object]]:
    """shape -> a configuration of about ``count`` runs."""
    exponents = max(1, round((count / SEEDS_OF_A_CELL - 1) / DATASETS_AN_EXPONENT))
    skews = {"spacing": 1.0, "x": [round(0.05 * (k + 1), 2) for k in range(exponents)]}
    return {
        ONE_DATASET: {"seeds": list(range(count)), "datasets": {"balanced": {"margin": 2.0}}},
        SWEEP: {
            "seeds": list(range(SEEDS_OF_A_CELL)),
            "sweep": {"common": {"margin": 2.0}, "skews": skews, "controls": "balanced"},
        },
    }


def submissions(told: str) -> tuple[int, int]:
    """Jobs, and submissions to a scheduler, in what a dry run prints; those that run where Snakemake does left out."""
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", told.split("Job stats:")[1], re.M)}
    local = jobs.get("configuration", 0) + jobs.get("all", 0)
    groups = len(re.findall(r"^\[.*\] Group job ", told, re.M))
    # Jobs of a group are indented.
    alone = len(re.findall(r"^Job \d+: ", told, re.M)) - jobs.get("configuration", 0)
    return jobs["total"] - local, groups + alone


def measure(count: int) -> list[dict[str, object]]:
    """A row for each shape."""
    rows = []
    for shape, config in configurations(count).items():
        runs = list(validate(config).runs())
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "config.yaml")
            path.write_text(yaml.safe_dump(config), encoding="utf-8")
            command = [sys.executable, "-m", "snakemake", "--cores", "2", "--dry-run"]
            there = ["--configfile", str(path), "--config", f"output={folder}/results"]
            seconds, memory = watched([*command, "--quiet", "all", *there])
            grouped = [*command, "--workflow-profile", "profiles/slurm", *there]
            told = subprocess.run(grouped, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        jobs, submitted = submissions(told)
        row = {"cost": shape, "against": "runs", "n": len(runs), "datasets": len({run.dataset for run in runs})}
        rows.append(row | {"seconds": seconds, "memory": memory, "jobs": jobs, "submissions": submitted})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--folder", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    rows = pd.DataFrame([row for count in chosen.runs for row in measure(count)])
    save("dry-run", with_slopes(rows.sort_values("cost", kind="stable")), torch.device("cpu"), chosen.folder)


if __name__ == "__main__":
    main()

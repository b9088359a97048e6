"""Wall time of a whole workflow by what it was spent on.

    python benchmarks/workflow.py --output DIR [--cores 2] [--configfile workflow/presets/tiny.yaml]

Runs the workflow into an empty folder. Every step leaves in its log how long it worked and how long its imports took
before; what remains of wall time times cores is building the DAG, scheduling, starting processes and idle cores. UMAP
compiles itself within a step's work; that is timed apart, in a fresh process, and counted as compilation.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pandas as pd
import torch
from record import RESULTS, save

ROOT = Path(__file__).parent.parent
SNAKEMAKE = [sys.executable, "-m", "snakemake"]
# All other commands analyse.
KINDS = {
    "train": "training",
    **dict.fromkeys(["generate", "effects", "interventions"], "probing"),
    **dict.fromkeys(["configuration", "dataset", "runs"], "preparation"),
}
WORKED = re.compile(r"DEBUG (\w+): worked ([\d.]+) s after ([\d.]+) s of starting")
COMPILATION = """
import time, numpy
from bumpscope.measure.components import decompose, embed
vectors = numpy.random.default_rng(0).normal(size=(64, 8))
times = []
for _ in range(2):
    started = time.perf_counter()
    embed(decompose(vectors), 0)
    times.append(time.perf_counter() - started)
print(times[0] - times[1])
"""


def worked(folder: Path) -> pd.DataFrame:
    """A row for each job: command, kind of work, name of its log, seconds of work and of starting, from the log's last
    such line."""
    rows = []
    for path in sorted(folder.glob("logs/**/*.log")):
        found = WORKED.findall(path.read_text(encoding="utf-8"))
        rows += [
            (name, KINDS.get(name, "analysis"), path.stem, float(work), float(start))
            for name, work, start in found[-1:]
        ]
    return pd.DataFrame(rows, columns=["command", "kind", "log", "work", "starting"])


def account(jobs: pd.DataFrame, wall: float, cores: int, dag: float, compilation: float) -> pd.DataFrame:
    """Core-seconds by what they were spent on, and their share of wall time times cores.

    Args:
        jobs: see :func:`worked`.
        wall: seconds the workflow took.
        dag: seconds that building the DAG takes, on one core.
        compilation: seconds that each geometry job spends compiling UMAP.
    """
    spent: dict[str, float] = defaultdict(float)
    for job in jobs.itertuples():
        spent[job.kind] += job.work
    compiled = compilation * int((jobs.command == "geometry").sum())
    spent["analysis"] -= compiled
    spent |= {"imports": float(jobs.starting.sum()), "compilation": compiled, "building the DAG": dag}
    spent["scheduling, starting processes, idle cores"] = wall * cores - sum(spent.values())
    frame = pd.DataFrame({"what": list(spent), "core_seconds": list(spent.values())})
    useful = frame.what.isin(["training", "probing", "analysis"])
    return frame.assign(share=frame.core_seconds / (wall * cores), overhead=~useful, wall=wall, cores=cores)


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="an empty folder for the results")
    parser.add_argument("--configfile", type=Path)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--name", default="workflow", help="name of the table of shares")
    parser.add_argument("--folder", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    if chosen.output.exists() and any(chosen.output.iterdir()):
        parser.error(f"--output: {chosen.output} is not empty")
    command = [*SNAKEMAKE, "--cores", str(chosen.cores), "--config", f"output={chosen.output.resolve()}"]
    if chosen.configfile:
        command += ["--configfile", str(chosen.configfile)]
    dag = _seconds([*command, "--dry-run"])
    wall = _seconds(command)
    compiling = subprocess.run([sys.executable, "-c", COMPILATION], check=True, capture_output=True, text=True)
    frame = account(worked(chosen.output), wall, chosen.cores, dag, float(compiling.stdout))
    save(chosen.name, frame, torch.device("cpu"), chosen.folder)
    save(f"{chosen.name}-steps", steps(chosen.output), torch.device("cpu"), chosen.folder)
    save(f"{chosen.name}-runs", runs(chosen.output), torch.device("cpu"), chosen.folder)


def runs(folder: Path) -> pd.DataFrame:
    """A row for each dataset: its runs, and mean seconds of training, probing and analysis in one of them."""
    jobs = worked(folder)
    names = jobs.log.str.extract(r"^(?P<dataset>.+)-seed(?P<seed>\d+)$")
    jobs = jobs.assign(**names).dropna(subset=["dataset"])
    count = jobs.groupby("dataset", sort=False).seed.nunique()
    work = jobs.pivot_table(index="dataset", columns="kind", values="work", aggfunc="sum").reindex(count.index)
    return work.div(count, axis=0).assign(runs=count).reset_index()


def steps(folder: Path) -> pd.DataFrame:
    """A row for each kind of step: jobs, core-seconds, and the largest memory of one job (MiB, from Snakemake)."""
    jobs = (
        worked(folder).groupby("command").agg(jobs=("work", "size"), work=("work", "sum"), starting=("starting", "sum"))
    )
    memory = {}
    for path in folder.glob("benchmarks/*/*.tsv"):
        used = float(pd.read_csv(path, sep="\t").max_rss.iloc[-1])
        memory[path.parent.name] = max(used, memory.get(path.parent.name, 0.0))
    return jobs.assign(max_rss=pd.Series(memory, dtype=float).reindex(jobs.index)).reset_index()


if __name__ == "__main__":
    main()

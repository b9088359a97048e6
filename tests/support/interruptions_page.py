"""docs/interruptions.md, from its CSV files, which kill_trace.py and slurm_trace.py write."""

from pathlib import Path

import pandas as pd

from benchmark_modules import module

writing = module("writing")
NAME, DATA = "interruptions", writing.DOCS / "data"
INTRODUCTION = """\
# What interruptions leave

Whole workflows, killed or cut off, and started again with the same command."""
KILLS = """\
## Twenty kills

Written by `make kill-trace`. A whole workflow with the tiny preset, Snakemake and its jobs, is killed at random moments
by {signals}, and the same command is given again. Runs named for a stage are killed once, while a
job of that stage runs. Those named `chain` are killed again and again, each time after some more jobs. After each kill,
before anything starts again, every file under its final name is read whole: tables with all columns, checkpoints and
training states against their digests, pictures, pages and texts.

{table}

*Done* is the share of all jobs that were finished at the kill. *Not whole* counts files that could not be read to their
end, *temporary* half-written ones under names that nothing reads. *Repeated* counts finished jobs that the next start
planned again (`again` in the CSV file; -1 if one more was done than Snakemake had said). *Equal*: in the end all files
are those of the undisturbed run, by SHA-256: {tables} tables, {checkpoints} checkpoints, {figures} figures as PDF, PNG
and CSV, and the report without the times that its jobs took.

Faults: {faults}. Undisturbed: {jobs} jobs in {seconds} s on two cores. Seed {seed}; Python {python}; torch {torch};
commit {commit}. Each kill, with the jobs that ran: [kills.csv](data/kills.csv).
"""
SLURM = """\
## What SLURM saw

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
SCENES = ("undisturbed", "limit", "lost")


def page(folder: Path = DATA) -> str:
    """The page's text."""
    return f"{INTRODUCTION}\n\n{kills(folder)}\n{slurm(folder)}"


def write(tables: dict[str, pd.DataFrame]) -> None:
    """Write these CSV files, and the page anew."""
    for name, table in tables.items():
        (DATA / f"{name}.csv").write_text(writing.as_csv(table), encoding="utf-8")
    writing.write(NAME, page(), {})


def kills(folder: Path) -> str:
    """Twenty kills of whole workflows, from the CSV files."""
    made = pd.read_csv(folder / "kills.csv")
    facts = dict(pd.read_csv(folder / "kills-facts.csv", dtype=str).itertuples(index=False))
    rows = []
    for run, part in made.groupby("run", sort=False):
        done = " to ".join(f"{share}%" for share in sorted({part.done_percent.min(), part.done_percent.max()}))
        row = {"run": run, "kills": len(part), "done": done, "files read": part.files.sum()}
        row |= {"not whole": part.not_whole.sum(), "temporary": part.temporary.sum()}
        # -1 stands for a job that was done before Snakemake could say so.
        row |= {"repeated": part.again.clip(lower=0).sum(), "equal": "yes" if part.equal.all() else "**no**"}
        rows.append(row)
    signals = ", ".join(f"{count} {name}" for name, count in made.signal.value_counts(sort=False).items())
    return KILLS.format(table=writing.markdown(pd.DataFrame(rows)), signals=signals, **facts)


def slurm(folder: Path) -> str:
    """Jobs cut off by a scheduler, from the CSV files."""
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
    equal = int((files[list(SCENES)].fillna("").nunique(axis=1) == 1).sum())
    return SLURM.format(table=writing.markdown(pd.DataFrame(rows)), equal=equal, files=len(files), **facts)

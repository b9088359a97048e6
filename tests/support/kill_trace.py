"""Twenty kills of whole workflows and what each left, into docs/kills.md and its CSV files.

    make kill-trace        # twenty minutes on two cores

The same kills as in tests/pipeline/test_kills.py.
"""

import platform
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch

from benchmark_modules import module
from interrupted_runs import Kill, Run, everything, play, twenty_kills
from whole_files import look
from workflow import ROOT, copy_project

writing = module("writing")
DATA = writing.DOCS / "data"
PAGE = """\
# Twenty kills

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


def page(folder: Path = DATA) -> str:
    """The page's text, from the CSV files."""
    kills = pd.read_csv(folder / "kills.csv")
    facts = dict(pd.read_csv(folder / "kills-facts.csv", dtype=str).itertuples(index=False))
    rows = []
    for run, part in kills.groupby("run", sort=False):
        done = " to ".join(f"{share}%" for share in sorted({part.done_percent.min(), part.done_percent.max()}))
        row = {"run": run, "kills": len(part), "done": done, "files read": part.files.sum()}
        row |= {"not whole": part.not_whole.sum(), "temporary": part.temporary.sum()}
        # -1 stands for a job that was done before Snakemake could say so.
        row |= {"repeated": part.again.clip(lower=0).sum(), "equal": "yes" if part.equal.all() else "**no**"}
        rows.append(row)
    signals = ", ".join(f"{count} {name}" for name, count in kills.signal.value_counts(sort=False).items())
    return PAGE.format(table=writing.markdown(pd.DataFrame(rows)), signals=signals, **facts)


def row(kill: Kill, equal: bool) -> dict[str, object]:
    return {
        "run": kill.output,
        "signal": kill.signal.name,
        "at_s": round(kill.moment, 1),
        "done_percent": round(100 * kill.share),
        "running": ", ".join(kill.running) or "none",
        "files": len(kill.seen.files),
        "not_whole": len(kill.seen.broken),
        "temporary": len(kill.seen.leftovers),
        "gone_after_s": round(kill.seconds_to_end, 1),
        "left": kill.left,
        "again": kill.again,
        "equal": equal,
    }


def main(seed: int) -> None:
    print(f"seed {seed}", flush=True)
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        project = copy_project(Path(folder) / "project")
        started = time.monotonic()
        undisturbed = Run(project, "undisturbed")
        undisturbed.end()
        seconds, total = time.monotonic() - started, sum(undisturbed.planned().values())
        reference = everything(undisturbed.folder)
        rows, faults = [], []
        for kills in twenty_kills(seed):
            for run, made in play(project, kills[0].stage or "chain", kills, total):
                found, seen = everything(run.folder), look(run.folder)
                faults += [f"{run.folder.name}: {fault}" for kill in made for fault in kill.seen.broken]
                faults += [f"{run.folder.name}: {name} is not equal" for name in differing(found, reference)]
                faults += [f"{run.folder.name}: {name} is left" for name in seen.leftovers]
                faults += [f"{run.folder.name}: {fault}" for fault in seen.broken]
                added = [row(kill, found == reference) for kill in made]
                rows += added
                for line in added:
                    print(*line.values(), sep="  ", flush=True)

    def files(ending: str) -> int:
        return sum(name.endswith(ending) for name in reference)

    facts = {"jobs": total, "seconds": round(seconds), "seed": seed, "faults": len(faults), "commit": commit}
    facts |= {"python": platform.python_version(), "torch": torch.__version__}
    facts |= {"tables": files(".parquet"), "checkpoints": files(".safetensors"), "figures": files(".pdf")}
    tables = {"kills": pd.DataFrame(rows), "kills-facts": pd.DataFrame(facts.items(), columns=["fact", "value"])}
    for name, table in tables.items():
        (DATA / f"{name}.csv").write_text(writing.as_csv(table), encoding="utf-8")
    writing.write("kills", page(), {})
    if faults:
        sys.exit("\n".join(faults))


def differing(found: dict[str, str], reference: dict[str, str]) -> list[str]:
    return sorted(name for name in found.keys() | reference.keys() if found.get(name) != reference.get(name))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(10**6))

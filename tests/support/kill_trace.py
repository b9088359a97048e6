"""Twenty kills of whole workflows and what each left, into docs/kills.md.

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

from interrupted_runs import Kill, Run, everything, play, twenty_kills
from whole_files import look
from workflow import ROOT, copy_project

PAGE = ROOT / "docs" / "kills.md"
INTRODUCTION = """\
# Twenty kills

Written by `make kill-trace`, not by hand. A whole workflow with the tiny preset, Snakemake and its jobs, is sent
SIGINT, SIGTERM and SIGKILL in turn at random moments, and the same command is given again. Runs named for a stage are
killed once, a random moment after a job of that stage has begun; those named `chain` are killed again and again, each
time when they have done some jobs more or none, and wherever they are a random moment later. After each kill, before
anything is started again, every file under its final name is read whole: tables with all their columns, checkpoints and
training states against their digests, pictures, pages, texts.
"""
COLUMNS = """\
`at` is counted from the start of the workflow that was killed; `done` is the share of all jobs that were done by then.
`files` lie under their final names; `not whole` is how many of them could not be read to their end, and `temporary` how
many half-written ones lay under names that nothing reads. `left` is how many jobs the next start planned, and `again`
how many of these had been done already; a job that was cut off is not counted there, and -1 stands for a job that was
done before Snakemake could say so. `gone after` is how long it took until no process was left."""

KINDS = {
    ".parquet": "tables",
    ".safetensors": "checkpoints",
    ".pdf": "figures as PDF",
    ".png": "as PNG",
    ".csv": "as CSV",
}


def row(number: int, kill: Kill, equal: bool) -> dict[str, object]:
    return {
        "": number,
        "run": kill.output,
        "signal": kill.signal.name,
        "at (s)": f"{kill.moment:.1f}",
        "done (%)": f"{100 * kill.share:.0f}",
        "jobs running": ", ".join(kill.running) or "none",
        "files": len(kill.seen.files),
        "not whole": len(kill.seen.broken),
        "temporary": len(kill.seen.leftovers),
        "gone after (s)": f"{kill.seconds_to_end:.1f}",
        "left": kill.left,
        "again": kill.again,
        "equal in the end": "yes" if equal else "NO",
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
                faults += [f"{run.folder.name}: {told}" for kill in made for told in kill.seen.broken]
                faults += [f"{run.folder.name}: {name} is not equal" for name in differing(found, reference)]
                faults += [f"{run.folder.name}: {name} is left" for name in seen.leftovers]
                faults += [f"{run.folder.name}: {told}" for told in seen.broken]
                added = [row(len(rows) + k, kill, found == reference) for k, kill in enumerate(made, start=1)]
                rows += added
                for line in added:
                    print(*line.values(), sep="  ", flush=True)
    versions = f"Python {platform.python_version()}; torch {torch.__version__}; commit {commit}"
    kinds = ", ".join(f"{sum(name.endswith(end) for name in reference)} {what}" for end, what in KINDS.items())
    undisturbed_told = f"Undisturbed: {total} jobs in {seconds:.0f} s on two cores. Seed {seed}; {versions}."
    compared = f"Compared by SHA-256: {kinds}, and the report without the times\nthat its jobs took."
    outcome = "Faults:\n\n" + "\n".join(f"- {fault}" for fault in faults) if faults else "No fault was found."
    parts = [INTRODUCTION, undisturbed_told, pd.DataFrame(rows).to_markdown(index=False), COLUMNS, compared, outcome]
    PAGE.write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")
    print(f"written: {PAGE}")
    if faults:
        sys.exit("\n".join(faults))


def differing(found: dict[str, str], reference: dict[str, str]) -> list[str]:
    return sorted(name for name in found.keys() | reference.keys() if found.get(name) != reference.get(name))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(10**6))

"""Twenty kills of whole workflows and what each left, into docs/interruptions.md and its CSV files.

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

import interruptions_page
from interrupted_runs import Kill, Run, everything, play, twenty_kills
from whole_files import look
from workflow import ROOT, copy_project


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
    interruptions_page.write(tables)
    if faults:
        sys.exit("\n".join(faults))


def differing(found: dict[str, str], reference: dict[str, str]) -> list[str]:
    return sorted(name for name in found.keys() | reference.keys() if found.get(name) != reference.get(name))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(10**6))

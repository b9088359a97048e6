"""Write the page a reader opens first: claims, figures, methods, in one file."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from bumpscope.commands.interface import CommandError, execute
from bumpscope.files import atomic_path
from bumpscope.report import build
from bumpscope.results import Results


def report(
    settings: Annotated[Path, typer.Option(help="file with the configuration of the experiment as JSON")],
    folder: Annotated[Path, typer.Option(help="output folder of the experiment")],
    output: Annotated[Path, typer.Option(help="page to write")],
) -> None:
    """Write the page a reader opens first: claims, figures, methods, in one file."""
    try:
        config = json.loads(settings.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError(f"--settings: is not a file with JSON ({error})") from None
    results = Results(folder)
    page = build(results, folder / "figures", config, _facts(results))
    with atomic_path(output) as temporary:
        temporary.write_text(page, encoding="utf-8")


# Columns of table ``runs`` that say what the trainings ran on and with, by what the page calls them.
TRAINED = {
    "Trained on": "device", "Processor": "processor", "Instructions": "instructions", "GPU": "gpu", "CUDA": "cuda",
    "Threads": "threads", "System": "system", "Python at training": "python", "numpy at training": "numpy",
    "torch at training": "torch", "bumpscope at training": "version", "Code of the training": "code",
}  # fmt: skip


def _facts(results: Results) -> dict[str, str]:
    """Hardware and versions of the trainings, the time that the steps took and the disk that they fill."""
    facts = {}
    for name, column in TRAINED.items():
        different = results.runs[column].dropna().unique()
        if len(different):
            facts[name] = ", ".join(str(value) for value in sorted(different))
    seconds = {}
    for step in sorted((results.root / "benchmarks").glob("*/")):
        seconds[step.name] = sum(pd.read_csv(file, sep="\t")["s"].sum() for file in step.glob("*.tsv"))
    if seconds:
        each = ", ".join(f"{name} {value / 60:.1f}" for name, value in seconds.items())
        facts["Minutes of all jobs, added up"] = f"{sum(seconds.values()) / 60:.0f} ({each})"
    return facts | {"Megabytes on disk": _disk(results)}


def _disk(results: Results) -> str:
    """What the runs hold on disk, by kind of file."""
    sizes: Counter[str] = Counter()
    for path in results.runs.path:
        for file in (results.root / path).rglob("*"):
            if file.is_file() and not file.name.startswith("."):
                sizes["checkpoints" if file.suffix == ".safetensors" else file.stem] += file.stat().st_size
    each = ", ".join(f"{name} {size / 1e6:.0f}" for name, size in sizes.most_common() if size >= 1e6)
    return f"{sizes.total() / 1e6:.0f} of all runs" + (f" ({each})" if each else "")


if __name__ == "__main__":
    execute(report)

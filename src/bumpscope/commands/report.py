"""Write the page a reader opens first: claims, figures, methods, in one file."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from bumpscope.commands.interface import execute, log
from bumpscope.show.report.page import build
from bumpscope.store.files import CURE, FileError, atomic_path, first_line
from bumpscope.store.results import Results

READS = ("runs", "claims", "evidence", "coupling")
WRITES = ()


def report(
    settings: Annotated[Path, typer.Option(help="file with the configuration of the experiment as JSON")],
    folder: Annotated[Path, typer.Option(help="output folder of the experiment")],
    output: Annotated[Path, typer.Option(help="page to write")],
    digest: Annotated[str, typer.Option(help="SHA-256 that the file of settings must have, if any")] = "",
) -> None:
    """Write the page a reader opens first: claims, figures, methods, in one file."""
    config = _configuration(settings, digest)
    results = Results(folder)
    page = build(results, folder / "figures", config, _facts(results))
    with atomic_path(output) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _configuration(path: Path, digest: str) -> dict[str, Any]:
    try:
        content = path.read_bytes()
        config = json.loads(content.decode("utf-8"))
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: is not a file with JSON ({first_line(error)}); {CURE}") from None
    if not isinstance(config, dict) or (digest and hashlib.sha256(content).hexdigest() != digest):
        raise FileError(f"{path}: is not the configuration of this experiment; {CURE}")
    return config


# Columns of table ``runs`` on what the trainings ran on, by their names on the page.
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
    for step in sorted((results.folder / "benchmarks").glob("*/")):
        seconds[step.name] = sum(_seconds(file) for file in step.glob("*.tsv"))
    if seconds:
        each = ", ".join(f"{name} {value / 60:.1f}" for name, value in seconds.items())
        facts["Minutes of all jobs, added up"] = f"{sum(seconds.values()) / 60:.0f} ({each})"
    return facts | {"Megabytes on disk": _disk(results)}


def _disk(results: Results) -> str:
    """Size of the runs on disk, by kind of file."""
    sizes: Counter[str] = Counter()
    for path in results.runs.path:
        for file in (results.folder / path).rglob("*"):
            if file.is_file() and not file.name.startswith("."):
                sizes["checkpoints" if file.suffix == ".safetensors" else file.stem] += file.stat().st_size
    each = ", ".join(f"{name} {size / 1e6:.0f}" for name, size in sizes.most_common() if size >= 1e6)
    return f"{sizes.total() / 1e6:.0f} of all runs" + (f" ({each})" if each else "")


def _seconds(benchmark: Path) -> float:
    """Seconds that Snakemake measured; 0 where the file was cut off, since no rule would make it again."""
    try:
        return float(pd.read_csv(benchmark, sep="\t")["s"].sum())
    except (KeyError, ValueError) as error:
        log.warning("%s: left out of the times, since it is broken (%s)", benchmark, first_line(error))
        return 0.0


if __name__ == "__main__":
    execute(report)

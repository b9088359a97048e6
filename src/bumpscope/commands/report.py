"""Write the page a reader opens first: claims, figures, methods, in one file."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from bumpscope.commands.interface import execute, log
from bumpscope.commands.runs import of_settings
from bumpscope.config.experiment import Config
from bumpscope.config.loading import ConfigError, validate
from bumpscope.config.plan import planned_cost, sensitivity_seconds
from bumpscope.config.steps import Train
from bumpscope.judge.remedies import A_SEED, EXPERIMENT, SENSITIVITY
from bumpscope.judge.wording import number
from bumpscope.show.report.page import build
from bumpscope.store.files import CURE, FileError, atomic_path, first_line
from bumpscope.store.lineage import configuration_digest, figures
from bumpscope.store.manifest import described
from bumpscope.store.results import Results
from bumpscope.store.tables import provenance

READS = ("runs", "claims", "evidence", "coupling", "leaderboard")
WRITES = ()


def report(
    settings: Annotated[Path, typer.Option(help="file with the configuration of the experiment as JSON")],
    folder: Annotated[Path, typer.Option(help="output folder of the experiment")],
    output: Annotated[Path, typer.Option(help="page to write")],
) -> None:
    """Write the page a reader opens first: claims, figures, methods, in one file."""
    config = _configuration(settings)
    results = Results(folder)
    _check_agreement(results, config, settings)
    pictures = [folder / "figures" / f"{name}.{kind}" for name in figures() for kind in ("png", "csv")]
    read = [*results.files(*READS), *(path for path in pictures if path.exists()), settings]
    modules = ("commands.report", *(f"show.figures.{name}" for name in figures()))
    metadata = provenance({"configuration": configuration_digest(config)}, *read, code=results.code(*modules))
    page = build(results, folder / "figures", json.loads(config.in_force()), _facts(results), _costs(config))
    with described(metadata, output), atomic_path(output) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _configuration(path: Path) -> Config:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: is not a file with JSON ({first_line(error)}); {CURE}") from None
    if not isinstance(plain, dict):
        raise FileError(f"{path}: is not the configuration of an experiment; {CURE}")
    try:
        return validate(plain)
    except ConfigError as error:
        raise FileError(f"{path}: is not the configuration of an experiment ({error.faults[0]}); {CURE}") from None


def _check_agreement(results: Results, config: Config, path: Path) -> None:
    """Refuse a configuration that the trainings contradict, which the page would state beside their results."""
    configured = {run.id: run for run in config.runs()}
    for row in results.runs.to_dict("records"):
        if row["run"] in configured:
            for name, value in of_settings(Train.of(configured[row["run"]])).items():
                both_empty = value is None and pd.isna(row[name])
                if row[name] != value and not both_empty:
                    raise FileError(
                        f"{path}: has {name} {value} for {row['run']}, which was trained with {row[name]}; run the "
                        "workflow again"
                    )


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
        # Other runs may have left theirs.
        seconds[step.name] = sum(_seconds(file) for file in step.glob("*.tsv") if file.stem in results)
    if seconds:
        each = ", ".join(f"{name} {value / 60:.1f}" for name, value in seconds.items())
        facts["Minutes of all jobs, added up"] = f"{sum(seconds.values()) / 60:.0f} ({each})"
    return facts | {"Megabytes on disk": _disk(results)}


def _costs(config: Config) -> dict[str, str]:
    """What it is planned to take to know more; nothing where a denoiser would have to be built to know."""
    if config.unknown_denoisers():
        return {}
    minutes = planned_cost(config.runs()).sum(axis=1)
    seeds = pd.Series([run.dataset for run in config.runs()]).value_counts()
    found = {
        A_SEED: (minutes / seeds).sum(),
        EXPERIMENT: minutes.sum(),
        SENSITIVITY: sensitivity_seconds(config) / 60,
    }
    return {name: f"about {number(float(f'{value:.2g}'))} core-minutes" for name, value in found.items()}


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

"""Judge the claims again with one choice changed at a time, and say which verdicts change."""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from pydantic import ValidationError

from bumpscope.commands.interface import CommandError, execute, log
from bumpscope.files import atomic_path
from bumpscope.readings import CONFIGURED, Readings
from bumpscope.results import Results
from bumpscope.schemas import TABLES
from bumpscope.sensitivity import Experiment, Probing, places_text, verdicts_text
from bumpscope.sensitivity import places as places_of
from bumpscope.settings import run_path
from bumpscope.tables import provenance, read_table, write_table


def sensitivity(
    readings: Annotated[str, typer.Option(help="what to read, as JSON (see: src/bumpscope/readings.py)")],
    folder: Annotated[Path, typer.Option(help="output folder of the experiment")],
    output: Annotated[Path, typer.Option(help="table of verdicts to write")],
    places: Annotated[Path, typer.Option(help="table of layers and timesteps to write")],
    text: Annotated[Path, typer.Option(help="what is printed, to write")],
) -> None:
    """Judge the claims again with one choice changed at a time, and say which verdicts change."""
    try:
        wanted = Readings.model_validate_json(readings)
    except ValidationError as error:
        raise CommandError(f"--readings: {error.errors()[0]['msg']}") from None
    if not wanted.runs:
        raise CommandError("there is no balanced dataset on a plane (dx = dy, no skew), so nothing to read")
    results = Results(folder)
    own = {name: folder / TABLES[name].path for name in ("metrics", "coupling", "claims")}
    experiment = Experiment(
        metrics=read_table("metrics", own["metrics"]),
        runs=results.runs,
        phases=_phases(results),
        coupling=read_table("coupling", own["coupling"]),
        claims=read_table("claims", own["claims"]),
    )
    rows, read = [], []
    probed: dict[str, list[Probing]] = {}
    for number, reading in enumerate(wanted.readings, start=1):
        if reading.variant not in probed:
            paths = _paths(folder, wanted, reading.variant)
            probed[reading.variant] = [_probing(results, run, *tables) for run, tables in paths.items()]
            read += [path for tables in paths.values() for path in tables]
        rows.append(experiment.judge(reading, probed[reading.variant]))
        log.debug("reading %d of %d judged (%s: %s)", number, len(wanted.readings), reading.factor, reading.level)
    verdicts = pd.concat(rows, ignore_index=True)
    configured = [places_of(probing, wanted.readings[0].tolerance) for probing in probed[CONFIGURED]]
    everywhere = pd.concat(configured, ignore_index=True)
    told = f"{verdicts_text(verdicts)}\n\n{places_text(everywhere)}\n"
    metadata = provenance(wanted.model_dump(mode="json"), *own.values(), *read)
    write_table("places", places, everywhere, metadata)
    write_table("sensitivity", output, verdicts, metadata)
    with atomic_path(text) as temporary:
        temporary.write_text(told, encoding="utf-8")
    print(f"\n{told}", flush=True)


def _phases(results: Results) -> pd.DataFrame:
    """Table ``phases`` of all runs, with the columns run, dataset and seed."""
    parts = []
    for run in results.runs.to_dict("records"):
        verdicts = results.table(run["run"], "phases")
        parts.append(verdicts.assign(run=run["run"], dataset=run["dataset"], seed=run["seed"]))
    return pd.concat(parts, ignore_index=True)


def _paths(folder: Path, wanted: Readings, variant: str) -> dict[str, tuple[Path, Path]]:
    """Run's folder -> its tables of a variant, which are those of ``configured`` where the variant changes nothing."""
    found = {}
    for dataset, seeds in wanted.runs.items():
        name = variant if dataset in wanted.variants[variant] else CONFIGURED
        for seed in seeds:
            path = run_path(dataset, seed)
            behaviour, geometry = (
                folder / TABLES[table].path.format(variant=name, path=path)
                for table in ("varied_behaviour", "varied_geometry")
            )
            found[path] = (behaviour, geometry)
    return found


def _probing(results: Results, path: str, behaviour: Path, geometry: Path) -> Probing:
    row = results.runs[results.runs["path"] == path]
    if row.empty:
        raise CommandError(f"{path}: is no run of this experiment; give the readings of its own configuration")
    record = row.to_dict("records")[0]
    tables = [
        read_table(name, table, run=record["run"])
        for name, table in (("varied_behaviour", behaviour), ("varied_geometry", geometry))
    ]
    return Probing(record, *tables)


if __name__ == "__main__":
    execute(sensitivity)

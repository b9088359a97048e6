"""Collect the numbers of every checkpoint of every run into one table."""

import json
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from bumpscope.commands.interface import CommandError, execute
from bumpscope.config.analysis import Analysis
from bumpscope.config.model import DEFAULT_WEIGHTS
from bumpscope.judge.controls import lattice_of
from bumpscope.measure.lattice_scale import yardsticks
from bumpscope.measure.metrics import run_metrics
from bumpscope.store.files import first_line
from bumpscope.store.results import Results
from bumpscope.store.selection import JUDGED
from bumpscope.store.tables import open_table, provenance

WEIGHTS = ["raw", "ema", DEFAULT_WEIGHTS]
OF_A_RUN = ("losses", "behaviour", "geometry", "topology", "effects", "phases", "frequency")
READS = ("runs", "dataset", "losses", "behaviour", "geometry", "topology", "effects", "phases", "frequency")
WRITES = ("metrics",)


def metrics(
    folder: Annotated[Path, typer.Option(help="output folder of the experiment")],
    output: Annotated[Path, typer.Option(help="table to write")],
    tolerance: Annotated[float, typer.Option(help="largest distance from the request on one axis, px")] = 1.0,
    tolerances: Annotated[
        str, typer.Option(help="of factors with one of their own, as JSON: {name: tolerance}")
    ] = "{}",
    faint: Annotated[float, typer.Option(help="least fitted amplitude of a bump")] = 0.25,
) -> None:
    """Collect the numbers of every checkpoint of every run into one table."""
    results = Results(folder)
    try:
        chosen = Analysis(tolerance=tolerance, tolerances=json.loads(tolerances), faint=faint)
    except ValueError as error:
        raise CommandError(f"--tolerances: {first_line(error)}") from None
    metadata = provenance(chosen.model_dump(mode="json"), *results.files(*READS), code=results.code("commands.metrics"))
    stand_ins: dict[str, pd.DataFrame] = {}
    with open_table("metrics", output, metadata) as table:
        for run in results:
            tables = {
                name: run.table(name, **({"weights": WEIGHTS} if name in JUDGED else {}))
                for name in OF_A_RUN
                if run.has(name)
            }
            lattice = lattice_of(run.info)
            if "behaviour" in tables and run.dataset not in stand_ins:  # all its runs have the same requests
                requests = tables["behaviour"].drop_duplicates("sample")
                points = run.table("dataset", [*run.names.asked, "probability"])
                stand_ins[run.dataset] = yardsticks(requests, points, lattice, chosen.faint)
            if run.dataset in stand_ins:
                tables["yardsticks"] = stand_ins[run.dataset]
            found = run_metrics(
                run.name,
                run.dataset,
                run.seed,
                **tables,
                lattice=lattice,
                tolerance=chosen.tolerance,
                tolerances=chosen.tolerances,
            )
            table.append(found)


if __name__ == "__main__":
    execute(metrics)

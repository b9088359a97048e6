"""Collect the numbers of every checkpoint of every run into one tidy table."""

from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import execute
from bumpscope.judge.comparisons import lattice_of
from bumpscope.measure.metrics import run_metrics
from bumpscope.store.results import Results
from bumpscope.store.tables import open_table, provenance

READS = ("runs", "losses", "behaviour", "geometry", "topology", "effects", "phases", "frequency")
WRITES = ("metrics",)

TABLES_OF_A_RUN = ("losses", "behaviour", "geometry", "topology", "effects", "phases", "frequency")


def metrics(
    folder: Annotated[Path, typer.Option(help="output folder of the experiment")],
    output: Annotated[Path, typer.Option(help="table to write")],
    tolerance: Annotated[float, typer.Option(help="largest distance from the request on one axis, px")] = 1.0,
) -> None:
    """Collect the numbers of every checkpoint of every run into one tidy table."""
    results = Results(folder)
    inputs = [results.path(run, name) for run in results.runs["run"] for name in TABLES_OF_A_RUN]
    metadata = provenance({"tolerance": tolerance}, folder / "runs.parquet", *inputs)
    with open_table("metrics", output, metadata) as table:
        for run in results.runs.to_dict("records"):
            tables = {name: results.table(run["run"], name) for name in TABLES_OF_A_RUN}
            table.append(
                run_metrics(
                    run["run"],
                    run["dataset"],
                    run["seed"],
                    **tables,
                    lattice=lattice_of(run),
                    tolerance=tolerance,
                )
            )


if __name__ == "__main__":
    execute(metrics)

"""Compare imbalanced datasets with their nulls: are x and y learnt together, and is what they end in factorised?"""

from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import execute
from bumpscope.judge import side_by_side as geometry
from bumpscope.judge.coupling import QUANTITIES
from bumpscope.judge.coupling import coupling as compare
from bumpscope.judge.onset_table import onset_table
from bumpscope.store.results import Results
from bumpscope.store.tables import provenance, write_table

READS = ("runs", "metrics")
WRITES = ("coupling", "onsets", "factorisation")


def coupling(
    folder: Annotated[Path, typer.Option(help="output folder of the experiment")],
    output: Annotated[Path, typer.Option(help="table of coupling to write")],
    onsets: Annotated[Path, typer.Option(help="table of times to half to write")],
    factorisation: Annotated[Path, typer.Option(help="table of factorised geometry to write")],
) -> None:
    """Compare imbalanced datasets with their nulls: are x and y learnt together, and is what they end in factorised?"""
    inputs = [folder / "metrics.parquet", folder / "runs.parquet"]
    metadata = provenance({}, *inputs)
    results = Results(folder)
    metrics, runs = results.table("metrics", quantity=[*QUANTITIES, *geometry.QUANTITIES]), results.runs
    found, times = compare(metrics, runs), onset_table(metrics, runs)
    write_table("coupling", output, found, metadata)
    write_table("onsets", onsets, times, metadata)
    write_table("factorisation", factorisation, geometry.side_by_side(metrics, found, times, runs), metadata)


if __name__ == "__main__":
    execute(coupling)

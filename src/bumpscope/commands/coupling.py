"""Compare imbalanced datasets with their nulls: are x and y learnt together, and is what they end in factorised?"""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from bumpscope.commands.interface import execute
from bumpscope.config.model import DEFAULT_WEIGHTS
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
    results = Results(folder)
    metadata = provenance({}, *results.files(*READS), code=results.code("commands.coupling"))
    metrics, runs = results.table("metrics", quantity=[*QUANTITIES, *geometry.QUANTITIES]), results.runs
    untrained = results.table("metrics", quantity=geometry.QUANTITIES, weights=DEFAULT_WEIGHTS)
    found, times = compare(metrics, runs), onset_table(metrics, runs)
    write_table("coupling", output, found, metadata)
    write_table("onsets", onsets, times, metadata)
    beside = geometry.side_by_side(pd.concat([metrics, untrained]), found, times, runs)
    write_table("factorisation", factorisation, beside, metadata)


if __name__ == "__main__":
    execute(coupling)

"""Rank the arms of the factorisation benchmark by how many combinations they must be shown."""

from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import execute
from bumpscope.judge import leaderboard as benchmark
from bumpscope.store.results import Results
from bumpscope.store.tables import provenance, write_table

READS = ("runs", "metrics", "arms")
WRITES = ("leaderboard", "combinations")


def leaderboard(
    folder: Annotated[Path, typer.Option(help="output folder of the experiment")],
    output: Annotated[Path, typer.Option(help="leaderboard to write")],
    combinations: Annotated[Path, typer.Option(help="table of each number of shown combinations to write")],
) -> None:
    """Rank the arms of the factorisation benchmark by how many combinations they must be shown."""
    results = Results(folder)
    metadata = provenance({}, *results.files(*READS), code=results.code("commands.leaderboard"))
    metrics = results.table("metrics", quantity=benchmark.QUANTITIES, label=None)
    runs = benchmark.of_designs(results.runs, metrics)
    # Both before either is written, so that a broken input leaves no half of the result.
    ranked, cells = benchmark.leaderboard(runs, results.arms), benchmark.cells(runs)
    write_table("combinations", combinations, cells, metadata)
    write_table("leaderboard", output, ranked, metadata)


if __name__ == "__main__":
    execute(leaderboard)

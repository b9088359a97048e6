"""Compare imbalanced datasets with their nulls: are x and y learnt together?"""

from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import execute
from bumpscope.coupling import coupling as compare
from bumpscope.results import Results
from bumpscope.tables import provenance, read_table, write_table


def coupling(
    folder: Annotated[Path, typer.Option(help="output folder of the experiment")],
    output: Annotated[Path, typer.Option(help="table to write")],
) -> None:
    """Compare imbalanced datasets with their nulls: are x and y learnt together?"""
    inputs = [folder / "metrics.parquet", folder / "runs.parquet"]
    found = compare(read_table("metrics", inputs[0]), Results(folder).runs)
    write_table("coupling", output, found, provenance({}, *inputs))


if __name__ == "__main__":
    execute(coupling)

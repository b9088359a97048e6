"""Write a table over all runs as CSV."""

from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import CommandError, execute
from bumpscope.store.files import atomic_path
from bumpscope.store.manifest import described
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import provenance, read_table

# What it reads depends on its argument.
READS = ()
WRITES = ()

# Tables of a run have a folder each, and images and activations no place in a CSV.
OVER_ALL_RUNS = [name for name, table in TABLES.items() if "{" not in table.path]


def export(
    name: Annotated[str, typer.Argument(help=f"name of the table: {', '.join(OVER_ALL_RUNS)}")],
    folder: Annotated[Path, typer.Option(help="output folder of the experiment")],
    csv: Annotated[Path, typer.Option(help="file to write")],
) -> None:
    """Write a table over all runs as CSV."""
    if name not in OVER_ALL_RUNS:
        raise CommandError(f"table: holds {name}; allowed: {', '.join(OVER_ALL_RUNS)}")
    path = folder / TABLES[name].path
    metadata = provenance({}, path, code=("commands.export",))
    table = read_table(name, path)
    with described(metadata, csv), atomic_path(csv) as temporary:
        table.to_csv(temporary, index=False)


if __name__ == "__main__":
    execute(export)

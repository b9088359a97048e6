"""Draw one figure from the tables, with its data beside it."""

from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import CommandError, execute
from bumpscope.show import gallery, style
from bumpscope.store.files import atomic_path
from bumpscope.store.manifest import described
from bumpscope.store.results import Results
from bumpscope.store.tables import provenance

# What it reads depends on the figure, whose module declares it.
READS = ()
WRITES = ()


def figure(
    name: Annotated[str, typer.Argument(help="name of the figure")],
    folder: Annotated[Path, typer.Option(help="output folder of the experiment")],
    pdf: Annotated[Path, typer.Option(help="vector picture to write")],
    png: Annotated[Path, typer.Option(help="pixel picture to write")],
    csv: Annotated[Path, typer.Option(help="data behind the picture, to write")],
) -> None:
    """Draw one figure from the tables, with its data beside it."""
    if name not in gallery.names():
        raise CommandError(f"figure: holds {name}; allowed: {', '.join(gallery.names())}")
    module = gallery.figure(name)
    results = Results(folder)
    read = results.files(*dict.fromkeys(["runs", *module.READS]))
    metadata = provenance({"figure": name}, *read, code=("commands.figure", f"show.figures.{name}"))
    data = module.select(results)
    with described(metadata, pdf, png, csv):
        style.save(module.draw(data), pdf, png)
        with atomic_path(csv) as temporary:
            data.to_csv(temporary, index=False)


if __name__ == "__main__":
    execute(figure)

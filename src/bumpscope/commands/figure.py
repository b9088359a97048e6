"""Draw one figure from the tables, with its data beside it."""

from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import CommandError, execute, log
from bumpscope.show import gallery, style
from bumpscope.show.failures import failure
from bumpscope.store.files import FileError, atomic_path
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
    spare_others: Annotated[
        bool, typer.Option(help="where it cannot be drawn, write files that say why, and end well")
    ] = False,
) -> None:
    """Draw one figure from the tables, with its data beside it.

    With ``--spare-others`` an error of its code costs only itself. Files that say why do not say what made them, so
    that they count as stale, and the workflow ends with an error. What other figures would fail at too (a broken table,
    a full disk) ends the command in any case.
    """
    if name not in gallery.names():
        raise CommandError(f"figure: holds {name}; allowed: {', '.join(gallery.names())}")
    module = gallery.figure(name)
    results = Results(folder)
    read = results.files(*dict.fromkeys(["runs", *module.READS]))
    metadata = provenance({"figure": name}, *read, code=results.code("commands.figure", f"show.figures.{name}"))
    try:
        data = module.select(results)
        picture = module.draw(data)
    except (FileError, OSError, MemoryError):
        raise
    except Exception as error:
        if not spare_others:
            raise
        log.exception("error: figure %s could not be drawn", name)
        data, metadata = failure(error), {}
        picture = style.without_data(f"{name} could not be drawn")
    with described(metadata, pdf, png, csv):
        style.save(picture, pdf, png)
        with atomic_path(csv) as temporary:
            data.to_csv(temporary, index=False)


if __name__ == "__main__":
    execute(figure)

"""Write the page on which a reader moves through training: latents, images and curves together, in one file."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import execute
from bumpscope.show.explorer.page import write
from bumpscope.store.files import atomic_path
from bumpscope.store.manifest import described
from bumpscope.store.results import Results
from bumpscope.store.tables import provenance

READS = ("runs", "metrics", "behaviour", "effects", "embedding", "phases", "samples")
WRITES = ()

log = logging.getLogger("bumpscope")


def explorer(
    folder: Annotated[Path, typer.Option(help="output folder of the experiment")],
    output: Annotated[Path, typer.Option(help="page to write")],
) -> None:
    """Write the page on which a reader moves through training: latents, images and curves together, in one file."""
    results = Results(folder)
    metadata = provenance({}, *results.files(*READS), code=results.code("commands.explorer"))
    with (
        described(metadata, output),
        atomic_path(output) as temporary,
        temporary.open("w", encoding="utf-8") as file,
    ):
        shown = write(results, file)
    log.info(
        "%s: %.1f MB; %d runs, %d left out",
        output, output.stat().st_size / 1e6, len(shown["runs"]), len(shown["left_out"]) + len(shown["without"]),
    )  # fmt: skip


if __name__ == "__main__":
    execute(explorer)

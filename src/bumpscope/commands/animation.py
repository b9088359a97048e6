"""Draw the latents and the images of one run over training as an animation."""

from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import execute
from bumpscope.show.animation import animate
from bumpscope.store.files import atomic_path
from bumpscope.store.manifest import described
from bumpscope.store.results import Results
from bumpscope.store.tables import provenance

READS = ("runs", "metrics", "embedding", "phases", "samples")
WRITES = ()


def animation(
    folder: Annotated[Path, typer.Option(help="output folder of the experiment")],
    gif: Annotated[Path, typer.Option(help="animation to write")],
) -> None:
    """Draw the latents and the images of one run over training as an animation."""
    results = Results(folder)
    metadata = provenance({}, *results.files(*READS), code=results.code("commands.animation"))
    moving = animate(results)
    with described(metadata, gif), atomic_path(gif) as temporary:
        temporary.write_bytes(moving)


if __name__ == "__main__":
    execute(animation)

"""Draw the latents and the images of one run over training as an animation."""

from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import execute
from bumpscope.show.animation import animate
from bumpscope.store.files import atomic_path
from bumpscope.store.results import Results

READS = ("runs", "metrics", "embedding", "phases", "samples")
WRITES = ()


def animation(
    folder: Annotated[Path, typer.Option(help="output folder of the experiment")],
    gif: Annotated[Path, typer.Option(help="animation to write")],
) -> None:
    """Draw the latents and the images of one run over training as an animation."""
    moving = animate(Results(folder))
    with atomic_path(gif) as temporary:
        temporary.write_bytes(moving)


if __name__ == "__main__":
    execute(animation)

"""Find the bumps in every generated image and say how the image meets its request."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from bumpscope.commands.interface import SettingsOption, execute, read_settings
from bumpscope.config import steps
from bumpscope.store.tables import open_table, provenance, read_block, read_table
from bumpscope.worlds.behaviour import classify

READS = ("samples",)
WRITES = ("behaviour",)


def behaviour(
    settings: SettingsOption,
    samples: Annotated[Path, typer.Option(help="table of generated images")],
    output: Annotated[Path, typer.Option(help="table to write")],
) -> None:
    """Find the bumps in every generated image and say how the image meets its request."""
    chosen = read_settings(settings, steps.Behaviour)
    lattice, size = chosen.lattice, chosen.lattice.image_size
    requests = read_table("samples", samples)
    with open_table(
        "behaviour", output, provenance(chosen.plain, samples, run=chosen.run, code=("commands.behaviour",))
    ) as table:
        # A checkpoint at a time, so that memory does not grow with their number.
        for (step, weights), rows in requests.groupby(["step", "weights"], sort=False):
            request, where = rows.reset_index(drop=True), [("step", "==", step), ("weights", "==", weights)]
            images = read_block("samples", samples, "image", where).reshape(-1, size, size)
            found = classify(
                images.astype(np.float64),
                request.mu_x.to_numpy(),
                request.mu_y.to_numpy(),
                lattice,
                tolerance=chosen.analysis.tolerance,
                faint=chosen.analysis.faint,
            )
            table.append(request[["step", "weights", "sample", "mu_x", "mu_y", "split"]].join(found))


if __name__ == "__main__":
    execute(behaviour)

"""Find the bumps in every generated image and say how the image meets its request."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from bumpscope.commands.interface import SettingsOption, execute, read_settings
from bumpscope.config import steps
from bumpscope.store.provenance import with_worlds
from bumpscope.store.tables import open_table, provenance, read_block, read_table
from bumpscope.worlds.named import world_of
from bumpscope.worlds.reading import classify

READS = ("samples",)
WRITES = ("behaviour",)


def behaviour(
    settings: SettingsOption,
    samples: Annotated[Path, typer.Option(help="table of generated images")],
    output: Annotated[Path, typer.Option(help="table to write")],
) -> None:
    """Find the bumps in every generated image and say how the image meets its request."""
    chosen = read_settings(settings, steps.Behaviour)
    world = world_of(chosen.lattice)
    tolerances = world.tolerances(chosen.analysis.tolerance, chosen.analysis.tolerances)
    requests = read_table("samples", samples)
    code = with_worlds(["commands.behaviour"], [chosen.lattice.world.path])
    metadata = provenance(chosen.plain, samples, run=chosen.run, code=code, names=world.names)
    with open_table("behaviour", output, metadata) as table:
        # A checkpoint at a time, so that memory does not grow with their number.
        for (step, weights), rows in requests.groupby(["step", "weights"], sort=False):
            request, where = rows.reset_index(drop=True), [("step", "==", step), ("weights", "==", weights)]
            images = read_block("samples", samples, "image", where).reshape(-1, *world.image_shape)
            labels = request[world.names.asked].to_numpy()
            found = classify(world, images.astype(np.float64), labels, tolerances, chosen.analysis.faint)
            table.append(request[["step", "weights", "sample", *world.names.asked, "split"]].join(found))


if __name__ == "__main__":
    execute(behaviour)

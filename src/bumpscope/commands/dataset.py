"""Draw the lattice of a dataset: its labels, how often each is drawn, and the images."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from bumpscope.commands.interface import SettingsOption, execute, read_settings
from bumpscope.config import steps
from bumpscope.store.provenance import with_worlds
from bumpscope.store.tables import open_table, provenance
from bumpscope.worlds.named import world_of

READS = ()
WRITES = ("dataset",)

ROWS_AT_A_TIME = 10_000


def dataset(
    settings: SettingsOption,
    output: Annotated[Path, typer.Option(help="table to write: datasets/NAME.parquet")],
) -> None:
    """Draw the lattice of a dataset: its labels, how often each is drawn, and the images."""
    chosen = read_settings(settings, steps.Dataset)
    lattice = chosen.lattice
    world = world_of(lattice)
    points = world.training_points
    stripe = np.isnan(points.labels).any(axis=1)
    split = np.select([stripe, points.heldout], ["stripe", "heldout"], "seen")
    code = with_worlds(["commands.dataset"], [lattice.world.path])
    with open_table("dataset", output, provenance(chosen.plain, code=code, names=world.names)) as table:
        for start in range(0, len(points.labels), ROWS_AT_A_TIME):
            rows = slice(start, start + ROWS_AT_A_TIME)
            images = world.render(points.labels[rows])
            table.append(
                dict(zip(world.names.asked, points.labels[rows].T, strict=True))
                | {
                    "probability": points.probability[rows],
                    "split": split[rows],
                    "image": images.reshape(len(images), -1),
                }
            )


if __name__ == "__main__":
    execute(dataset)

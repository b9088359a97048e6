"""Draw the lattice of a dataset: its centres, how often each is drawn, and the images."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from bumpscope.commands.interface import SettingsOption, execute, read_settings
from bumpscope.config import steps
from bumpscope.store.tables import open_table, provenance
from bumpscope.worlds.bumps import render, training_points

READS = ()
WRITES = ("dataset",)

ROWS_AT_A_TIME = 10_000


def dataset(
    settings: SettingsOption,
    output: Annotated[Path, typer.Option(help="table to write: datasets/NAME.parquet")],
) -> None:
    """Draw the lattice of a dataset: its centres, how often each is drawn, and the images."""
    chosen = read_settings(settings, steps.Dataset)
    lattice = chosen.lattice
    points = training_points(lattice)
    stripe = np.isnan(points.mu_x) | np.isnan(points.mu_y)
    split = np.select([stripe, points.heldout], ["stripe", "heldout"], "seen")
    with open_table("dataset", output, provenance(chosen.plain, code=("commands.dataset",))) as table:
        for start in range(0, len(points.mu_x), ROWS_AT_A_TIME):
            rows = slice(start, start + ROWS_AT_A_TIME)
            images = render(points.mu_x[rows], points.mu_y[rows], lattice)
            table.append(
                {
                    "mu_x": points.mu_x[rows],
                    "mu_y": points.mu_y[rows],
                    "probability": points.probability[rows],
                    "split": split[rows],
                    "image": images.reshape(len(images), -1),
                }
            )


if __name__ == "__main__":
    execute(dataset)

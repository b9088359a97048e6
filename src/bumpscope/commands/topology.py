"""Persistent homology of the activations at each probed checkpoint, layer and timestep, and of the images."""

from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import SettingsOption, execute, read_settings
from bumpscope.config import steps
from bumpscope.measure.topology import persistence
from bumpscope.seeding import derived_seed
from bumpscope.store.clouds import clouds
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import open_table, provenance

READS = ("latents", "samples")
WRITES = ("topology",)


def topology(
    settings: SettingsOption,
    latents: Annotated[Path, typer.Option(help="table of activation vectors")],
    samples: Annotated[Path, typer.Option(help="table of generated images")],
    output: Annotated[Path, typer.Option(help="table to write")],
) -> None:
    """Persistent homology of the activations at each probed checkpoint, layer and timestep, and of the images."""
    chosen = read_settings(settings, steps.Topology)
    with open_table(
        "topology", output, provenance(chosen.plain, latents, samples, run=chosen.run, code=("commands.topology",))
    ) as table:
        for cloud in clouds(latents, samples):
            if cloud.noise == "own":
                bars = persistence(cloud.vectors, derived_seed(chosen.seed, "topology"))
                bars = bars.assign(step=cloud.step, weights=cloud.weights, layer=cloud.layer, t=cloud.t)
                table.append(bars[TABLES["topology"].names])


if __name__ == "__main__":
    execute(topology)

"""Persistent homology of the activations at each probed checkpoint, layer and timestep."""

from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import SettingsOption, execute, read_settings
from bumpscope.seeding import derived_seed
from bumpscope.tables import open_table, provenance, read_block, read_table
from bumpscope.topology import persistence


def topology(
    settings: SettingsOption,
    latents: Annotated[Path, typer.Option(help="table of activation vectors")],
    output: Annotated[Path, typer.Option(help="table to write")],
) -> None:
    """Persistent homology of the activations at each probed checkpoint, layer and timestep."""
    chosen, plain = read_settings(settings, "seed")
    assert chosen.seed is not None
    clouds = read_table("latents", latents, ["step", "layer", "t"]).drop_duplicates()
    with open_table("topology", output, provenance(plain, latents, run=chosen.run or "")) as table:
        for step, layer, t in clouds.itertuples(index=False):
            vectors = read_block(
                "latents", latents, "vector", [("step", "==", int(step)), ("layer", "==", layer), ("t", "==", int(t))]
            )
            bars = persistence(vectors, derived_seed(chosen.seed, "topology"))
            bars = bars.assign(step=step, layer=layer, t=t)
            table.append(bars[["step", "layer", "t", "dimension", "birth", "death", "significant"]])


if __name__ == "__main__":
    execute(topology)

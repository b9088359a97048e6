"""Measure the geometry of activations and images at each probed checkpoint, and embed them for pictures."""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from bumpscope.commands.interface import SettingsOption, execute, log, read_settings
from bumpscope.config import steps
from bumpscope.measure.alignment import align
from bumpscope.measure.components import decompose, embed
from bumpscope.measure.geometry import Centres, measure
from bumpscope.seeding import derived_seed
from bumpscope.store.clouds import clouds
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import open_table, provenance, read_table, write_table
from bumpscope.worlds.bumps import factors

READS = ("latents", "samples", "behaviour")
WRITES = ("geometry", "embedding")


def geometry(
    settings: SettingsOption,
    latents: Annotated[Path, typer.Option(help="table of activation vectors")],
    samples: Annotated[Path, typer.Option(help="table of generated images")],
    behaviour: Annotated[Path, typer.Option(help="table of behaviour: requested and realised centres")],
    output: Annotated[Path, typer.Option(help="table of numbers to write")],
    embedding: Annotated[Path, typer.Option(help="table of picture points to write")],
) -> None:
    """Measure the geometry of activations and images at each probed checkpoint, and embed them for pictures."""
    chosen = read_settings(settings, steps.Geometry)
    seed = derived_seed(chosen.seed, "geometry") % 2**31
    x_and_y = factors(chosen.lattice)
    behaviour_rows = read_table("behaviour", behaviour)
    metadata = provenance(chosen.plain, latents, samples, behaviour, run=chosen.run)
    pictures = {}
    with open_table("geometry", output, metadata) as table:
        for number, cloud in enumerate(clouds(latents, samples), start=1):
            drawn = (behaviour_rows["step"] == cloud.step) & (behaviour_rows["weights"] == cloud.weights)
            rows = behaviour_rows[drawn].set_index("sample").loc[cloud.sample]
            components = decompose(cloud.vectors)
            umap = embed(components, seed)
            numbers = measure(components, Centres.from_table(rows, x_and_y), seed, umap)
            if cloud.noise == "own":
                pictures[cloud.step, cloud.weights, cloud.layer, cloud.t] = (cloud.sample, components.leading, umap)
            else:
                # No bumps are searched for in these images.
                numbers = numbers[numbers["label"] != "realised"]
            where = {"step": cloud.step, "weights": cloud.weights, "layer": cloud.layer, "t": cloud.t}
            numbers = numbers.assign(**where, noise=cloud.noise)
            table.append(numbers[TABLES["geometry"].names])
            if number % 16 == 0:
                log.info("%s: %d clouds measured", chosen.run, number)
    write_table("embedding", embedding, _embedding_frame(pictures), metadata)


def _embedding_frame(
    pictures: dict[tuple[int, str, str, int], tuple[np.ndarray, np.ndarray, np.ndarray]],
) -> pd.DataFrame:
    """Points of all clouds; the checkpoints of each (weights, layer, t) share one aligned basis."""
    parts = []
    for place in dict.fromkeys(tuple(place) for _, *place in pictures):
        here = {step: value for (step, *where), value in pictures.items() if tuple(where) == place}
        aligned = align({step: pca for step, (_, pca, _) in here.items()})
        for step, (sample, pca, umap) in here.items():
            points = {"step": step, **dict(zip(("weights", "layer", "t"), place, strict=True)), "sample": sample}
            for name, coordinates in (("pca", pca), ("umap", umap), ("aligned", aligned[step])):
                points |= {f"{name}_{k + 1}": coordinates[:, k] for k in range(3)}
            parts.append(pd.DataFrame(points))
    return pd.concat(parts, ignore_index=True)


if __name__ == "__main__":
    execute(geometry)

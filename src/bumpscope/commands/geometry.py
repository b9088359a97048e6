"""Measure the geometry of activations and images at each probed checkpoint, and embed them for pictures."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from bumpscope.commands.interface import SettingsOption, execute, log, read_settings
from bumpscope.config import steps
from bumpscope.config.model import DEFAULT_WEIGHTS
from bumpscope.measure.alignment import align
from bumpscope.measure.components import decompose, embed
from bumpscope.measure.geometry import Centres, measure
from bumpscope.measure.phases import PLACE
from bumpscope.measure.umaps import is_read, umap_numbers
from bumpscope.seeding import derived_seed
from bumpscope.store.clouds import clouds
from bumpscope.store.provenance import with_worlds
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import open_table, provenance, read_table, write_table
from bumpscope.worlds.named import world_of

READS = ("latents", "samples", "behaviour")
WRITES = ("geometry", "embedding", "umaps")


def geometry(
    settings: SettingsOption,
    latents: Annotated[Path, typer.Option(help="table of activation vectors")],
    samples: Annotated[Path, typer.Option(help="table of generated images")],
    behaviour: Annotated[Path, typer.Option(help="table of behaviour: requested and realised centres")],
    output: Annotated[Path, typer.Option(help="table of numbers to write")],
    embedding: Annotated[Path, typer.Option(help="table of picture points to write")],
    umaps: Annotated[Path, typer.Option(help="table of points of UMAPs that phases are read from to write")],
) -> None:
    """Measure the geometry of activations and images at each probed checkpoint, and embed them for pictures."""
    chosen = read_settings(settings, steps.Geometry)
    seed = derived_seed(chosen.seed, "geometry") % 2**31
    factors = world_of(chosen.lattice).factors
    behaviour_rows = read_table("behaviour", behaviour)
    code = with_worlds(["commands.geometry"], [chosen.lattice.world.path])
    metadata = provenance(chosen.plain, latents, samples, behaviour, run=chosen.run, code=code)
    pictures = {}
    places = list(read_table("latents", latents, PLACE).drop_duplicates().itertuples(index=False, name=None))
    with open_table("geometry", output, metadata) as table, open_table("umaps", umaps, metadata) as umap_table:
        for number, cloud in enumerate(clouds(latents, samples), start=1):
            drawn = behaviour_rows["step"] == cloud.step
            # The requests are those of any weights; with default ones no images are kept.
            drawn &= (behaviour_rows["weights"] == cloud.weights) | (cloud.weights == DEFAULT_WEIGHTS)
            rows = behaviour_rows[drawn].drop_duplicates("sample").set_index("sample").loc[cloud.sample]
            components = decompose(cloud.vectors)
            centres = Centres.from_table(rows, factors)
            # Shared noise has no picture.
            umap = embed(components, seed) if cloud.noise == "own" else None
            numbers = measure(components, centres, seed, umap, noiseless=cloud.noise == "shared")
            if umap is not None:
                pictures[cloud.step, cloud.weights, cloud.layer, cloud.t] = (cloud.sample, components.leading, umap)
            else:
                # No bumps are searched for in these images.
                numbers = numbers[numbers["label"] != "realised"]
            where: dict[str, Any] = {"step": cloud.step, "weights": cloud.weights, "layer": cloud.layer, "t": cloud.t}
            if is_read((cloud.weights, cloud.layer, cloud.t), cloud.noise, places):
                read, picture = umap_numbers(components, centres, seed)
                numbers = pd.concat([numbers, read], ignore_index=True)
                points = pd.DataFrame(where | {"noise": cloud.noise, "sample": cloud.sample})
                points[["umap_1", "umap_2"]] = picture
                umap_table.append(points[TABLES["umaps"].names])
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

"""Measure the geometry of the activations at each probed checkpoint, and embed them for pictures."""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from bumpscope.alignment import align
from bumpscope.commands.interface import SettingsOption, execute, log, read_settings
from bumpscope.geometry import decompose, embed, measure
from bumpscope.seeding import derived_seed
from bumpscope.tables import open_table, provenance, read_block, read_table, write_table


def geometry(
    settings: SettingsOption,
    latents: Annotated[Path, typer.Option(help="table of activation vectors")],
    behaviour: Annotated[Path, typer.Option(help="table of behaviour: requested and realised centres")],
    output: Annotated[Path, typer.Option(help="table of numbers to write")],
    embedding: Annotated[Path, typer.Option(help="table of picture points to write")],
) -> None:
    """Measure the geometry of the activations at each probed checkpoint, and embed them for pictures."""
    chosen, plain = read_settings(settings, "seed", "lattice")
    assert chosen.seed is not None and chosen.lattice is not None
    seed = derived_seed(chosen.seed, "geometry") % 2**31
    lattice = chosen.lattice
    centres = read_table("behaviour", behaviour)
    clouds = read_table("latents", latents, ["step", "layer", "t"]).drop_duplicates()
    metadata = provenance(plain, latents, behaviour, run=chosen.run or "")
    pictures = {}
    with open_table("geometry", output, metadata) as table:
        for number, (step, layer, t) in enumerate(clouds.itertuples(index=False), start=1):
            chosen_rows = [("step", "==", int(step)), ("layer", "==", layer), ("t", "==", int(t))]
            vectors = read_block("latents", latents, "vector", chosen_rows)
            sample = read_table("latents", latents, ["sample"], chosen_rows)["sample"]
            at = centres[centres.step == step].set_index("sample").loc[sample]
            components = decompose(vectors)
            pca, umap = embed(components, seed)
            numbers = measure(
                components,
                pca,
                umap,
                mu_x=at.mu_x.to_numpy(),
                mu_y=at.mu_y.to_numpy(),
                x=at.x.to_numpy(),
                y=at.y.to_numpy(),
                seen=(at.split == "seen").to_numpy(),
                boundary=lattice.boundary,
                image_size=lattice.image_size,
                seed=seed,
            )
            numbers = numbers.assign(step=step, layer=layer, t=t)
            table.append(numbers[["step", "layer", "t", "space", "label", "metric", "value"]])
            pictures[step, layer, t] = (sample.to_numpy(), pca, umap)
            if number % 8 == 0 or number == len(clouds):
                log.info("%s: %d of %d activation clouds measured", chosen.run, number, len(clouds))
    write_table("embedding", embedding, _embedding_frame(pictures), metadata)


def _embedding_frame(pictures: dict[tuple[int, str, int], tuple[np.ndarray, np.ndarray, np.ndarray]]) -> pd.DataFrame:
    """Points of all clouds; the checkpoints of each (layer, t) share one aligned basis."""
    parts = []
    for layer, t in dict.fromkeys((layer, t) for _, layer, t in pictures):
        here = {step: value for (step, *where), value in pictures.items() if where == [layer, t]}
        aligned = align({step: pca for step, (_, pca, _) in here.items()})
        for step, (sample, pca, umap) in here.items():
            points = {"step": step, "layer": layer, "t": t, "sample": sample}
            for name, coordinates in (("pca", pca), ("umap", umap), ("aligned", aligned[step])):
                points |= {f"{name}_{k + 1}": coordinates[:, k] for k in range(3)}
            parts.append(pd.DataFrame(points))
    return pd.concat(parts, ignore_index=True)


if __name__ == "__main__":
    execute(geometry)

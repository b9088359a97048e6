"""The clouds of vectors of a run: activations at each checkpoint, layer and timestep, and the images themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bumpscope.config.model import IMAGE_LAYER
from bumpscope.store.tables import read_block, read_table


@dataclass(frozen=True)
class Cloud:
    """One vector a generated image.

    Attributes:
        step, weights, layer, t, noise: where it was read, as in table ``latents``; images have the layer ``image`` and
            t = 0.
        sample: numbers of the images, shape (n,).
        vectors: shape (n, d), float32.
    """

    step: int
    weights: str
    layer: str
    t: int
    noise: str
    sample: np.ndarray
    vectors: np.ndarray


def clouds(latents: Path, samples: Path) -> Iterator[Cloud]:
    """All clouds of tables ``latents`` and ``samples``, one in memory at a time; activations before images.

    The images are a control: what they show themselves, activations that follow them need not have learnt.
    """
    where = ["step", "weights", "layer", "t", "noise"]
    places = read_table("latents", latents, where).drop_duplicates()
    for step, weights, layer, t, noise in places.itertuples(index=False, name=None):
        rows = list(zip(where, ["=="] * len(where), (step, weights, layer, t, noise), strict=True))
        sample = read_table("latents", latents, ["sample"], rows)["sample"].to_numpy()
        yield Cloud(step, weights, layer, t, noise, sample, read_block("latents", latents, "vector", rows))
    drawn = read_table("samples", samples, ["step", "weights"]).drop_duplicates()
    # Of the weights that are judged, which come first.
    weights = str(drawn["weights"].iloc[0])
    for step in drawn.loc[drawn["weights"] == weights, "step"].tolist():
        rows = [("step", "==", step), ("weights", "==", weights)]
        sample = read_table("samples", samples, ["sample"], rows)["sample"].to_numpy()
        yield Cloud(step, weights, IMAGE_LAYER, 0, "own", sample, read_block("samples", samples, "image", rows))

"""Why does a network that draws by composed scores fail? Its own predictions, drawn in each way.

python validation/composed_scores.py RESULTS DATASET

Of each seed of a dataset whose denoiser is ``dropout`` with ``composed: true``: the share of requests, of shown and of
withheld combinations, whose x, whose y and which as a whole are right at the last checkpoint, when the same weights are
asked with both labels, with one, and by composed scores. The last row is the exact denoisers of those images, composed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import typer

import bumpscope
from bumpscope.config.lattice import Lattice
from bumpscope.denoise.arms.dropout import Dropout
from bumpscope.denoise.process import Process
from bumpscope.denoise.samplers import ddim, trailing_timesteps
from bumpscope.measure.lattice_scale import on_lattice_scale
from bumpscope.store.results import Results
from bumpscope.worlds.bumps import from_network
from screen_oracles import SAMPLING_STEPS, SEED, composed, drawn, read, requests

SHOWN = {"both labels": (1.0, 1.0), "x alone": (1.0, 0.0), "y alone": (0.0, 1.0)}


def rows(runs: Results, dataset: str) -> Iterator[dict[str, object]]:
    """A row for each seed, way of asking and split."""
    found = runs.select(dataset=dataset)
    lattice = found[0].settings.lattice
    asked, size = requests(lattice), lattice.image_size
    labels = torch.tensor(asked[["mu_x", "mu_y"]].to_numpy(), dtype=torch.float32)
    noise = torch.randn((len(asked), 1, size, size), generator=torch.Generator().manual_seed(SEED))
    for run in found:
        denoiser = bumpscope.network(run, run.checkpoints[-1], weights="raw")
        assert isinstance(denoiser, Dropout)
        process = Process.from_config(run.settings.diffusion)
        timesteps = trailing_timesteps(process.timesteps, SAMPLING_STEPS)
        ways = {
            name: partial(denoiser.unet, keep=torch.tensor(kept).expand(len(asked), -1)) for name, kept in SHOWN.items()
        }
        for way, ask in {**ways, "composed": denoiser}.items():
            with torch.inference_mode():
                images = ddim(partial(ask, labels=labels), noise, process, timesteps)[:, 0].double().numpy()
            yield from shares(from_network(images), asked, lattice, {"seed": run.seed, "asked with": way})
    exact = composed(asked["mu_x"].to_numpy(), asked["mu_y"].to_numpy(), lattice, 1.0)
    yield from shares(drawn(exact, len(asked), size), asked, lattice, {"seed": "exact", "asked with": "composed"})


def shares(
    images: np.ndarray, asked: pd.DataFrame, lattice: Lattice, row: dict[str, object]
) -> Iterator[dict[str, object]]:
    scale = on_lattice_scale(read(images, asked, lattice), lattice)
    for split, part in scale.groupby("split"):
        yield row | {"split": split} | part[["right_0.45", "right_x", "right_y"]].mean().to_dict()


def main(results: Path, dataset: str = "composed-n8-k4") -> None:
    torch.set_num_threads(1)
    print(pd.DataFrame(rows(bumpscope.open(results), dataset)).round(3).to_string(index=False))


if __name__ == "__main__":
    typer.run(main)

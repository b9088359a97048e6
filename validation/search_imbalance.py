"""Search for balanced datasets that are learnt at different paces, with short runs.

The coupling index compares an imbalanced dataset with balanced ones, its nulls, and says nothing if these are learnt
equally fast. Lattices of many spacings, and skews of many exponents on both axes, are trained with seeds of their own;
no imbalanced dataset is trained. Runs that are in the table already are not repeated.

python validation/search_imbalance.py --processes 2
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import torch

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice, Skew
from bumpscope.config.model import Model
from bumpscope.config.training import Training
from bumpscope.denoise.named import new_denoiser
from bumpscope.denoise.trainer import Trainer, TrainingData
from bumpscope.judge.onsets import onset_time
from bumpscope.probe.checkpoint import Estimator
from bumpscope.probe.effects import decompose, make_probe
from bumpscope.probe.frequency import effects_by_bin, make_binned_probe
from bumpscope.seeding import derived_seed
from bumpscope.worlds.bumps import lattice_points, render, to_network
from truth_tables import load, save

NAME = "imbalance-search"
SEEDS = (100, 101, 102, 103)
SPACINGS = (1 / 6, 0.5, 1.0, 2.0, 4.0, 6.0)
EXPONENTS = (1.0, 2.0, 3.0)
TIMESTEP, SAMPLES = 450, 256
FIRST, EVERY = 100, 50  # optimiser steps


@dataclass(frozen=True)
class Case:
    """A balanced dataset and a seed; ``alpha`` 0 is no skew."""

    spacing: float
    alpha: float
    seed: int

    @property
    def lattice(self) -> Lattice:
        skew = Skew(axis="both", alpha=self.alpha) if self.alpha else Skew()
        return Lattice(margin=2.0, dx=self.spacing, dy=self.spacing, skew=skew)


def cases() -> Iterator[Case]:
    for seed in SEEDS:
        yield from (Case(spacing, 0.0, seed) for spacing in SPACINGS)
        yield from (Case(1.0, alpha, seed) for alpha in EXPONENTS)


def onsets(case: Case) -> pd.DataFrame:
    """Train one run and time its label effects, and its use of labels at rare positions, of each axis."""
    torch.set_num_threads(1)
    cpu, lattice, training = torch.device("cpu"), case.lattice, Training(checkpoints=[0])
    points = lattice_points(lattice)
    images = torch.tensor(to_network(render(points.mu_x, points.mu_y, lattice))[:, None], dtype=torch.float32)
    mu = torch.tensor(np.stack([points.mu_x, points.mu_y], axis=1), dtype=torch.float32)
    data = TrainingData(images, mu, torch.tensor(points.probability))
    network = new_denoiser(lattice, Model(), Diffusion(), case.seed)
    trainer = Trainer(case.seed, data, network, Diffusion(), training, cpu)
    draw = (trainer.process.alpha_bar[TIMESTEP].item(), TIMESTEP, SAMPLES, derived_seed(case.seed, "effects"))
    probe, binned = make_probe(lattice, *draw), make_binned_probe(lattice, *draw)
    model = Estimator(trainer.average.eval(), trainer.process, TIMESTEP)
    steps, curves = [], []
    while trainer.step < training.steps:
        trainer.advance()
        if trainer.step >= FIRST and trainer.step % EVERY == 0:
            found = decompose(model(probe.x_t, probe.labels), probe)
            rare = effects_by_bin(model, binned, lattice).set_index(["bin_x", "bin_y"])
            x, y = ("rare", "all"), ("all", "rare")
            use = (rare.use_x.get(x, np.nan), rare.use_y.get(y, np.nan))
            steps.append(trainer.step)
            curves.append([found["effect_x"], found["effect_y"], *use])
    times = [onset_time(steps, curve) for curve in np.transpose(curves)]
    rows = [
        asdict(case) | {"measure": measure, "tau_x": times[place], "tau_y": times[place + 1]}
        for place, measure in ((0, "effects"), (2, "rare"))
    ]
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=1)
    chosen = parser.parse_args()
    kept = load(NAME)
    table = pd.DataFrame() if kept is None else kept[0]
    done = set() if table.empty else set(zip(table.spacing.round(4), table.alpha, table.seed, strict=True))
    wanted = [case for case in cases() if (round(case.spacing, 4), case.alpha, case.seed) not in done]
    with ProcessPoolExecutor(chosen.processes) as pool:
        for found in pool.map(onsets, wanted):
            print(found.round(2).to_string(index=False, header=False), flush=True)
            table = pd.concat([table, found], ignore_index=True)
            save(NAME, table)


if __name__ == "__main__":
    main()

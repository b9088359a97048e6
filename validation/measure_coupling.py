"""Measure the coupling index of models of known coupling, and of the network under study, on one swapped pair.

    python validation/measure_coupling.py own_resolution equal_resolution gated factorised [--seeds 0 1] [--folder DIR]

The pair are lattices of 72 x 2 and 2 x 72 positions; its nulls have one position on one axis. Learning rates are
constant. The references are smaller than in the workflow: the factorised one has narrow networks, and the gated one's
network is the exact denoiser, which need not be trained. Writes coupling-curves.parquet, rows of table ``metrics`` of
the raw weights, to which runs are added as they end, and coupling-index.parquet, the table ``coupling``.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from bumpscope.commands.runs import of_settings
from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice
from bumpscope.config.model import Model
from bumpscope.config.steps import Train
from bumpscope.config.training import Training
from bumpscope.denoise.denoiser import Denoiser
from bumpscope.denoise.named import new_denoiser
from bumpscope.denoise.references import GATE_OPENS, EqualResolution, Gated
from bumpscope.denoise.trainer import Trainer, TrainingData
from bumpscope.judge.coupling import coupling
from bumpscope.probe.checkpoint import Estimator
from bumpscope.probe.effects import decompose, make_probe
from bumpscope.probe.resolution import ResolutionFit
from bumpscope.seeding import derived_seed
from bumpscope.worlds.bumps import FINEST, lattice_points, render, to_network
from truth_tables import RESULTS, load, save

CURVES, INDEX = "coupling-curves", "coupling-index"
# The pair, then the nulls of x and of y, and those of the swapped dataset.
COUNTS = ((72, 2), (2, 72), (72, 1), (1, 2), (2, 1), (1, 72))
TIMESTEP, PROBES = 450, 128
QUANTITIES = ("resolution", "effect")
NARROW = {"channel_multipliers": [1, 1, 1], "attention_resolutions": []}
# Model -> sizes and what the network predicts, and the training.
CASES: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "none": ({}, "epsilon", {"steps": 400}),
    "factorised": (NARROW, "v", {"steps": 240, "batch_size": 32, "learning_rate": 4e-3, "warmup_steps": 20}),
    "gated": ({}, "epsilon", {"steps": 1600}),
    "equal_resolution": ({}, "epsilon", {"steps": 400}),
    "own_resolution": ({}, "epsilon", {"steps": 400}),
}
EVERY = {
    "none": 25,
    "factorised": 15,
    "gated": 20,
    "equal_resolution": 20,
    "own_resolution": 20,
}  # steps between measurements


def settings(reference: str, counts: tuple[int, int], seed: int) -> Train:
    """How a model is trained on a lattice of this many positions along x and y."""
    sizes, prediction, training = CASES[reference]
    lattice = Lattice(margin=2.0, dx=12 / counts[0], dy=12 / counts[1])
    return Train(
        run=f"{reference}-{counts[0]}x{counts[1]}-seed{seed}",
        seed=seed,
        lattice=lattice,
        model=Model(reference=reference, **sizes),
        diffusion=Diffusion(prediction=prediction),
        training=Training(learning_rate_schedule="constant", checkpoints=[0], **training),
    )


def untrained(chosen: Train) -> Denoiser:
    if chosen.model.reference != "gated":
        return new_denoiser(chosen.lattice, chosen.model, chosen.diffusion, chosen.seed)
    exact = EqualResolution(chosen.lattice, chosen.diffusion)
    exact.ln_resolution.data.fill_(math.log(FINEST * min(chosen.lattice.dx, chosen.lattice.dy)))
    return Gated(exact)


def curves(chosen: Train) -> pd.DataFrame:
    """Train a model and measure it on the way."""
    torch.set_num_threads(1)
    lattice, training = chosen.lattice, chosen.training
    points = lattice_points(lattice)
    images = torch.tensor(to_network(render(points.mu_x, points.mu_y, lattice))[:, None], dtype=torch.float32)
    mu = torch.tensor(np.stack([points.mu_x, points.mu_y], axis=1), dtype=torch.float32)
    data, network = TrainingData(images, mu, torch.tensor(points.probability)), untrained(chosen)
    trainer = Trainer(chosen.seed, data, network, chosen.diffusion, training, torch.device("cpu"))
    if isinstance(network, Gated):
        trainer.step = round(GATE_OPENS * training.steps)
    alpha_bar = trainer.process.alpha_bar[TIMESTEP].item()
    probe = make_probe(lattice, alpha_bar, TIMESTEP, PROBES, derived_seed(chosen.seed, "effects"))
    fit, model = ResolutionFit(probe, alpha_bar, lattice), Estimator(network, trainer.process, TIMESTEP)
    rows = []
    while True:
        if trainer.step % EVERY[chosen.model.reference] == 0:
            D = model(probe.x_t, probe.labels)
            found = decompose(D, probe) | fit.fit(D)
            for quantity in QUANTITIES:
                rows += [
                    {"step": trainer.step, "quantity": quantity, "factor": axis, "value": found[f"{quantity}_{axis}"]}
                    for axis in "xy"
                ]
        if trainer.step == training.steps:
            break
        trainer.advance()
    return pd.DataFrame(rows).assign(t=TIMESTEP, weights="raw", bin=None, seed=chosen.seed)


def index(table: pd.DataFrame) -> pd.DataFrame:
    """Table ``coupling`` of the curves measured."""
    each = table[["reference", "n_x", "n_y", "seed"]].drop_duplicates().itertuples(index=False)
    runs = [
        of_settings(settings(one.reference, (one.n_x, one.n_y), one.seed))
        | {"dataset": f"{one.n_x}x{one.n_y}_{one.reference}"}
        for one in each
    ]
    dataset = table["n_x"].astype(str) + "x" + table["n_y"].astype(str) + "_" + table["reference"]
    return coupling(table.assign(dataset=dataset, split=None), pd.DataFrame(runs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", choices=[*CASES, []], help="none is the network under study")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--folder", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    kept = load(CURVES, chosen.folder)
    table = pd.DataFrame() if kept is None else kept[0]
    for model in chosen.models:
        for seed in chosen.seeds:
            for n_x, n_y in COUNTS:
                case = {"reference": model, "n_x": n_x, "n_y": n_y, "seed": seed}
                if len(table) and (table[list(case)] == pd.Series(case)).all(axis=1).any():
                    continue
                started = time.process_time()
                found = curves(settings(model, (n_x, n_y), seed)).assign(**case)
                table = pd.concat([table, found], ignore_index=True)
                save(CURVES, table, chosen.folder)
                print(f"{model} {n_x}x{n_y} seed {seed}: {time.process_time() - started:.0f} s", flush=True)
    found = index(table)
    save(INDEX, found, chosen.folder)
    shown = ["dataset", "measure", "coupling", "low", "high", "gap", "null_gap", "runs", "verdict"]
    print(found.loc[found["swapped"].notna() & found["measure"].isin(["resolution", "effects"]), shown].to_string())


if __name__ == "__main__":
    main()

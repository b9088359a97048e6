"""Measure how far a training changes with threads, processor instructions, device and seed.

    python validation/determinism.py [--device cuda] [--folder DIR]

Each variant of a small training runs in a process of its own; other seeds show how large a difference matters. With
--device cuda the training on the GPU is compared with the kept numbers of the CPU. Writes determinism-DEVICE.parquet,
a row for each variant, and on the CPU determinism-kept.parquet, which later runs are compared with.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice
from bumpscope.config.model import Model
from bumpscope.config.probe import Probe
from bumpscope.config.training import Training
from bumpscope.denoise.devices import device as hold_device
from bumpscope.denoise.process import Process
from bumpscope.denoise.trainer import Trainer, TrainingData
from bumpscope.denoise.unet import new_network
from bumpscope.measure.components import decompose, embed
from bumpscope.measure.geometry import Centres, measure
from bumpscope.probe.checkpoint import Estimator
from bumpscope.probe.effects import decompose as label_effects
from bumpscope.probe.effects import make_probe
from bumpscope.probe.generation import generate, noise_seeds
from bumpscope.worlds.behaviour import classify
from bumpscope.worlds.bumps import factors, lattice_points, render, to_network
from bumpscope.worlds.requests import requested_centres
from truth_tables import RESULTS, load, save

# Half a minute, and stopped while some images come out wrong, where differences show most.
LATTICE = Lattice(image_size=8, sigma=0.8, margin=1.0)
MODEL = Model(attention_resolutions=[2])
DIFFUSION = Diffusion(prediction="v")
TRAINING = Training(steps=600, batch_size=32, checkpoints=[600])
PROBE = Probe(samples=256, sampling_steps=20, layers=["down3"], timesteps=[239], checkpoints=[600])
EFFECT_TIMESTEP = 450
EARLY = 20  # steps after which weights are compared for the first time
SEEDS = (0, 1, 2, 3)
KEPT_EVERY = 64  # weights; the others say the same
METRICS = ("correct", "median_error", "effect_x", "effect_y", "r2_requested", "dimension")
# Simpler processors, as far as the libraries can be told.
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
PLAIN = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"}
VARIANTS: dict[str, tuple[int, int, dict[str, str]]] = {
    "as it was": (0, 1, {}),
    "again": (0, 1, {}),
    "two threads": (0, 2, {}),
    "instructions up to AVX2": (0, 1, AVX2),
    "instructions up to SSE4.1": (0, 1, PLAIN),
} | {f"seed {seed}": (seed, 1, {}) for seed in SEEDS[1:]}
ON_A_GPU: dict[str, tuple[int, int, dict[str, str]]] = {"on the GPU": (0, 1, {}), "on the GPU, again": (0, 1, {})}
ON_A_GPU |= {f"on the GPU, seed {seed}": (seed, 1, {}) for seed in SEEDS[1:]}


def training_data(place: torch.device) -> TrainingData:
    points = lattice_points(LATTICE)
    images = to_network(render(points.mu_x, points.mu_y, LATTICE))[:, None]
    mu = np.stack([points.mu_x, points.mu_y], axis=1)
    tensors = (
        torch.tensor(images, dtype=torch.float32),
        torch.tensor(mu, dtype=torch.float32),
        torch.tensor(points.probability),
    )
    return TrainingData(*tensors).to(place)


def train_and_measure(seed: int, threads: int, device: str) -> dict[str, np.ndarray]:
    """One training: losses, averaged weights early and at the end, and the numbers of ``METRICS``."""
    with hold_device(device) as place:
        torch.set_num_threads(threads)
        network = new_network(LATTICE.image_size, MODEL, seed)
        trainer = Trainer(seed, training_data(place), network, DIFFUSION, TRAINING, place)
        while trainer.step < EARLY:
            trainer.advance()
        early = trainer.average_flat.detach().cpu().numpy().copy()
        while trainer.step < TRAINING.steps:
            trainer.advance()
        found = metrics(trainer.average.eval(), seed, place)
        return {
            "losses": np.array(trainer.log.losses),
            "early": early,
            "weights": trainer.average_flat.detach().cpu().numpy(),
            "metrics": np.array([found[name] for name in METRICS]),
            "instructions": np.array(torch.backends.cpu.get_cpu_capability()),
        }


def metrics(network: torch.nn.Module, seed: int, place: torch.device) -> dict[str, float]:
    """The numbers that the workflow would read of this network."""
    process = Process.from_config(DIFFUSION, place)
    centres = requested_centres(LATTICE, PROBE.samples)
    mu_x, mu_y = centres.mu_x.to_numpy(), centres.mu_y.to_numpy()
    made = generate(network, process, PROBE, centres, noise_seeds(seed, len(centres)))
    drawn = classify(made.images.astype(np.float64), mu_x, mu_y, LATTICE, tolerance=1.0, faint=0.25)
    components = decompose(next(iter(made.activations.values())))
    where = Centres.from_table(centres.join(drawn), factors(LATTICE))
    clouds = measure(components, where, seed, embed(components, seed))
    probe = make_probe(LATTICE, process.alpha_bar[EFFECT_TIMESTEP].item(), EFFECT_TIMESTEP, 256, seed)
    with torch.inference_mode():
        estimate = Estimator(network, process, EFFECT_TIMESTEP)(probe.x_t, probe.labels)
    effects = label_effects(estimate, probe)

    def of_cloud(metric: str, space: str, label: str) -> float:
        fits = (clouds.metric == metric) & (clouds.space == space) & (clouds.label.fillna("") == label)
        return float(clouds.value[fits].iloc[0])

    return {
        "correct": float((drawn.outcome == "correct").mean()),
        "median_error": float(drawn.error[drawn.bumps == 1].median()),
        "effect_x": effects["effect_x"],
        "effect_y": effects["effect_y"],
        "r2_requested": of_cloud("r2", "pca3", "requested"),
        "dimension": of_cloud("dimension_mada_denoised", "raw", ""),
    }


def in_a_process(seed: int, threads: int, environment: dict[str, str], device: str) -> dict[str, np.ndarray]:
    """:func:`train_and_measure` in a process of its own, since libraries read their environment once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "found.npz")
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        command = [sys.executable, __file__, "--one", str(path), "--seed", str(seed), "--threads", str(threads)]
        subprocess.run([*command, "--device", device], check=True, env=os.environ | one_thread | environment)
        with np.load(path) as file:
            return dict(file)


def compared(found: dict[str, np.ndarray], kept: dict[str, np.ndarray]) -> dict[str, object]:
    """Norms of the differences of weights over the norm, largest relative difference of losses, and metrics."""

    def apart(name: str) -> float:
        mine = found[name] if len(found[name]) == len(kept[name]) else found[name][::KEPT_EVERY]
        return float(np.linalg.norm(mine.astype(np.float64) - kept[name]) / np.linalg.norm(kept[name]))

    return {
        "early": apart("early"),
        "weights": apart("weights"),
        "losses": float(np.max(np.abs(found["losses"] / kept["losses"] - 1))),
        "digest": hashlib.sha256(found["weights"].tobytes()).hexdigest()[:12],
        "instructions": str(found["instructions"]),
        **dict(zip(METRICS, found["metrics"].tolist(), strict=True)),
    }


def keep(found: dict[str, np.ndarray], folder: Path) -> None:
    parts = {"losses": found["losses"], **{name: found[name][::KEPT_EVERY] for name in ("early", "weights")}}
    save(
        "determinism-kept",
        pd.concat([pd.DataFrame({"what": name, "value": values}) for name, values in parts.items()]),
        folder,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--folder", type=Path, default=RESULTS)
    parser.add_argument("--one", type=Path, help="one training alone, to this file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    if chosen.one is not None:
        np.savez(chosen.one, **train_and_measure(chosen.seed, chosen.threads, chosen.device))
        return
    kept: dict[str, np.ndarray] = {}
    if chosen.device == "cuda":
        table = load("determinism-kept", chosen.folder)
        if table is None:
            raise SystemExit(f"{chosen.folder}: holds no numbers of a CPU; run this without --device first")
        kept = {str(name): rows.value.to_numpy() for name, rows in table[0].groupby("what")}
    rows = []
    for name, (seed, threads, environment) in (VARIANTS if chosen.device == "cpu" else ON_A_GPU).items():
        found = in_a_process(seed, threads, environment, chosen.device)
        if not kept:
            keep(found, chosen.folder)
            kept = found
        rows.append({"variant": name, "seed": seed, "threads": threads} | compared(found, kept))
        print(rows[-1], flush=True)
    save(f"determinism-{chosen.device}", pd.DataFrame(rows), chosen.folder)


if __name__ == "__main__":
    main()

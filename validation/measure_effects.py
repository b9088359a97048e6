"""Measure the label effects of denoisers whose use of the labels is known.

    python validation/measure_effects.py [--probes 256] [--folder DIR]

The denoisers are the Bayes optima that know no label, x only, y only and both, by brute force over the lattice's images
rather than by the probe's closed form: in double precision, and as a network's float32 predictions of the noise or of
v. Writes effects.parquet, a row for each lattice, timestep, form and denoiser, and effects-large.parquet, the cost of a
lattice of 10,000 points.
"""

from __future__ import annotations

import argparse
import math
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Holdout, Lattice, Skew
from bumpscope.config.probe import Probe
from bumpscope.denoise.process import Process
from bumpscope.probe.effects import EffectProbe, decompose, make_probe
from bumpscope.worlds.bumps import LatticePoints, lattice_points, render, to_network
from truth_tables import RESULTS, save

LATTICES = {
    "plane": Lattice(),
    "uneven spacing": Lattice(dx=0.5, dy=2.0),
    "torus": Lattice(sigma=2.0, boundary="torus"),
    "dark": Lattice(polarity="dark"),
    "skewed": Lattice(skew=Skew(axis="x", alpha=1.5)),
    "held-out block": Lattice(holdout=Holdout(x=[5.0, 8.0], y=[6.0, 9.0])),
}
LARGE = Lattice(dx=0.12, dy=0.12)
FORMS = ("float64", "epsilon", "v")
DENOISERS = {"blind": (0, 0, 0), "x only": (1, 0, 0), "y only": (0, 1, 0), "both": (1, 1, 1)}


def alpha_bar(t: int) -> float:
    """Share of the signal's variance left at ``t`` of the default process."""
    return Process.from_config(Diffusion()).alpha_bar[t].item()


def brute_force(
    x_t: np.ndarray, alpha_bar: float, lattice: Lattice, agrees: Callable[[int, LatticePoints], np.ndarray]
) -> np.ndarray:
    """Posterior means of the clean images, as the definition has it: one probe at a time, over all images.

    Args:
        x_t: noisy images in the network's range, shape (n, N, N).
        agrees: which lattice points are possible given the labels of the probe of this number, shape (K,).

    Returns:
        Shape (n, N*N), float64, network's range.
    """
    points = lattice_points(lattice)
    images = to_network(render(points.mu_x, points.mu_y, lattice)).reshape(len(points.mu_x), -1)
    means = []
    for n, noisy in enumerate(x_t.reshape(len(x_t), -1)):
        keep = (points.probability > 0) & agrees(n, points)
        logits = -((noisy - math.sqrt(alpha_bar) * images[keep]) ** 2).sum(1) / (2 * (1 - alpha_bar))
        means.append(softmax(logits + np.log(points.probability[keep])) @ images[keep])
    return np.array(means)


def bayes_denoisers(probe: EffectProbe, alpha_bar: float, lattice: Lattice) -> dict[str, np.ndarray]:
    """What the optimum that knows no label, x only, y only and both answers, by brute force; shape (n, N*N) each."""

    def same_x(n: int, points: LatticePoints) -> np.ndarray:
        return np.isclose(points.mu_x, probe.labels[n, 0])

    def same_y(n: int, points: LatticePoints) -> np.ndarray:
        return np.isclose(points.mu_y, probe.labels[n, 1])

    possible = {
        "blind": lambda n, points: np.ones(len(points.mu_x), dtype=bool),
        "x only": same_x,
        "y only": same_y,
        "both": lambda n, points: same_x(n, points) & same_y(n, points),
    }
    return {name: brute_force(probe.x_t, alpha_bar, lattice, agrees) for name, agrees in possible.items()}


def through_prediction(estimates: np.ndarray, probe: EffectProbe, form: str) -> np.ndarray:
    """The estimates after they went through a network's float32 prediction of ``form``; unchanged for float64."""
    if form == "float64":
        return estimates
    process = Process.from_config(Diffusion(prediction=form))
    x0, x_t = (torch.tensor(images).reshape(len(estimates), 1, -1, 1) for images in (estimates, probe.x_t))
    t = torch.full((len(estimates),), probe.t)
    signal, sigma = process.scales(t, x0)
    prediction = process.target(x0, (x_t - signal * x0) / sigma, t)
    return process.denoised(prediction.float(), x_t.float(), t).double().reshape(estimates.shape).numpy()


def decomposed(name: str, lattice: Lattice, t: int, probes: int) -> pd.DataFrame:
    """What is found of each denoiser on one lattice at one timestep.

    Returns:
        A row a form and denoiser: deviation, the largest of (a, b, c) from what is known; residual, excess, condition,
        as from :func:`bumpscope.probe.effects.decompose`; posterior_deviation, the largest of the probe's own
        posterior mean from this denoiser's (intensity, network's range).
    """
    share = alpha_bar(t)
    probe = make_probe(lattice, share, t, probes, seed=0)
    own = {
        "blind": probe.D0,
        "x only": probe.exact[0,],
        "y only": probe.exact[1,],
        "both": probe.x0.reshape(probes, -1),
    }
    rows = []
    for denoiser, exact in bayes_denoisers(probe, share, lattice).items():
        for form in FORMS:
            found = decompose(through_prediction(exact, probe, form), probe)
            effects = np.array([found["effect_x"], found["effect_y"], found["effect_xy"]])
            rows.append(
                {
                    "lattice": name,
                    "t": t,
                    "alpha_bar": share,
                    "form": form,
                    "denoiser": denoiser,
                    "deviation": np.abs(effects - DENOISERS[denoiser]).max(),
                    "residual": found["residual"],
                    "excess": found["excess"],
                    "condition": found["condition"],
                    "posterior_deviation": np.abs(exact - own[denoiser]).max(),
                }
            )
    return pd.DataFrame(rows)


def cost(lattice: Lattice, t: int, probes: int) -> pd.DataFrame:
    """Time (s) and peak memory (bytes) of a probe of a lattice, beside the size of the lattice's images.

    Timed and traced apart, since tracing takes time itself.
    """
    started = time.perf_counter()
    make_probe(lattice, alpha_bar(t), t, probes, seed=0)
    seconds = time.perf_counter() - started
    tracemalloc.start()
    try:
        make_probe(lattice, alpha_bar(t), t, probes, seed=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    points = len(lattice_points(lattice).mu_x)
    weights, images = 8 * points * probes, 8 * points * lattice.image_size**2
    return pd.DataFrame(
        [{"points": points, "probes": probes, "seconds": seconds, "peak": peak, "weights": weights, "images": images}]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--probes", type=int, default=Probe().effect_samples, help="noised images at each timestep")
    parser.add_argument("--folder", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    times = Probe().effect_timesteps
    found = [decomposed(name, lattice, t, chosen.probes) for name, lattice in LATTICES.items() for t in times]
    save("effects", pd.concat(found, ignore_index=True), chosen.folder)
    save("effects-large", cost(LARGE, times[1], chosen.probes), chosen.folder)


if __name__ == "__main__":
    main()

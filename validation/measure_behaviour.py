"""Measure how well the behaviour instrument counts and locates bumps that were drawn.

    python validation/measure_behaviour.py [--images 2000] [--repeats 300] [--folder DIR]

Writes behaviour-counts.parquet, a row for each image, and behaviour-positions.parquet, a row for each place,
amplitude, width and noise.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from bumpscope.config.analysis import Analysis
from bumpscope.config.lattice import Lattice
from bumpscope.worlds import behaviour
from drawn_bumps import bound, drawn, places, random_bumps, shown
from truth_tables import RESULTS, save

LATTICES = {"plane": Lattice(), "plane, to the edge": Lattice(margin=0.0), "torus": Lattice(boundary="torus")}
FAINT = Analysis().faint
# No bump may be miscounted in the first band; in the second miscounts are only reported.
BANDS = {"0.6 to 1.2": (0.6, 1.2), "0.3 to 0.6": (0.3, 0.6)}
COUNT_NOISES = (0.0, 0.01, 0.02, 0.05)
MOST_BUMPS = 3
AMPLITUDES, WIDTHS, POSITION_NOISES = (0.3, 0.6, 1.2), (0.8, 1.0, 1.3), (0.0, 0.01, 0.02, 0.05)


def counts(lattice: Lattice, amplitudes: tuple[float, float], images: int, generator: np.random.Generator):
    """Images of 0 to 3 bumps, each number and each noise equally often.

    Returns:
        A row for each image: noise, truth and found (bumps), weakest (least amplitude; NaN without bumps), nearest
        (distance of the closest two, sigma; NaN below two) and error (largest distance of a bump found from the one
        drawn, px; only without noise and with the right count).
    """
    combinations = list(itertools.product(COUNT_NOISES, range(MOST_BUMPS + 1)))
    rows, pictures = [], []
    for index in range(images):
        noise, truth = combinations[index % len(combinations)]
        bumps = random_bumps(generator, truth, lattice, amplitudes)
        image = drawn(bumps, lattice) + noise * generator.standard_normal((lattice.image_size,) * 2)
        gaps = behaviour.distance(bumps[:, None, 0], bumps[:, None, 1], bumps[:, 0], bumps[:, 1], lattice)
        rows.append(
            {
                "noise": noise,
                "truth": truth,
                "weakest": bumps[:, 2].min() if truth else np.nan,
                "nearest": gaps[np.triu_indices(truth, 1)].min() / lattice.sigma if truth > 1 else np.nan,
                "error": _largest_error(image, bumps, lattice) if truth and noise == 0 else np.nan,
            }
        )
        pictures.append(image)
    nowhere = np.zeros(images)
    table = behaviour.classify(shown(np.array(pictures), lattice), nowhere, nowhere, lattice, 1.0, FAINT)
    return pd.DataFrame(rows).assign(found=table["bumps"])


def _largest_error(image: np.ndarray, bumps: np.ndarray, lattice: Lattice) -> float:
    """The largest distance (px) of a bump that counts from the one drawn; NaN where they are not as many."""
    found = behaviour.find_bumps(shown(image, lattice), lattice)
    found = found[found.amplitude >= FAINT].to_numpy()
    if len(found) != len(bumps):
        return np.nan
    gaps = behaviour.distance(bumps[:, None, 0], bumps[:, None, 1], found[:, 0], found[:, 1], lattice)
    return float(gaps[linear_sum_assignment(gaps)].max())


def position_errors(
    lattice: Lattice,
    amplitudes: Iterable[float],
    widths: Iterable[float],
    noises: Iterable[float],
    repeats: int,
    generator: np.random.Generator,
) -> pd.DataFrame:
    """Position errors of one bump at each of :func:`drawn_bumps.places`.

    Args:
        widths: in sigma.
        noises: standard deviations a pixel; without noise one image suffices.

    Returns:
        Columns place, amplitude, width, noise, rms (px), bound (Cramér-Rao, px), ratio of the two (NaN without
        noise) and found (share of images with any bump).
    """
    rows = []
    size = lattice.image_size
    for (place, (x, y)), amplitude, width, noise in itertools.product(
        places(lattice).items(), amplitudes, widths, noises
    ):
        truth = np.array([x, y, amplitude, width * lattice.sigma])
        n = repeats if noise else 1
        images = drawn([truth], lattice) + noise * generator.standard_normal((n, size, size))
        table = behaviour.classify(shown(images, lattice), np.full(n, x), np.full(n, y), lattice, 1.0, FAINT)
        rms = float(np.sqrt(np.nanmean(table["error"] ** 2)))
        least = bound(truth, lattice, noise)
        ratio = rms / least if noise else np.nan
        rows.append((place, amplitude, width, noise, rms, least, ratio, table["x"].notna().mean()))
    names = ["place", "amplitude", "width", "noise", "rms", "bound", "ratio", "found"]
    return pd.DataFrame(rows, columns=names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000, help="for each lattice and band of amplitudes")
    parser.add_argument("--repeats", type=int, default=300, help="images with the same bump in other noise")
    parser.add_argument("--folder", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    generator = np.random.default_rng(20)
    counted = [
        counts(lattice, amplitudes, chosen.images, generator).assign(lattice=name, band=band)
        for name, lattice in LATTICES.items()
        for band, amplitudes in BANDS.items()
    ]
    save("behaviour-counts", pd.concat(counted, ignore_index=True), chosen.folder)
    located = [
        position_errors(lattice, AMPLITUDES, WIDTHS, POSITION_NOISES, chosen.repeats, generator).assign(lattice=name)
        for name, lattice in LATTICES.items()
    ]
    save("behaviour-positions", pd.concat(located, ignore_index=True), chosen.folder)


if __name__ == "__main__":
    main()

"""Label effects separately for common and rare positions: does a common y help a rare x?

Each pair of frequency bins gets equally many centres, drawn with their training probabilities, and is weighted back
where bins are pooled. The exact denoisers keep the training probabilities as their prior, so their estimate at a rare
position is drawn to the common ones, like the network's. Within a bin even a label-blind network's error then points
along the directions of the labels; its effects at rare positions can reach 0.6. So each effect comes with the same fit
to the network's answers to permuted labels, and with a measure that needs no prior: how much wrong labels increase the
error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bumpscope.config.lattice import Lattice
from bumpscope.probe.effects import EffectProbe, direction_lengths, noised_probe, projections, solvable
from bumpscope.worlds.bumps import BINS, frequency_bins, lattice_points, render, to_network

ALL = "all"
# A fit pools at least this many probes, since each has its own noise.
FEWEST_A_CELL = 32
# From noised images x_t (n, N, N) and centres mu_x, mu_y (n,) to estimates of the clean images, shape (n, N*N).
Estimate = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class BinnedProbe:
    """A probe with equally many centres in each pair of bins that training draws from.

    Attributes:
        probe: noised images and their exact estimates.
        bin_x, bin_y: of each centre, names from ``BINS``, shape (n,).
        weight: probability that training draws from this pair of bins, over its number of centres; shape (n,).
        order: a permutation of the centres, for the control.
    """

    probe: EffectProbe
    bin_x: np.ndarray
    bin_y: np.ndarray
    weight: np.ndarray
    order: np.ndarray


def make_binned_probe(lattice: Lattice, alpha_bar_t: float, t: int, n: int, seed: int) -> BinnedProbe:
    """Draw about ``n`` centres, at least 32 in every pair of bins, and noise their images to ``t``.

    The draw depends only on (seed, t) and the lattice.
    """
    generator = np.random.default_rng([seed, t, len(BINS)])
    points = lattice_points(lattice)
    bins_x, bins_y = frequency_bins(points.mu_x, lattice, "x"), frequency_bins(points.mu_y, lattice, "y")
    count = max(FEWEST_A_CELL, n // len(BINS) ** 2)
    drawn, weight = [], []
    for name_x in BINS:
        for name_y in BINS:
            probability = points.probability * (bins_x == name_x) * (bins_y == name_y)
            share = probability.sum()
            if share > 0:
                drawn.append(generator.choice(len(probability), size=count, p=probability / share))
                weight.append(np.full(count, share / count))
    chosen = np.concatenate(drawn)
    probe = noised_probe(points.mu_x[chosen], points.mu_y[chosen], lattice, alpha_bar_t, t, generator)
    return BinnedProbe(
        probe, bins_x[chosen], bins_y[chosen], np.concatenate(weight), generator.permutation(len(chosen))
    )


def effects_by_bin(model: Estimate, binned: BinnedProbe, lattice: Lattice) -> pd.DataFrame:
    """How a model uses each label, in every bin of x, of y and in every pair of bins.

    Returns:
        Columns bin_x, bin_y (names from ``BINS``, or all) and probes;

        - effect_x, effect_y, excess: as from :func:`bumpscope.probe.effects.decompose`, with the same blanks;
        - effect_x_permuted, effect_y_permuted: the same with the label of this axis taken from another probe. A
          control: the part of the effect that does not need the label;
        - use_x, use_y: how much the error grows with the label of this axis taken from another probe, over how much
          it would grow for a model that draws exactly what it is asked for. 0 for a model that ignores the label, 1
          for one that obeys it; errors that do not depend on the label cancel. NaN where permuting changes no label.
    """
    probe, order = binned.probe, binned.order
    x0 = probe.x0.reshape(probe.D0.shape)
    labels = {"x": (probe.mu_x[order], probe.mu_y), "y": (probe.mu_x, probe.mu_y[order])}
    answer = model(probe.x_t, probe.mu_x, probe.mu_y)
    permuted = {axis: model(probe.x_t, *mu) for axis, mu in labels.items()}
    gram, projection = projections(answer, probe)
    projected = {axis: projections(D, probe)[1] for axis, D in permuted.items()}
    error, blind, fitted = _squares(answer - x0), _squares(x0 - probe.D0), probe.fitted
    growth = {axis: _squares(D - x0) - error for axis, D in permuted.items()}
    requested = {axis: to_network(render(*mu, lattice)).reshape(x0.shape) for axis, mu in labels.items()}
    obeyed = {axis: _squares(image - x0) for axis, image in requested.items()}
    rows = []
    for name_x in (*BINS, ALL):
        for name_y in (*BINS, ALL):
            inside = np.isin(binned.bin_x, BINS if name_x == ALL else [name_x])
            inside &= np.isin(binned.bin_y, BINS if name_y == ALL else [name_y])
            if not inside.any():
                continue
            weight = binned.weight * inside
            length = float(np.linalg.norm(x0[inside]))
            row = {"bin_x": name_x, "bin_y": name_y, "probes": int(inside.sum())}
            row |= dict(zip(("effect_x", "effect_y"), _fit(weight, gram, projection, fitted, length), strict=True))
            row["excess"] = float(weight @ error / (weight @ blind))
            for place, axis in enumerate("xy"):
                row[f"effect_{axis}_permuted"] = _fit(weight, gram, projected[axis], fitted, length)[place]
                most = float(weight @ obeyed[axis])
                row[f"use_{axis}"] = float(weight @ growth[axis]) / most if most > 0 else np.nan
            rows.append(row)
    return pd.DataFrame(rows)


def _squares(images: np.ndarray) -> np.ndarray:
    """Squared norm of each row."""
    return np.einsum("np,np->n", images, images)


def _fit(
    weight: np.ndarray, gram: np.ndarray, projection: np.ndarray, fitted: np.ndarray, length: float
) -> tuple[float, float]:
    normal, effects = np.tensordot(weight, gram, 1) / weight.max(), np.full(3, np.nan)
    if solvable(direction_lengths(normal, fitted), length):
        right = (weight @ projection / weight.max())[fitted]
        effects[fitted] = np.linalg.solve(normal[np.ix_(fitted, fitted)], right)
    return float(effects[0]), float(effects[1])

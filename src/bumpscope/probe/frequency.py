"""Label effects apart for common and rare positions: does a common y help a rare x?

Centres are drawn with their training probabilities within each pair of frequency bins, so that rare positions are
seen as often as common ones, and weighted back where bins are put together. The exact denoisers keep the training
probabilities for their prior: their estimate at a rare position is drawn to the common ones, as the network's is.
Within a bin this makes even a label-blind network's error point along the directions of the labels: at rare positions
its effects can be 0.6. So each effect stands beside the same fit to the network's answers to permuted labels, and
beside a measure that needs no prior: by how much wrong labels make the answer worse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bumpscope.config.lattice import Lattice
from bumpscope.probe.effects import VANISHED, EffectProbe, noised_probe, projections
from bumpscope.worlds.bumps import BINS, frequency_bins, lattice_points, render, to_network

ALL = "all"
# A fit pools at least this many probes: each has 3 directions in some hundred pixels, but noise of its own.
FEWEST_A_CELL = 32
# Estimates of the clean images of noised images x_t (n, N, N) for centres mu_x, mu_y (n,); shape (n, N*N).
Model = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class BinnedProbe:
    """A probe with as many centres in each pair of bins that training draws from.

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

    The draw depends on (seed, t) and the lattice alone.
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


def effects_by_bin(model: Model, binned: BinnedProbe, lattice: Lattice) -> pd.DataFrame:
    """What a model makes of each label, in every bin of x, of y and in every pair of bins.

    Returns:
        Columns bin_x, bin_y (names from ``BINS``, or all) and probes;

        - effect_x, effect_y, excess: as by :func:`bumpscope.probe.effects.decompose`, NaN where a direction is lost;
        - effect_x_permuted, effect_y_permuted: a control, the same where the label of this axis is that of another
          probe: what of the effect is there without the label;
        - use_x, use_y: by how much the error grows where the label of this axis is that of another probe, over
          how much it would grow for a model that draws what it is told. Exactly 0 for a model that does not look at
          the label, 1 for one that obeys it; an error that does not depend on the label cancels. NaN where
          permuting changes no label.
    """
    probe, order = binned.probe, binned.order
    x0 = probe.x0.reshape(probe.D0.shape)
    labels = {"x": (probe.mu_x[order], probe.mu_y), "y": (probe.mu_x, probe.mu_y[order])}
    answer = model(probe.x_t, probe.mu_x, probe.mu_y)
    permuted = {axis: model(probe.x_t, *mu) for axis, mu in labels.items()}
    gram, projection = projections(answer, probe)
    projected = {axis: projections(D, probe)[1] for axis, D in permuted.items()}
    error, blind = _squares(answer - x0), _squares(x0 - probe.D0)
    growth = {axis: _squares(D - x0) - error for axis, D in permuted.items()}
    told = {axis: to_network(render(*mu, lattice)).reshape(x0.shape) for axis, mu in labels.items()}
    obeyed = {axis: _squares(image - x0) for axis, image in told.items()}
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
            row |= dict(zip(("effect_x", "effect_y"), _fit(weight, gram, projection, length), strict=True))
            row["excess"] = float(weight @ error / (weight @ blind))
            for place, axis in enumerate("xy"):
                row[f"effect_{axis}_permuted"] = _fit(weight, gram, projected[axis], length)[place]
                most = float(weight @ obeyed[axis])
                row[f"use_{axis}"] = float(weight @ growth[axis]) / most if most > 0 else np.nan
            rows.append(row)
    return pd.DataFrame(rows)


def _squares(images: np.ndarray) -> np.ndarray:
    """Squared length of each row."""
    return np.einsum("np,np->n", images, images)


def _fit(weight: np.ndarray, gram: np.ndarray, projection: np.ndarray, length: float) -> tuple[float, float]:
    normal = np.tensordot(weight, gram, 1) / weight.max()
    if np.sqrt(np.clip(np.linalg.eigvalsh(normal)[0], 0, None)) <= VANISHED * length:
        return np.nan, np.nan
    effect_x, effect_y, _ = np.linalg.solve(normal, weight @ projection / weight.max())
    return float(effect_x), float(effect_y)

"""Label effects separately for common and rare positions: does a common y help a rare x?

Each pair of frequency bins gets equally many labels, drawn with their training probabilities, and is weighted back
where bins are pooled. The exact denoisers keep the training probabilities as their prior, so their estimate at a rare
position is drawn to the common ones, like the network's. Within a bin even a label-blind network's error then points
along the directions of the labels; its effects at rare positions can reach 0.6. So each effect comes with the same fit
to the network's answers to permuted labels, and with a measure that needs no prior: how much wrong labels increase the
error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from bumpscope.config.lattice import Lattice
from bumpscope.probe.effects import EffectProbe, direction_lengths, noised_probe, projections, solvable
from bumpscope.worlds.bumps import BINS, frequency_bins, to_network
from bumpscope.worlds.named import world_of

ALL = "all"
# A fit pools at least this many probes, since each has its own noise.
FEWEST_A_CELL = 32
# From noised images x_t (n, N, N) and labels (n, F) to estimates of the clean images, shape (n, N*N).
Estimate = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class BinnedProbe:
    """A probe with equally many labels in each combination of bins that training draws from.

    Attributes:
        probe: noised images and their exact estimates.
        bins: of each label, names from ``BINS``, shape (n, F).
        weight: probability that training draws from this combination of bins, over its number of labels; shape (n,).
        order: a permutation of the labels, for the control.
    """

    probe: EffectProbe
    bins: np.ndarray
    weight: np.ndarray
    order: np.ndarray


def make_binned_probe(lattice: Lattice, alpha_bar_t: float, t: int, n: int, seed: int) -> BinnedProbe:
    """Draw about ``n`` labels, at least 32 in every combination of bins, and noise their images to ``t``.

    The draw depends only on (seed, t) and the lattice.
    """
    generator = np.random.default_rng([seed, t, len(BINS)])
    world = world_of(lattice)
    points = world.points
    bins = np.stack(
        [frequency_bins(values, factor) for values, factor in zip(points.labels.T, world.factors, strict=True)], axis=1
    )
    combinations = list(product(BINS, repeat=len(world.factors)))
    count = max(FEWEST_A_CELL, n // len(combinations))
    drawn, weight = [], []
    for names in combinations:
        probability = points.probability * (bins == names).all(axis=1)
        share = probability.sum()
        if share > 0:
            drawn.append(generator.choice(len(probability), size=count, p=probability / share))
            weight.append(np.full(count, share / count))
    chosen = np.concatenate(drawn)
    probe = noised_probe(points.labels[chosen], lattice, alpha_bar_t, t, generator)
    return BinnedProbe(probe, bins[chosen], np.concatenate(weight), generator.permutation(len(chosen)))


def effects_by_bin(model: Estimate, binned: BinnedProbe, lattice: Lattice) -> pd.DataFrame:
    """How a model uses each label, in every bin of each factor and in every combination of bins.

    Returns:
        Columns bin_x, bin_y (names from ``BINS``, or all) and probes;

        - effect_x, effect_y, excess: as from :func:`bumpscope.probe.effects.decompose`, with the same blanks;
        - effect_x_permuted, effect_y_permuted: the same with the label of this axis taken from another probe. A
          control: the part of the effect that does not need the label;
        - use_x, use_y: how much the error grows with the label of this axis taken from another probe, over how much
          it would grow for a model that draws exactly what it is asked for. 0 for a model that ignores the label, 1
          for one that obeys it; errors that do not depend on the label cancel. NaN where permuting changes no label.

        In other worlds they are named after their factors.
    """
    probe, order, world = binned.probe, binned.order, world_of(lattice)
    x0 = probe.x0.reshape(probe.D0.shape)
    labels = {name: probe.labels.copy() for name in probe.names}
    for place, permuted_labels in enumerate(labels.values()):
        permuted_labels[:, place] = probe.labels[order, place]
    answer = model(probe.x_t, probe.labels)
    permuted = {name: model(probe.x_t, others) for name, others in labels.items()}
    gram, projection = projections(answer, probe)
    projected = {name: projections(D, probe)[1] for name, D in permuted.items()}
    error, blind, fitted = _squares(answer - x0), _squares(x0 - probe.D0), probe.fitted
    growth = {name: _squares(D - x0) - error for name, D in permuted.items()}
    requested = {name: to_network(world.render(others)).reshape(x0.shape) for name, others in labels.items()}
    obeyed = {name: _squares(image - x0) for name, image in requested.items()}
    rows = []
    for names in product((*BINS, ALL), repeat=len(labels)):
        inside = np.logical_and.reduce(
            [np.isin(bins, BINS if name == ALL else [name]) for bins, name in zip(binned.bins.T, names, strict=True)]
        )
        if not inside.any():
            continue
        weight = binned.weight * inside
        length = float(np.linalg.norm(x0[inside]))
        row: dict[str, object] = {f"bin_{factor}": name for factor, name in zip(labels, names, strict=True)}
        row["probes"] = int(inside.sum())
        effects = _fit(weight, gram, projection, fitted, length)
        row |= {f"effect_{factor}": effects[place] for place, factor in enumerate(labels)}
        row["excess"] = float(weight @ error / (weight @ blind))
        for place, factor in enumerate(labels):
            row[f"effect_{factor}_permuted"] = _fit(weight, gram, projected[factor], fitted, length)[place]
            most = float(weight @ obeyed[factor])
            row[f"use_{factor}"] = float(weight @ growth[factor]) / most if most > 0 else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def _squares(images: np.ndarray) -> np.ndarray:
    """Squared norm of each row."""
    return np.einsum("np,np->n", images, images)


def _fit(
    weight: np.ndarray, gram: np.ndarray, projection: np.ndarray, fitted: np.ndarray, length: float
) -> list[float]:
    """The coefficients of all directions."""
    normal, effects = np.tensordot(weight, gram, 1) / weight.max(), np.full(len(fitted), np.nan)
    if solvable(direction_lengths(normal, fitted), length):
        right = (weight @ projection / weight.max())[fitted]
        effects[fitted] = np.linalg.solve(normal[np.ix_(fitted, fitted)], right)
    return [float(effect) for effect in effects]

"""Factorisation of a code: is it a part for x plus a part for y, and so for any factors, and are the parts separate?

Images of one requested centre differ by their noise. Their mean estimates the centre's code, and their scatter gives
the error of the mean. All squares and products below are corrected for this error, so that finite noise neither hides
nor creates structure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.linalg import orth

from bumpscope.measure.order import Label

# A square is used as a divisor only if its error from noise is at most this share of it.
LARGEST_ERROR = 0.1
# Share of the lattice's cells that must hold a centre for the lattice to be judged.
LEAST_FILLING = 0.5


@dataclass(frozen=True)
class Cells:
    """Mean codes of the C labels of a lattice.

    Attributes:
        mean: shape (C, m).
        variance: of each mean by noise, summed over the m coordinates; shape (C,).
        values: of each factor, those that the lattice has.
        codes: which of them a label has, for each factor, shape (C,).
        spare: images beyond the first of each label, from which the noise is estimated.
        noise_dimensions: (sum of the noise's variances)^2 / sum of their squares.
    """

    mean: np.ndarray
    variance: np.ndarray
    values: list[np.ndarray]
    codes: list[np.ndarray]
    spare: int
    noise_dimensions: float

    def clear(self, square: float, noise: float, degrees: float) -> bool:
        """Whether a square is known well enough after subtracting ``noise``, a sum over ``degrees`` of freedom."""
        error = noise * np.sqrt(2 / self.noise_dimensions * (1 / degrees + 1 / self.spare))
        return bool(square > 0 and error <= LARGEST_ERROR * square)


def factorisation(scores: np.ndarray, label: Label, noiseless: bool = False) -> Iterator[tuple[str, float]]:
    """How far codes of shape (n, m) at lattice points are a sum of one part for each factor, such as f(x) + g(y).

    Args:
        noiseless: take the only code of each label for its mean, as with shared noise, which moves no label apart
            from the others.

    Yields:
        (metric, value), NaN where not defined: too few repeated labels, less than half of the lattice, or too much
        noise.

        - additive_share: share of the variance between labels that f(x) + g(y) explains, by an analysis of variance
          without interactions; 1 for an additive code, about (I + J - 2) / (C - 1) for one without structure.
        - parallelism_x: mean inner product of the x-directions of different y over their mean square; 1 if
          moving in x is the same move whatever y. parallelism_y likewise. The x-direction at a y is the slope of the
          code over x, or on a torus over cosine and sine of its angle. Not defined for an axis of two positions.
        - orthogonality: 1 - |cosine| between the mean x- and y-directions.
        - tangent_cosine: mean |g_xy| over mean sqrt(g_xx g_yy) of the metric g that neighbouring labels span;
          0 both for an additive code and for a code with one place for each unit.

        In other worlds parallelism is named after the factors; of more than two, the last two are means over pairs.
    """
    cells = _cells(scores, label.values, noiseless)
    factors = label.factors
    metrics = ["additive_share", *(f"parallelism_{factor.name}" for factor in factors)]
    values = dict.fromkeys([*metrics, "orthogonality", "tangent_cosine"], np.nan)
    if cells is not None:
        values["additive_share"] = _additive_share(cells)
        directions = {
            factor.name: _directions(cells, place, factor.targets(cells.values[place])[cells.codes[place]])
            for place, factor in enumerate(factors)
        }
        values |= _alignment(directions)
        values["tangent_cosine"] = _tangent_cosine(cells, [factor.period is not None for factor in factors])
    yield from values.items()


def _cells(scores: np.ndarray, labels: np.ndarray, noiseless: bool) -> Cells | None:
    if scores.shape[1] == 0 or len(scores) == 0:
        return None
    values, codes = zip(*(np.unique(own, return_inverse=True) for own in labels), strict=True)
    shape = [len(own) for own in values]
    # The first factor innermost.
    place = np.ravel_multi_index(codes, shape, order="F")
    cell, group, count = np.unique(place, return_inverse=True, return_counts=True)
    spare = len(scores) - len(cell)
    if min(shape) < 2 or len(cell) < LEAST_FILLING * math.prod(shape):
        return None
    of_cells = list(np.unravel_index(cell, shape, order="F"))
    if noiseless and spare == 0:
        in_order, none = np.argsort(group), np.zeros(len(cell))
        return Cells(scores[in_order], none, list(values), of_cells, 1, 1.0)
    if spare < len(cell) / 2:
        return None
    mean = pd.DataFrame(scores).groupby(group).mean().to_numpy()
    residual = scores - mean[group]
    scatter = (residual**2).sum() / spare
    # The square of an estimated covariance is too large by that of its trace over the degrees of freedom.
    squares = ((residual @ residual.T) ** 2).sum() / spare**2 - scatter**2 / spare
    dimensions = scatter**2 / squares if squares > 0 else scores.shape[1]
    dimensions = float(np.clip(dimensions, 1, scores.shape[1]))
    return Cells(mean, scatter / count, list(values), of_cells, spare, dimensions)


def _additive_share(cells: Cells) -> float:
    """Sums of squares are traces of projections, so noise adds the projection's diagonal times its variance."""
    own = zip(cells.values, cells.codes, strict=True)
    design = np.concatenate([np.eye(len(values))[code] for values, code in own], axis=1)
    basis = orth(design)
    centred = cells.mean - cells.mean.mean(axis=0)
    share_of_mean = 1 / len(centred)
    noise_between = (cells.variance * (1 - share_of_mean)).sum()
    noise_additive = (cells.variance * ((basis**2).sum(axis=1) - share_of_mean)).sum()
    between = (centred**2).sum() - noise_between
    additive = ((basis.T @ centred) ** 2).sum() - noise_additive
    return float(additive / between) if cells.clear(between, noise_between, len(centred) - 1) else np.nan


@dataclass(frozen=True)
class Directions:
    """Slopes over one coordinate, one for each value of the others.

    Attributes:
        mean: their mean, shape (f, m) for f features of the coordinate.
        square: their mean square without noise.
        product: mean inner product of two different ones, which noise does not bias.
    """

    mean: np.ndarray
    square: float
    product: float


def _directions(cells: Cells, factor: int, features: np.ndarray) -> Directions | None:
    others = [code for place, code in enumerate(cells.codes) if place != factor]
    across = np.unique(np.stack(others), axis=1, return_inverse=True)[1].ravel()
    slopes, noise = [], []
    for value in range(across.max() + 1):
        here = np.flatnonzero(across == value)
        if len(here) > features.shape[1] + 1:
            weights = np.linalg.pinv(features[here] - features[here].mean(axis=0))
            slopes.append(weights @ cells.mean[here])
            noise.append((weights**2 @ cells.variance[here]).sum())
    if len(slopes) < 2:
        return None
    stacked, count = np.stack(slopes), len(slopes)
    squares = (stacked**2).sum(axis=(1, 2))
    product = ((stacked.sum(axis=0) ** 2).sum() - squares.sum()) / (count * (count - 1))
    square = squares.mean() - np.mean(noise)
    if not cells.clear(square, float(np.mean(noise)), count * features.shape[1]):
        return None
    return Directions(stacked.mean(axis=0), float(square), float(product))


def _alignment(directions: dict[str, Directions | None]) -> dict[str, float]:
    found = {name: own for name, own in directions.items() if own is not None}
    values = {f"parallelism_{name}": own.product / own.square for name, own in found.items()}
    # Products of different slopes are the squares of the mean slopes without noise. Where slopes do not agree at
    # all there is no mean direction.
    agree = min((own.product / own.square for own in found.values()), default=0.0) > LARGEST_ERROR
    if len(found) == len(directions) and agree:
        cosines = [
            float(np.linalg.norm(a.mean @ b.mean.T) / np.sqrt(a.product * b.product))
            for a, b in combinations(found.values(), 2)
        ]
        values["orthogonality"] = 1 - float(np.mean(cosines))
    return values


def _tangent_cosine(cells: Cells, wraps: list[bool]) -> float:
    """From central differences; those of different factors share no label, so noise does not correlate them."""
    # The first factor innermost, so in the last axis but that of the code.
    shape = [len(values) for values in cells.values[::-1]]
    grid = np.full((*shape, cells.mean.shape[1]), np.nan)
    noise = np.full(shape, np.nan)
    grid[tuple(cells.codes[::-1])] = cells.mean
    noise[tuple(cells.codes[::-1])] = cells.variance
    along, square, added = [], [], []
    for axis in reversed(range(len(shape))):
        along.append(np.roll(grid, -1, axis) - np.roll(grid, 1, axis))
        added.append(np.roll(noise, -1, axis) + np.roll(noise, 1, axis))
        square.append((along[-1] ** 2).sum(axis=-1) - added[-1])
    inner = tuple(slice(None) if closed else slice(1, -1) for closed in wraps[::-1])
    cosines = []
    for a, b in combinations(range(len(shape)), 2):
        g_ab = (along[a] * along[b]).sum(axis=-1)[inner]
        (g_aa, g_bb), (noise_a, noise_b) = ([s[place][inner] for place in (a, b)] for s in (square, added))
        known = np.isfinite(g_ab)
        # A modulus cannot be corrected for noise, so each single square must be clear of it.
        if not known.any() or not all(
            cells.clear(g[known].mean(), n[known].mean(), 1) for g, n in ((g_aa, noise_a), (g_bb, noise_b))
        ):
            return np.nan
        most = np.sqrt(g_aa[known].clip(0) * g_bb[known].clip(0)).mean()
        cosines.append(float(np.abs(g_ab[known]).mean() / most))
    return float(np.mean(cosines))

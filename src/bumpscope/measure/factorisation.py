"""Factorisation of a code for position: is it a part for x plus a part for y, and are the parts separate?

Images of one requested centre differ by their noise. Their mean estimates the centre's code, and their scatter gives
the error of the mean. All squares and products below are corrected for this error, so that finite noise neither hides
nor creates structure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.linalg import orth

from bumpscope.measure.order import Label

# A square is used as a divisor only if its error from noise is at most this share of it.
LARGEST_ERROR = 0.1
# Share of the lattice's cells that must hold a centre for the lattice to be judged.
LEAST_FILLING = 0.5
METRICS = ("additive_share", "parallelism_x", "parallelism_y", "orthogonality", "tangent_cosine")


@dataclass(frozen=True)
class Cells:
    """Mean codes of the C centres of a lattice with I values of x and J of y.

    Attributes:
        mean: shape (C, m).
        variance: of each mean by noise, summed over the m coordinates; shape (C,).
        x, y: the lattice's values, px, shapes (I,), (J,).
        column, row: which of them a centre has, shape (C,).
        spare: images beyond the first of each centre, from which the noise is estimated.
        noise_dimensions: (sum of the noise's variances)^2 / sum of their squares.
    """

    mean: np.ndarray
    variance: np.ndarray
    x: np.ndarray
    y: np.ndarray
    column: np.ndarray
    row: np.ndarray
    spare: int
    noise_dimensions: float

    def clear(self, square: float, noise: float, degrees: float) -> bool:
        """Whether a square is known well enough after subtracting ``noise``, a sum over ``degrees`` of freedom."""
        error = noise * np.sqrt(2 / self.noise_dimensions * (1 / degrees + 1 / self.spare))
        return bool(square > 0 and error <= LARGEST_ERROR * square)


def factorisation(scores: np.ndarray, label: Label, noiseless: bool = False) -> Iterator[tuple[str, float]]:
    """How far codes of shape (n, m) at lattice centres are a sum f(x) + g(y).

    Args:
        noiseless: take the only code of each centre for its mean, as with shared noise, which moves no centre apart
            from the others.

    Yields:
        (metric, value), NaN where not defined: too few repeated centres, less than half of the lattice, or too much
        noise.

        - additive_share: share of the variance between centres that f(x) + g(y) explains, by a two-way analysis of
          variance; 1 for an additive code, about (I + J - 2) / (C - 1) for one without structure.
        - parallelism_x: mean inner product of the x-directions of different y over their mean square; 1 if
          moving in x is the same move whatever y. parallelism_y likewise. The x-direction at a y is the slope of the
          code over x, or on a torus over cosine and sine of its angle. Not defined for an axis of two positions.
        - orthogonality: 1 - |cosine| between the mean x- and y-directions.
        - tangent_cosine: mean |g_xy| over mean sqrt(g_xx g_yy) of the metric g that neighbouring centres span;
          0 both for an additive code and for a code with one place for each unit.
    """
    cells = _cells(scores, label.x, label.y, noiseless)
    values = dict.fromkeys(METRICS, np.nan)
    if cells is not None:
        values["additive_share"] = _additive_share(cells)
        x, y = label.factors
        directions_x = _directions(cells, cells.row, x.targets(cells.x)[cells.column])
        directions_y = _directions(cells, cells.column, y.targets(cells.y)[cells.row])
        values |= _alignment(directions_x, directions_y)
        values["tangent_cosine"] = _tangent_cosine(cells, wraps=x.period is not None)
    yield from values.items()


def _cells(scores: np.ndarray, mu_x: np.ndarray, mu_y: np.ndarray, noiseless: bool) -> Cells | None:
    if scores.shape[1] == 0 or len(scores) == 0:
        return None
    x, column = np.unique(mu_x, return_inverse=True)
    y, row = np.unique(mu_y, return_inverse=True)
    cell, group, count = np.unique(row * len(x) + column, return_inverse=True, return_counts=True)
    spare = len(scores) - len(cell)
    if min(len(x), len(y)) < 2 or len(cell) < LEAST_FILLING * len(x) * len(y):
        return None
    if noiseless and spare == 0:
        in_order, none = np.argsort(group), np.zeros(len(cell))
        return Cells(scores[in_order], none, x, y, cell % len(x), cell // len(x), 1, 1.0)
    if spare < len(cell) / 2:
        return None
    mean = pd.DataFrame(scores).groupby(group).mean().to_numpy()
    residual = scores - mean[group]
    scatter = (residual**2).sum() / spare
    # The square of an estimated covariance is too large by that of its trace over the degrees of freedom.
    squares = ((residual @ residual.T) ** 2).sum() / spare**2 - scatter**2 / spare
    dimensions = scatter**2 / squares if squares > 0 else scores.shape[1]
    dimensions = float(np.clip(dimensions, 1, scores.shape[1]))
    return Cells(mean, scatter / count, x, y, cell % len(x), cell // len(x), spare, dimensions)


def _additive_share(cells: Cells) -> float:
    """Sums of squares are traces of projections, so noise adds the projection's diagonal times its variance."""
    design = np.concatenate([np.eye(len(cells.x))[cells.column], np.eye(len(cells.y))[cells.row]], axis=1)
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
    """Slopes over one coordinate, one for each value of the other.

    Attributes:
        mean: their mean, shape (f, m) for f features of the coordinate.
        square: their mean square without noise.
        product: mean inner product of two different ones, which noise does not bias.
    """

    mean: np.ndarray
    square: float
    product: float


def _directions(cells: Cells, across: np.ndarray, features: np.ndarray) -> Directions | None:
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


def _alignment(x: Directions | None, y: Directions | None) -> dict[str, float]:
    values = {f"parallelism_{name}": d.product / d.square for name, d in (("x", x), ("y", y)) if d is not None}
    # Products of different slopes are the squares of the mean slopes without noise. Where slopes do not agree at
    # all there is no mean direction.
    if x is not None and y is not None and min(x.product / x.square, y.product / y.square) > LARGEST_ERROR:
        values["orthogonality"] = 1 - float(np.linalg.norm(x.mean @ y.mean.T) / np.sqrt(x.product * y.product))
    return values


def _tangent_cosine(cells: Cells, wraps: bool) -> float:
    """From central differences; those of x and of y share no centre, so noise does not correlate them."""
    shape = (len(cells.y), len(cells.x))
    grid = np.full((*shape, cells.mean.shape[1]), np.nan)
    noise = np.full(shape, np.nan)
    grid[cells.row, cells.column] = cells.mean
    noise[cells.row, cells.column] = cells.variance
    along, square, added = [], [], []
    for axis in (1, 0):
        along.append(np.roll(grid, -1, axis) - np.roll(grid, 1, axis))
        added.append(np.roll(noise, -1, axis) + np.roll(noise, 1, axis))
        square.append((along[-1] ** 2).sum(axis=2) - added[-1])
    inner = slice(None) if wraps else slice(1, -1)
    g_xy = (along[0] * along[1]).sum(axis=2)[inner, inner]
    (g_xx, g_yy), (noise_x, noise_y) = ([s[inner, inner] for s in pair] for pair in (square, added))
    known = np.isfinite(g_xy)
    # A modulus cannot be corrected for noise, so each single square must be clear of it.
    if not known.any() or not all(
        cells.clear(g[known].mean(), n[known].mean(), 1) for g, n in ((g_xx, noise_x), (g_yy, noise_y))
    ):
        return np.nan
    return float(np.abs(g_xy[known]).mean() / np.sqrt(g_xx[known].clip(0) * g_yy[known].clip(0)).mean())

"""Gaussian bumps on a lattice: the images, where the bumps may lie, and how often each place is drawn.

Pixel (row i, column j) has its centre at (x=j, y=i). A bump is
``exp(-((j - mu_x)^2 + (i - mu_y)^2) / (2 sigma^2))``, so 1 at its centre. On a torus distances have period N; on a
plane the bump is cut at the edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import softmax

from bumpscope.config.lattice import Lattice
from bumpscope.worlds.factor import Factor

# Thirds of a factor's values, by how often a skew draws them.
BINS = ("common", "middle", "rare")
# A label known to a quarter of the spacing is known exactly: as Gaussian noise, its neighbours weigh exp(-8).
FINEST = 0.25


def axis_positions(image_size: int, margin: float, spacing: float) -> np.ndarray:
    """Cell-centred lattice positions of one axis, px: ``margin - 1/2 + (k + 1/2) spacing``.

    Whatever the spacing, the cells fill ``[margin - 1/2, image_size - 1/2 - margin]`` exactly.
    """
    count = round((image_size - 2 * margin) / spacing)
    return margin - 0.5 + (np.arange(count) + 0.5) * spacing


def factors(lattice: Lattice) -> tuple[Factor, Factor]:
    """The factors of a lattice: x and y of the bump's centre."""
    period = float(lattice.image_size) if lattice.boundary == "torus" else None

    def factor(name: str, spacing: float) -> Factor:
        alpha = lattice.skew.alpha if lattice.skew.axis in (name, "both") else 0.0
        return _factor(name, lattice.image_size, lattice.free_margin, spacing, alpha, period)

    return factor("x", lattice.dx), factor("y", lattice.dy)


# Cached, since finding bumps asks for the factors several times an image.
@cache
def _factor(name: str, image_size: int, margin: float, spacing: float, alpha: float, period: float | None) -> Factor:
    grid = axis_positions(image_size, margin, spacing)
    probability = axis_probability(len(grid), alpha, name)
    grid.flags.writeable = probability.flags.writeable = False
    support = (margin - 0.5, image_size - 2 * margin)
    return Factor(name, "px", grid, probability, period, support=support, pitch=spacing)


def profiles(mu_x: np.ndarray, mu_y: np.ndarray, lattice: Lattice) -> tuple[np.ndarray, np.ndarray]:
    """Bumps along x and along y; an image is the outer product of the two.

    Args:
        mu_x, mu_y: centres, px, shapes (n,) and (m,); NaN for a profile of 1 throughout.

    Returns:
        Intensities, shapes (n, N) and (m, N).
    """

    def profile(factor: Factor, centres: np.ndarray) -> np.ndarray:
        centres = np.asarray(centres, dtype=np.float64)[:, None]
        distance = np.nan_to_num(factor.difference(np.arange(lattice.image_size), centres))
        return np.exp(-(distance**2) / (2 * lattice.sigma**2))

    x, y = factors(lattice)
    return profile(x, mu_x), profile(y, mu_y)


def render(mu_x: np.ndarray, mu_y: np.ndarray, lattice: Lattice) -> np.ndarray:
    """Images of bumps at the given centres.

    Args:
        mu_x, mu_y: centres, px, each of shape (n,); with a NaN the image is a stripe along this axis.

    Returns:
        Intensities in [0, 1], shape (n, N, N), float64; row is y, column is x.
    """
    along_x, along_y = profiles(mu_x, mu_y, lattice)
    images = along_y[:, :, None] * along_x[:, None, :]
    return 1.0 - images if lattice.polarity == "dark" else images


def to_network(images: np.ndarray) -> np.ndarray:
    """Intensities in [0, 1] to the range [-1, 1] that the network sees."""
    return 2.0 * images - 1.0


def from_network(images: np.ndarray) -> np.ndarray:
    """The inverse of :func:`to_network`. Not clipped, since values out of range say something of the network."""
    return (images + 1.0) / 2.0


def axis_probability(count: int, alpha: float, axis: str) -> np.ndarray:
    """Truncated power law over the positions of an axis, shape (count,).

    Ranks are assigned to positions by a permutation that depends only on the axis and the number of positions, so
    datasets that share them have the same rare positions. Of a hundred permutations the one least correlated with the
    position and with the distance from the middle is taken, so that rare means neither near an edge nor on one side.
    """
    return softmax(-alpha * np.log(_ranks(count, axis) + 1.0))


@cache
def _ranks(count: int, axis: str) -> np.ndarray:
    """The rank of each position of an axis, 0 for the most frequent; shape (count,)."""
    generator = np.random.default_rng([*map(ord, axis), count])
    place = np.arange(count) - (count - 1) / 2
    orders = np.stack([place, abs(place) - abs(place).mean()])
    # The products stand in for correlations: the rank's own spread is the same in all permutations.
    orders /= np.linalg.norm(orders, axis=1, keepdims=True) + 1e-12
    permutations = np.stack([generator.permutation(count) for _ in range(100)])
    likeness = abs(permutations @ orders.T).max(axis=1)
    return permutations[likeness.argmin()]


def frequency_bins(values: np.ndarray, factor: Factor) -> np.ndarray:
    """Whether each value of a factor is common, middle or rare: the thirds of its ranks.

    A factor without skew has the bins that a skew would give it, so that a balanced lattice of the same spacing can be
    read at the same values.

    Args:
        values: shape (n,); each on the factor's grid.

    Returns:
        Names from ``BINS``, shape (n,).

    Raises:
        ValueError: when a value is not on the grid.
    """
    count = len(factor.grid)
    return np.array(BINS)[_ranks(count, factor.name) * len(BINS) // count][factor.index(values)]


def shown_combinations(lattice: Lattice) -> np.ndarray:
    """Which combinations ``lattice.shown`` shows, shape (positions along y, positions along x).

    A circulant design shows column j in row i where ``(j - i) mod N`` is one of k offsets, ``floor(m N / k)``. A random
    share shows the first combinations of a seeded order, so that with one seed a larger share contains a smaller one.
    """
    n_x, n_y = lattice.counts
    design = lattice.shown
    if design is None:
        return np.ones((n_y, n_x), dtype=bool)
    draw = np.random.default_rng([design.seed or 0, n_x, n_y])
    if design.share is not None:
        shown = np.zeros(n_x * n_y, dtype=bool)
        shown[draw.permutation(n_x * n_y)[: round(design.share * n_x * n_y)]] = True
        return shown.reshape(n_y, n_x)
    assert design.each is not None
    offsets = np.arange(design.each) * n_x // design.each
    shown = np.isin((np.arange(n_x) - np.arange(n_y)[:, None]) % n_x, offsets)
    return shown if design.seed is None else shown[draw.permutation(n_y)][:, draw.permutation(n_x)]


def in_holdout(lattice: Lattice, mu_x: np.ndarray, mu_y: np.ndarray) -> np.ndarray:
    """Whether each centre is withheld: in the withheld block, its ends included, or a combination not shown; (n,)."""
    if lattice.shown is not None:
        x, y = factors(lattice)
        column, row = (np.abs(mu[:, None] - f.grid).argmin(axis=1) for mu, f in ((mu_x, x), (mu_y, y)))
        here = np.isclose(x.grid[column], mu_x, rtol=0, atol=1e-6) & np.isclose(y.grid[row], mu_y, rtol=0, atol=1e-6)
        return here & ~shown_combinations(lattice)[row, column]
    if lattice.holdout is None:
        return np.zeros(len(mu_x), dtype=bool)
    (x_low, x_high), (y_low, y_high) = lattice.holdout.x, lattice.holdout.y
    slack = 1e-9  # lattice positions are rounded, so one meant to lie at an end may lie just outside
    return (mu_x >= x_low - slack) & (mu_x <= x_high + slack) & (mu_y >= y_low - slack) & (mu_y <= y_high + slack)


@dataclass(frozen=True)
class LatticePoints:
    """All centres of a lattice, y outermost: mu_x, mu_y in px, probability and heldout, each of shape (K,)."""

    mu_x: np.ndarray
    mu_y: np.ndarray
    probability: np.ndarray
    heldout: np.ndarray


def lattice_points(lattice: Lattice) -> LatticePoints:
    """The centres of a lattice and the probability with which training draws each.

    Withheld combinations have probability 0; the others keep their proportions.
    """
    x, y = factors(lattice)
    mu_y, mu_x = (grid.ravel() for grid in np.meshgrid(y.grid, x.grid, indexing="ij"))
    probability = np.outer(y.probability, x.probability).ravel()
    heldout = in_holdout(lattice, mu_x, mu_y)
    probability = np.where(heldout, 0.0, probability)
    return LatticePoints(mu_x, mu_y, probability / probability.sum(), heldout)


def training_points(lattice: Lattice) -> LatticePoints:
    """What training draws from: the points of :func:`lattice_points`, then the stripes of ``lattice.stripes``.

    Every position of x once with mu_y NaN, then every position of y with mu_x NaN; each axis gets half of the share.
    """
    points, share = lattice_points(lattice), lattice.stripes
    if not share:
        return points
    x, y = factors(lattice)
    nothing = [np.full(len(factor.grid), np.nan) for factor in (y, x)]
    return LatticePoints(
        np.concatenate([points.mu_x, x.grid, nothing[0]]),
        np.concatenate([points.mu_y, nothing[1], y.grid]),
        np.concatenate([(1 - share) * points.probability, share / 2 * x.probability, share / 2 * y.probability]),
        np.concatenate([points.heldout, np.zeros(len(x.grid) + len(y.grid), dtype=bool)]),
    )

"""Gaussian bumps on a lattice: the images, where they may lie, and how often each is drawn.

Pixel (row i, column j) has its centre at (x=j, y=i). A bump is
``exp(-((j - mu_x)^2 + (i - mu_y)^2) / (2 sigma^2))``, so 1 at its centre; on a torus distances are
periodic with period N, on a plane the bump is cut at the edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from bumpscope.config.lattice import Lattice, Skew

# Of an axis' positions, by how often they are drawn.
BINS = ("common", "middle", "rare")


def axis_positions(image_size: int, margin: float, spacing: float) -> np.ndarray:
    """Cell-centred lattice positions of one axis, px: ``margin - 1/2 + (k + 1/2) spacing``.

    Whatever the spacing, the cells fill ``[margin - 1/2, image_size - 1/2 - margin]`` exactly.
    """
    count = round((image_size - 2 * margin) / spacing)
    return margin - 0.5 + (np.arange(count) + 0.5) * spacing


def profile(centres: np.ndarray, image_size: int, sigma: float, boundary: str) -> np.ndarray:
    """One-dimensional bump profiles, shape (n, image_size); an image is the outer product of two.

    On a torus the distance is the shorter way round, as in the definition of the dataset.
    """
    distance = np.arange(image_size) - np.asarray(centres, dtype=np.float64)[:, None]
    if boundary == "torus":
        distance = (distance + image_size / 2) % image_size - image_size / 2
    return np.exp(-(distance**2) / (2 * sigma**2))


def render(mu_x: np.ndarray, mu_y: np.ndarray, lattice: Lattice) -> np.ndarray:
    """Images of bumps at the given centres.

    Args:
        mu_x, mu_y: centres, px, each of shape (n,).

    Returns:
        Intensities in [0, 1], shape (n, N, N), float64; row is y, column is x.
    """
    along_x = profile(mu_x, lattice.image_size, lattice.sigma, lattice.boundary)
    along_y = profile(mu_y, lattice.image_size, lattice.sigma, lattice.boundary)
    images = along_y[:, :, None] * along_x[:, None, :]
    return 1.0 - images if lattice.polarity == "dark" else images


def to_network(images: np.ndarray) -> np.ndarray:
    """Intensities in [0, 1] to the range [-1, 1] that the network sees."""
    return 2.0 * images - 1.0


def from_network(images: np.ndarray) -> np.ndarray:
    """The inverse of :func:`to_network`; not clipped, since what exceeds the range is a finding."""
    return (images + 1.0) / 2.0


def axis_probability(count: int, alpha: float, axis: str) -> np.ndarray:
    """Truncated power law over the positions of an axis, shape (count,).

    Ranks are dealt to positions by a permutation that depends on the axis alone, so every dataset with this axis
    has the same rare positions. Of a hundred permutations the one that is least like an order is taken, so
    that rare is neither the same as near an edge nor as on one side.
    """
    return softmax(-alpha * np.log(_ranks(count, axis) + 1.0))


def _ranks(count: int, axis: str) -> np.ndarray:
    """The rank of each position of an axis, 0 for the most frequent; shape (count,)."""
    generator = np.random.default_rng([ord(axis), count])
    place = np.arange(count) - (count - 1) / 2
    orders = np.stack([place, abs(place) - abs(place).mean()])
    # The products stand in for correlations: the rank's own spread is the same in all permutations.
    orders /= np.linalg.norm(orders, axis=1, keepdims=True) + 1e-12
    permutations = np.stack([generator.permutation(count) for _ in range(100)])
    likeness = abs(permutations @ orders.T).max(axis=1)
    return permutations[likeness.argmin()]


def frequency_bins(positions: np.ndarray, lattice: Lattice, axis: str) -> np.ndarray:
    """Whether each position on an axis is among its common, middle or rare ones, a third of the ranks each.

    Where the axis is not skewed these are the positions that would be, so that a balanced lattice of the same spacing
    can be read at the same places.

    Args:
        positions: px, shape (n,); each a lattice position.
        axis: x or y.

    Returns:
        Names from ``BINS``, shape (n,).

    Raises:
        ValueError: when a position is not on the lattice.
    """
    known = axis_positions(lattice.image_size, lattice.free_margin, lattice.dx if axis == "x" else lattice.dy)
    index = position_indices(positions, known, f"mu_{axis}")
    return np.array(BINS)[_ranks(len(known), axis) * len(BINS) // len(known)][index]


def position_indices(labels: np.ndarray, positions: np.ndarray, name: str) -> np.ndarray:
    """Which lattice position each label is, shape (n,).

    Raises:
        ValueError: when a label is not a lattice position; ``name`` says whose.
    """
    index = np.abs(np.asarray(labels)[:, None] - positions).argmin(axis=1)
    if not np.allclose(positions[index], labels, rtol=0, atol=1e-6):
        raise ValueError(f"{name} holds a value that is not one of the {len(positions)} lattice positions")
    return index


def in_holdout(lattice: Lattice, mu_x: np.ndarray, mu_y: np.ndarray) -> np.ndarray:
    """Whether each centre lies in the withheld block, its ends included; shape (n,)."""
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
    x = axis_positions(lattice.image_size, lattice.free_margin, lattice.dx)
    y = axis_positions(lattice.image_size, lattice.free_margin, lattice.dy)
    skew: Skew = lattice.skew
    p_x = axis_probability(len(x), skew.alpha if skew.axis in ("x", "both") else 0.0, "x")
    p_y = axis_probability(len(y), skew.alpha if skew.axis in ("y", "both") else 0.0, "y")
    mu_y, mu_x = (grid.ravel() for grid in np.meshgrid(y, x, indexing="ij"))
    probability = np.outer(p_y, p_x).ravel()
    heldout = in_holdout(lattice, mu_x, mu_y)
    probability = np.where(heldout, 0.0, probability)
    return LatticePoints(mu_x, mu_y, probability / probability.sum(), heldout)

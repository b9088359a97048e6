"""How far bumps on a lattice are connected by their overlap."""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import connected_components

# Bumps of this overlap are neighbours (arXiv 2408.13256).
LEAST_OVERLAP = 0.005


def overlap(distance: np.ndarray, sigma: float) -> np.ndarray:
    """Scalar product of two bumps over that of one with itself, exp(-d² / (4 sigma²)).

    Args:
        distance: of their centres, px, any shape.
        sigma: px.
    """
    return np.exp(-(np.asarray(distance) ** 2) / (4 * sigma**2))


def largest_connected_share(distance: np.ndarray, sigma: float) -> float:
    """Share of the bumps in the largest connected group of neighbours.

    Args:
        distance: of each pair of centres, px, shape (n, n).
        sigma: px.
    """
    _, group = connected_components(overlap(distance, sigma) >= LEAST_OVERLAP, directed=False)
    return float(np.bincount(group).max() / len(group))

"""A common basis for the pictures of all checkpoints, so that nothing flips between them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.linalg import orthogonal_procrustes


def align(clouds: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Rotate each checkpoint's points onto those of the next checkpoint.

    PCA does not fix the sign of its axes or, for near-equal variances, their direction. From the last checkpoint
    backwards, each cloud is rotated or mirrored (never scaled) to be as close as possible to its successor: orthogonal
    Procrustes (Schoenemann 1966). Distances within a cloud do not change.

    Args:
        clouds: training step -> points of shape (n, k), rows in the same order at every step.

    Returns:
        The rotated points, by training step.
    """
    aligned: dict[int, np.ndarray] = {}
    successor: np.ndarray | None = None
    for step in sorted(clouds, reverse=True):
        centred = clouds[step] - clouds[step].mean(axis=0)
        if successor is None:
            successor = centred
        else:
            # A cloud without components (of a diverged network) has no coordinates and rotates nothing.
            rotation, _ = orthogonal_procrustes(np.nan_to_num(centred), np.nan_to_num(successor))
            successor = centred @ rotation
        aligned[step] = successor
    return aligned

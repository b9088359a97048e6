"""One basis for the pictures of all checkpoints, so that nothing flips between them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.linalg import orthogonal_procrustes


def align(clouds: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Turn each checkpoint's points onto those of the checkpoint after it.

    PCA leaves the sign and, for near-equal variances, the direction of its axes open. Each cloud is turned or
    mirrored (never scaled) to lie as close as it can to its successor, from the last checkpoint backwards:
    orthogonal Procrustes (Schoenemann 1966). Distances within a cloud stay as they are.

    Args:
        clouds: training step -> points of shape (n, k), rows in the same order at every step.

    Returns:
        The turned points, by training step.
    """
    aligned: dict[int, np.ndarray] = {}
    successor: np.ndarray | None = None
    for step in sorted(clouds, reverse=True):
        centred = clouds[step] - clouds[step].mean(axis=0)
        if successor is None:
            successor = centred
        else:
            # Clouds without components (a diverged network's) have no coordinates, and turn nothing.
            rotation, _ = orthogonal_procrustes(np.nan_to_num(centred), np.nan_to_num(successor))
            successor = centred @ rotation
        aligned[step] = successor
    return aligned

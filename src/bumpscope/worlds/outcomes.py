"""What an image is said to show: none, multiple, correct or misplaced."""

from __future__ import annotations

import numpy as np


def outcomes(bumps: np.ndarray, met: np.ndarray) -> np.ndarray:
    """none, multiple, correct or misplaced for each image.

    Args:
        bumps: how many count.
        met: whether the strongest meets the request.
    """
    return np.select([bumps == 0, bumps > 1, met], ["none", "multiple", "correct"], "misplaced")

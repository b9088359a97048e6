"""Rows of the table `losses`, for tests that need some table or other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def loss_rows(steps: Sequence[int] | np.ndarray = (1, 2, 3), loss: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """A row for each step; without ``loss`` the losses are a seventh of the steps."""
    steps = np.asarray(steps)
    return {
        "step": steps,
        "loss": steps / 7 if loss is None else loss,
        "learning_rate": steps * 1e-3,
        "images_seen": steps * 64,
    }

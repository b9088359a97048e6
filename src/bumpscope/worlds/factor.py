"""A factor of variation: a quantity that differs between images, such as the x of a bump's centre."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Factor:
    """A factor of variation and how training draws it.

    Attributes:
        name: such as ``x``.
        unit: of its values, such as ``px``.
        grid: the values that training draws, shape (k,), increasing.
        probability: how often each is drawn, all combinations allowed; shape (k,).
        period: after which values repeat, or None.
    """

    name: str
    unit: str
    grid: np.ndarray
    probability: np.ndarray
    period: float | None = None

    def difference(self, a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
        """``a - b``; the smallest in size where the factor is periodic. Arguments broadcast."""
        difference = np.subtract(a, b)
        if self.period is None:
            return difference
        return (difference + self.period / 2) % self.period - self.period / 2

    def distance(self, a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
        """``|a - b|``, the shorter way round. Arguments broadcast."""
        distance = np.abs(np.subtract(a, b))
        if self.period is None:
            return distance
        # Rounds less than the size of `difference`, so that rounding breaks fewer ties between neighbours.
        return np.minimum(distance % self.period, -distance % self.period)

    def targets(self, values: np.ndarray) -> np.ndarray:
        """What a regression predicts: the value, shape (n, 1), or cosine and sine of a periodic one, (n, 2)."""
        if self.period is None:
            return values[:, None]
        angle = 2 * np.pi * values / self.period
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def index(self, values: np.ndarray) -> np.ndarray:
        """The place of each value on the grid, shape (n,).

        Raises:
            ValueError: when a value is not on the grid.
        """
        index = np.abs(np.asarray(values)[:, None] - self.grid).argmin(axis=1)
        if not np.allclose(self.grid[index], values, rtol=0, atol=1e-6):
            raise ValueError(f"{self.name}: a value is not one of the {len(self.grid)} on its grid")
        return index

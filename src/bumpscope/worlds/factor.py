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
        logarithmic: differences are those of the natural logarithms, and the grid is even in these.
        support: where requests may lie, as least :meth:`coordinate` and length; by default from end to end of the grid.
        tolerance: largest distance from the request of a correct image; None for ``analysis.tolerance``. It yields to
            ``analysis.tolerances``.
        pitch: distance of neighbouring values, as :attr:`spacing`; None where the grid tells it.
    """

    name: str
    unit: str
    grid: np.ndarray
    probability: np.ndarray
    period: float | None = None
    logarithmic: bool = False
    support: tuple[float, float] | None = None
    tolerance: float | None = None
    pitch: float | None = None

    @property
    def unit_of_distance(self) -> str:
        """Unit of differences and distances."""
        return "ln" if self.logarithmic else self.unit

    @property
    def spacing(self) -> float:
        """Distance of neighbouring values of the grid; 1 for a single value that does not say."""
        if self.pitch is not None:
            return self.pitch
        return float(np.diff(self.coordinate(self.grid)).min()) if len(self.grid) > 1 else 1.0

    def coordinate(self, values: np.ndarray | float) -> np.ndarray | float:
        """What differences are taken of: the values or their logarithms."""
        return np.log(values) if self.logarithmic else values

    @property
    def extent(self) -> tuple[float, float]:
        """Least coordinate of the support, and its length."""
        if self.support is not None:
            return self.support
        first, last = (float(self.coordinate(self.grid[place])) for place in (0, -1))
        return first, last - first

    def spread(self, shares: np.ndarray) -> np.ndarray:
        """The values at these shares, 0 to 1, of the support."""
        low, length = self.extent
        found = low + length * shares
        return np.exp(found) if self.logarithmic else found

    def difference(self, a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
        """``a - b``; the smallest in size where the factor is periodic. Arguments broadcast."""
        difference = np.subtract(self.coordinate(a), self.coordinate(b))
        if self.period is None:
            return difference
        return (difference + self.period / 2) % self.period - self.period / 2

    def distance(self, a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
        """``|a - b|``, the shorter way round. Arguments broadcast."""
        distance = np.abs(np.subtract(self.coordinate(a), self.coordinate(b)))
        if self.period is None:
            return distance
        # Rounds less than the size of `difference`, so that rounding breaks fewer ties between neighbours.
        return np.minimum(distance % self.period, -distance % self.period)

    def targets(self, values: np.ndarray) -> np.ndarray:
        """What a regression predicts: the value or its logarithm, shape (n, 1); of a periodic one cosine and sine."""
        if self.period is None:
            return np.asarray(self.coordinate(values))[:, None]
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

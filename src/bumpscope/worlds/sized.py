"""Bumps of different sizes at x, or at x and y: factors that do not look alike, of different units."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from bumpscope.config.lattice import Lattice, Skew
from bumpscope.worlds import bumps
from bumpscope.worlds.factor import Factor
from bumpscope.worlds.world import World, skewed

# ln of the largest ratio of a correct size to its request: a size of 1.22 for 1, or 0.82.
TOLERANCE = 0.2


class Sized(World):
    """A Gaussian bump in the middle row. Its factors are x of its centre, and its size, the standard deviation.

    Sizes are cell-centred on a logarithmic scale: ``sigma ratio^((k + 1/2) / sizes)``, k = 0 … sizes - 1, so that the
    cells fill the range from ``sigma`` to ``sigma ratio`` whatever their number.

    Args:
        lattice: ``sigma`` is the least size; ``dx`` and ``margin`` say where x lies.
        sizes: number of sizes.
        ratio: of the largest size to the least.

    Raises:
        ValueError: when a key holds what it may not.
    """

    axes: ClassVar[tuple[str, ...]] = ("x",)

    def __init__(self, lattice: Lattice, sizes: int = 8, ratio: float = 3.0):
        super().__init__(lattice)
        if isinstance(sizes, bool) or not isinstance(sizes, int) or not 1 <= sizes <= 1000:
            raise ValueError(f"world.sizes: holds {sizes!r}; allowed: a whole number from 1 to 1000")
        if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 1 < ratio <= 100:
            raise ValueError(f"world.ratio: holds {ratio!r}; allowed: a number above 1, at most 100")
        if lattice.sigma * ratio > lattice.image_size / 4:
            most = lattice.image_size / 4 / lattice.sigma
            raise ValueError(f"world.ratio: holds {ratio!r}; allowed: at most image_size / 4 / sigma = {most:g}")
        self.ratio = ratio
        centres = bumps.factors(lattice.model_copy(update={"skew": Skew()}))[: len(self.axes)]
        length, least = math.log(ratio), math.log(lattice.sigma)
        grid = np.exp(least + (np.arange(sizes) + 0.5) * length / sizes)
        support, pitch = (least, length), length / sizes
        size = Factor("size", "px", grid, grid, None, True, support, TOLERANCE, pitch)
        self.factors = tuple(skewed(factor, lattice.skew) for factor in (*centres, size))

    def render(self, labels: np.ndarray) -> np.ndarray:
        *centres, size = (values[:, None] for values in np.asarray(labels, dtype=np.float64).T)
        pixels = np.arange(self.lattice.image_size)
        # On a torus the middle row is the same distance from all copies of itself, so that it need not wrap.
        apart = [factor.difference(pixels, at) for factor, at in zip(self.factors, centres, strict=False)]
        to_x, to_y = (*apart, pixels - pixels.mean())[:2]
        along_x, along_y = (np.exp(-(apart**2) / (2 * size**2)) for apart in (to_x, to_y))
        images = along_y[:, :, None] * along_x[:, None, :]
        return 1.0 - images if self.lattice.polarity == "dark" else images


class SizedXY(Sized):
    """The same at x and y, which are judged by their common distance: three factors."""

    axes: ClassVar = ("x", "y")
    together: ClassVar = (("x", "y"),)

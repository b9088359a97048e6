"""Bumps at x and y: the world that the paper draws."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import numpy as np

from bumpscope.config.lattice import Lattice
from bumpscope.worlds import bumps
from bumpscope.worlds.world import Points, World


class Bumps(World):
    """A Gaussian bump of fixed width; its factors are x and y of its centre, judged by their common distance."""

    together: ClassVar = (("x", "y"),)

    def __init__(self, lattice: Lattice):
        super().__init__(lattice)
        self.factors = bumps.factors(lattice)
        self.width = lattice.sigma

    def render(self, labels: np.ndarray) -> np.ndarray:
        """As :meth:`World.render`; with a NaN the image is a stripe along this axis."""
        return bumps.render(labels[:, 0], labels[:, 1], self.lattice)

    @cached_property
    def points(self) -> Points:
        return _points(bumps.lattice_points(self.lattice))

    @property
    def training_points(self) -> Points:
        return _points(bumps.training_points(self.lattice))

    def in_holdout(self, labels: np.ndarray) -> np.ndarray:
        """As :meth:`World.in_holdout`, or not shown by a design."""
        return bumps.in_holdout(self.lattice, labels[:, 0], labels[:, 1])


def _points(points: bumps.LatticePoints) -> Points:
    return Points(np.stack([points.mu_x, points.mu_y], axis=1), points.probability, points.heldout)

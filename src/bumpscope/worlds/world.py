"""The interface of a world: what is drawn, the labels that it is drawn by, and how these are read from an image.

A world of one's own defines ``factors``, :meth:`World.render` and :meth:`World.read`; the rest follows from these.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pandas as pd

from bumpscope.config.lattice import Lattice, Skew
from bumpscope.store.names import Names
from bumpscope.worlds.bumps import axis_probability
from bumpscope.worlds.factor import Factor

NOTHING: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class Points:
    """Points of a lattice, the first factor innermost.

    Attributes:
        labels: shape (K, F); NaN where training withholds a label.
        probability: with which training draws each, shape (K,).
        heldout: whether the combination is withheld, shape (K,).
    """

    labels: np.ndarray
    probability: np.ndarray
    heldout: np.ndarray


class World(ABC):
    """What is drawn and asked for.

    Args:
        lattice: keys of the dataset; those that say what is drawn are in force only where ``config/world.py`` says so.
            Keys beside ``world.kind`` come as further arguments, by name.

    Attributes:
        factors: in the order of the labels; set by the constructor.
        together: groups of factors that are judged by their common distance; others are judged each by itself.
        width: the width that all its objects have, px; None where widths differ or mean nothing.
    """

    factors: tuple[Factor, ...]
    together: ClassVar[tuple[tuple[str, ...], ...]] = ()
    width: float | None = None

    def __init__(self, lattice: Lattice):
        self.lattice = lattice

    @abstractmethod
    def render(self, labels: np.ndarray) -> np.ndarray:
        """Images of these labels.

        Args:
            labels: shape (n, F), in the order of ``factors``, on the grids and between.

        Returns:
            Intensities in [0, 1], shape (n, N, N), float64; row is y, column is x.
        """

    def read(self, images: np.ndarray, faint: float) -> pd.DataFrame:
        """What images show.

        Args:
            images: intensities, shape (n, N, N), float64; of a network, so not all within [0, 1].
            faint: amplitude from which an object counts.

        Returns:
            A row an image: ``bumps``, the number of objects that count; a column named after each factor, as read from
            the strongest object, and ``amplitude`` and ``width`` (px) of it, NaN where there is none.

        Worlds of this package are read by :mod:`.reading`, so that reading otherwise trains nothing again.
        """
        raise NotImplementedError

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns of an image, px."""
        return self.lattice.image_size, self.lattice.image_size

    @cached_property
    def names(self) -> Names:
        """The factors' names, in the groups in which they are judged."""
        grouped = {name: group for group in self.together for name in group}
        return Names(tuple(dict.fromkeys(grouped.get(factor.name, (factor.name,)) for factor in self.factors)))

    @cached_property
    def points(self) -> Points:
        """All points of the lattice. Withheld combinations have probability 0; the others keep their proportions."""
        grids = [factor.grid for factor in reversed(self.factors)]
        labels = np.stack([grid.ravel() for grid in np.meshgrid(*grids, indexing="ij")][::-1], axis=1)
        outwards = [factor.probability for factor in reversed(self.factors)]
        probability = reduce(lambda outer, inner: np.outer(outer, inner).ravel(), outwards)
        heldout = self.in_holdout(labels)
        probability = np.where(heldout, 0.0, probability)
        return Points(labels, probability / probability.sum(), heldout)

    @property
    def training_points(self) -> Points:
        """What training draws from."""
        return self.points

    def in_holdout(self, labels: np.ndarray) -> np.ndarray:
        """Whether each combination is withheld: in the withheld block, its ends included; (n, F) -> (n,)."""
        held = self.lattice.holdout
        if held is None:
            return np.zeros(len(labels), dtype=bool)
        slack = 1e-9  # lattice positions are rounded, so one meant to lie at an end may lie just outside
        inside = np.ones(len(labels), dtype=bool)
        for values, factor in zip(labels.T, self.factors, strict=True):
            low, high = held.intervals[factor.name]
            inside &= (values >= low - slack) & (values <= high + slack)
        return inside

    # How requests are met.

    def distances(self, a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
        """Distance between labels in each group of factors; (..., F) each, which broadcast."""
        parts = {
            factor.name: factor.difference(a[..., place], b[..., place]) for place, factor in enumerate(self.factors)
        }
        grouped = [[parts[name] for name in group] for group in self.names.groups]
        return [reduce(np.hypot, group) if len(group) > 1 else np.abs(group[0]) for group in grouped]

    def tolerance_of(self, tolerance: float, own: Mapping[str, float] = NOTHING) -> dict[str, float]:
        """The tolerance of each factor: ``tolerance`` (px), or of those that have one of their own that, or ``own``."""
        of = {factor.name: tolerance if factor.tolerance is None else factor.tolerance for factor in self.factors}
        return of | {name: own[name] for name in of if name in own}

    def tolerances(self, tolerance: float, own: Mapping[str, float] = NOTHING) -> list[float]:
        """The tolerance of each group of factors, by :meth:`tolerance_of`."""
        of = self.tolerance_of(tolerance, own)
        return [of[group[0]] for group in self.names.groups]


def skewed(factor: Factor, skew: Skew) -> Factor:
    """The factor, with the probabilities that a dataset's skew gives its values."""
    alpha = skew.alpha if skew.axis in (factor.name, "both") else 0.0
    return replace(factor, probability=axis_probability(len(factor.grid), alpha, factor.name))

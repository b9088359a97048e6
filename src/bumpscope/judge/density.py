"""How the time of an onset depends on lattice spacing, seed by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bumpscope.judge.controls import SHARED
from bumpscope.judge.histories import RunKey
from bumpscope.judge.onsets import Onset


@dataclass(frozen=True)
class Ladder:
    """The runs of one seed on balanced lattices of several spacings.

    Attributes:
        ln_spacing: ln of the lattice spacing, px.
        ln_epoch: ln of the optimiser steps in an epoch.
        onsets: when the runs' curves crossed the level.
    """

    ln_spacing: list[float]
    ln_epoch: list[float]
    onsets: list[Onset]

    @property
    def ordered(self) -> bool:
        """Whether at most one onset is open, so that every difference is known at least to one side."""
        return sum(found.censored for found in self.onsets) < 2

    def slope(self, late: float, epochs: bool = False) -> float:
        """Least-squares slope of ln onset on ln spacing, in steps or in epochs.

        An onset that never came is taken at ``late`` times the last step.
        """
        times = [math.log(found.by * late if found.censored else found.time) for found in self.onsets]
        lengths = self.ln_epoch if epochs else [0.0] * len(times)
        return float(np.polyfit(self.ln_spacing, np.subtract(times, lengths), 1)[0])


def longest_ladders(datasets: pd.DataFrame, found: Mapping[RunKey, Onset | None]) -> list[Ladder]:
    """The ladders of the family of lattices with the most seeds: lattices that differ in nothing but their spacing.

    Args:
        datasets: balanced datasets as from :func:`bumpscope.judge.coupling.datasets`.
        found: onset of each run.
    """
    families = [_ladders(family, found) for _, family in datasets.groupby(SHARED)] if len(datasets) else []
    return max(families, key=len, default=[])


def _ladders(family: pd.DataFrame, found: Mapping[RunKey, Onset | None]) -> list[Ladder]:
    """One ladder a seed that has onsets at two spacings or more; ``family`` has a row a dataset."""
    ladders = []
    for seed in sorted({seed for _, seed in found}):
        rungs = {name: crossing for name in family.index if (crossing := found.get((name, seed))) is not None}
        rows = family.loc[list(rungs)]
        if rows["dx"].nunique() >= 2:
            ln_epoch = np.log(rows["n_images"] / rows["batch_size"])
            ladders.append(Ladder(np.log(rows["dx"]).tolist(), ln_epoch.tolist(), list(rungs.values())))
    return ladders

"""The labels that a probe requests of a world."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.stats import qmc

from bumpscope.config.lattice import Lattice
from bumpscope.worlds.named import world_of
from bumpscope.worlds.world import World

# Shares of the samples that go to labels seen in training and to withheld combinations; the rest lies between.
SHARES_WITHOUT_HOLDOUT = {"seen": 0.75, "heldout": 0.0}
SHARES_WITH_HOLDOUT = {"seen": 0.5, "heldout": 0.25}


def requested_centres(lattice: Lattice, samples: int) -> pd.DataFrame:
    """The labels that a probe requests: columns sample, mu_x, mu_y (or the names of other factors), split.

    - ``seen``: lattice points that training draws. Unless a design shows only some they form a grid (the whole lattice
      if it is small, evenly spaced values of each factor if it is large). Each is requested at least twice, with
      different noise, so that the effects of noise and label can be separated.
    - ``heldout``: withheld combinations, all equally often.
    - ``between``: a Sobol sequence over the support, the same for every lattice with this support, so that datasets
      of different spacing can be compared. A factor with one value stays there. Points inside a withheld block count
      as held out.
    """
    world = world_of(lattice)
    points = world.points
    shares = SHARES_WITH_HOLDOUT if points.heldout.any() else SHARES_WITHOUT_HOLDOUT
    n_seen, n_heldout = (round(shares[split] * samples) for split in ("seen", "heldout"))
    seen = _grid(world, n_seen // 2)
    parts = [_repeat(seen, n_seen).assign(split="seen")]
    if n_heldout:
        block = _frame(world, points.labels[points.heldout])
        order = np.random.default_rng(0).permutation(len(block))
        parts.append(_repeat(block.iloc[order], n_heldout).assign(split="heldout"))
    between = _everywhere(world, samples - n_seen - n_heldout)
    withheld = world.in_holdout(between.to_numpy())
    parts.append(between.assign(split=np.where(withheld, "heldout", "between")))
    centres = pd.concat(parts, ignore_index=True)
    centres.insert(0, "sample", np.arange(len(centres)))
    return centres


def one_a_centre(centres: pd.DataFrame) -> pd.DataFrame:
    """The first request of each label seen in training, for the control with shared noise."""
    labels = list(centres.filter(like="mu_"))
    return centres[centres["split"] == "seen"].drop_duplicates(labels)


def _frame(world: World, labels: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(labels, columns=world.names.asked)


def _grid(world: World, at_most: int) -> pd.DataFrame:
    """A grid of lattice points of at most ``at_most`` points, as many for each factor as the lattice allows."""
    if world.lattice.shown is not None:
        return _shown(world, at_most)
    grids = [factor.grid for factor in world.factors]
    counts: list[int] = []
    for place, grid in enumerate(grids):
        room = at_most // math.prod(counts)
        counts.append(min(len(grid), max(1, _root(room, len(grids) - place))))
    for place, grid in enumerate(grids[:-1]):  # the later ones may have left room
        room = at_most // math.prod(counts[:place] + counts[place + 1 :])
        counts[place] = min(len(grid), max(1, room))
    chosen = [grid[_evenly(len(grid), count)] for grid, count in zip(grids, counts, strict=True)]
    labels = np.stack([grid.ravel() for grid in np.meshgrid(*chosen[::-1], indexing="ij")][::-1], axis=1)
    seen = ~world.in_holdout(labels)
    if not seen.any():  # a block that leaves only a rim may cover the whole grid
        return _shown(world, at_most)
    return _frame(world, labels[seen])


def _root(number: int, degree: int) -> int:
    """The largest whole number whose power of this degree is at most ``number``."""
    root = round(number ** (1 / degree))
    return root if root**degree <= number else root - 1


def _shown(world: World, at_most: int) -> pd.DataFrame:
    """Of the lattice points that training draws at most ``at_most``, evenly spaced in their order."""
    points = world.points
    labels = points.labels[~points.heldout]
    return _frame(world, labels[_evenly(len(labels), min(len(labels), at_most))])


def _evenly(length: int, count: int) -> np.ndarray:
    return np.round((np.arange(count) + 0.5) * length / count - 0.5).astype(int)


def _repeat(centres: pd.DataFrame, rows: int) -> pd.DataFrame:
    return centres.iloc[np.arange(rows) % len(centres)].reset_index(drop=True)


def _everywhere(world: World, rows: int) -> pd.DataFrame:
    # A power of two keeps the sequence balanced; its first rows are spread out all the same.
    unit = qmc.Sobol(len(world.factors), seed=0).random(1 << max(0, rows - 1).bit_length())[:rows]
    values = [
        factor.spread(share) if len(factor.grid) > 1 else np.full(rows, factor.grid[0])
        for factor, share in zip(world.factors, unit.T, strict=True)
    ]
    return _frame(world, np.stack(values, axis=1))

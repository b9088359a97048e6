"""The centres that a probe requests of a lattice."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import qmc

from bumpscope.config.lattice import Lattice
from bumpscope.worlds.bumps import factors, in_holdout, lattice_points

# Shares of the samples that go to centres seen in training and to withheld combinations; the rest lies between.
SHARES_WITHOUT_HOLDOUT = {"seen": 0.75, "heldout": 0.0}
SHARES_WITH_HOLDOUT = {"seen": 0.5, "heldout": 0.25}


def requested_centres(lattice: Lattice, samples: int) -> pd.DataFrame:
    """The centres that a probe requests: columns sample, mu_x, mu_y, split.

    - ``seen``: lattice points that training draws. Unless a design shows only some they form a grid (the whole lattice
      if it is small, evenly spaced positions of each axis if it is large). Each is requested at least twice, with
      different noise, so that the effects of noise and position can be separated.
    - ``heldout``: withheld combinations, all equally often.
    - ``between``: a Sobol sequence over the support, the same for every lattice with this support, so that datasets
      of different spacing can be compared. An axis with one position stays there. Points inside a withheld block count
      as held out.
    """
    points = lattice_points(lattice)
    shares = SHARES_WITH_HOLDOUT if points.heldout.any() else SHARES_WITHOUT_HOLDOUT
    n_seen, n_heldout = (round(shares[split] * samples) for split in ("seen", "heldout"))
    seen = _grid(lattice, n_seen // 2)
    parts = [_repeat(seen, n_seen).assign(split="seen")]
    if n_heldout:
        block = pd.DataFrame({"mu_x": points.mu_x[points.heldout], "mu_y": points.mu_y[points.heldout]})
        order = np.random.default_rng(0).permutation(len(block))
        parts.append(_repeat(block.iloc[order], n_heldout).assign(split="heldout"))
    between = _everywhere(lattice, samples - n_seen - n_heldout)
    withheld = in_holdout(lattice, between.mu_x.to_numpy(), between.mu_y.to_numpy())
    parts.append(between.assign(split=np.where(withheld, "heldout", "between")))
    centres = pd.concat(parts, ignore_index=True)
    centres.insert(0, "sample", np.arange(len(centres)))
    return centres


def one_a_centre(centres: pd.DataFrame) -> pd.DataFrame:
    """The first request of each centre seen in training, for the control with shared noise."""
    return centres[centres["split"] == "seen"].drop_duplicates(["mu_x", "mu_y"])


def _grid(lattice: Lattice, at_most: int) -> pd.DataFrame:
    """A grid of lattice points of at most ``at_most`` points, as many for x as for y as the lattice allows."""
    if lattice.shown is not None:
        return _shown(lattice, at_most)
    x, y = (factor.grid for factor in factors(lattice))
    count_x = min(len(x), max(1, int(np.sqrt(at_most))))
    count_y = min(len(y), max(1, at_most // count_x))
    count_x = min(len(x), max(1, at_most // count_y))
    x, y = x[_evenly(len(x), count_x)], y[_evenly(len(y), count_y)]
    mu_y, mu_x = (grid.ravel() for grid in np.meshgrid(y, x, indexing="ij"))
    seen = ~in_holdout(lattice, mu_x, mu_y)
    if not seen.any():  # a block that leaves only a rim may cover the whole grid
        return _shown(lattice, at_most)
    return pd.DataFrame({"mu_x": mu_x[seen], "mu_y": mu_y[seen]})


def _shown(lattice: Lattice, at_most: int) -> pd.DataFrame:
    """Of the lattice points that training draws at most ``at_most``, evenly spaced in their order."""
    points = lattice_points(lattice)
    mu_x, mu_y = points.mu_x[~points.heldout], points.mu_y[~points.heldout]
    chosen = _evenly(len(mu_x), min(len(mu_x), at_most))
    return pd.DataFrame({"mu_x": mu_x[chosen], "mu_y": mu_y[chosen]})


def _evenly(length: int, count: int) -> np.ndarray:
    return np.round((np.arange(count) + 0.5) * length / count - 0.5).astype(int)


def _repeat(centres: pd.DataFrame, rows: int) -> pd.DataFrame:
    return centres.iloc[np.arange(rows) % len(centres)].reset_index(drop=True)


def _everywhere(lattice: Lattice, rows: int) -> pd.DataFrame:
    low = lattice.free_margin - 0.5
    length = lattice.image_size - 2 * lattice.free_margin
    # A power of two keeps the sequence balanced; its first rows are spread out all the same.
    unit = qmc.Sobol(2, seed=0).random(1 << max(0, rows - 1).bit_length())[:rows]
    centres = low + length * unit
    for column, axis in enumerate(factors(lattice)):
        if len(axis.grid) == 1:
            centres[:, column] = axis.grid[0]
    return pd.DataFrame(centres, columns=["mu_x", "mu_y"])

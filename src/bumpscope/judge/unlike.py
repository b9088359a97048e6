"""Coupling of factors that cannot be swapped, such as a position and a size: each against itself learnt alone.

Where two axes are alike, an axis that is always slower cancels between a dataset and its swapped one. Here it does not
need to: the one-dimensional nulls are slower in it as well. Both factors must be timed by one yardstick, or times that
are equal would mean nothing: how well a label is known is counted by how much the image changes, so that a factor that
moves the image more must be known more finely.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from bumpscope.config.controls import ONE_DIMENSIONAL
from bumpscope.config.world import parsed
from bumpscope.judge.controls import SHARED, Comparison, datasets, has_centres, lattice_of
from bumpscope.store.names import pair_name
from bumpscope.worlds.factor import Factor
from bumpscope.worlds.named import world_of
from bumpscope.worlds.world import World

# The level at which labels are timed: root of the summed squared change of intensities, to first order. A bump that
# moves by 1.5 px changes by so much. Of the factors of `sized`, to 1.5 px and 0.4 ln, labels then have 0.49 and 0.28 of
# their effects at t = 450; at the 3 px of bumps a size of up to three times the least would have 0.08.
DISCRIMINABLE = 1.9
STEP = 1e-3  # of the derivatives, in units of distance


def levels(world: World) -> dict[str, float]:
    """The resolution of each factor, in its unit of distance, that changes an image by :data:`DISCRIMINABLE`.

    The change is the root mean square over the lattice's images. A factor that changes nothing has an infinite one.
    """
    labels, found = world.points.labels, {}
    for place, factor in enumerate(world.factors):
        ends = [labels.copy(), labels.copy()]
        for sign, moved in zip((-1, 1), ends, strict=True):
            own = factor.coordinate(labels[:, place]) + sign * STEP
            moved[:, place] = np.exp(own) if factor.logarithmic else own
        less, more = (world.render(moved) for moved in ends)
        change = np.sqrt((((more - less) / (2 * STEP)) ** 2).sum(axis=(1, 2)).mean())
        found[factor.name] = float(DISCRIMINABLE / change) if change else np.inf
    return found


def unlike_comparisons(runs: pd.DataFrame) -> list[Comparison]:
    """Each pair of factors of each dataset that has a null of one of them, in worlds whose factors cannot be swapped.

    A factor's null draws its values as the dataset does, has one value of every other, and is trained alike.
    """
    others = runs if runs.empty else runs[~has_centres(runs)]
    if others.empty:
        return []
    table = datasets(others)
    known = {str(name): _values(row.to_dict()) for name, row in table.iterrows()}
    single = {name: [one for one, (grid, _) in values.items() if len(grid) > 1] for name, values in known.items()}
    found = []
    for name, row in table.iterrows():
        varied = single[str(name)]
        if row["labels"] != "own" or len(varied) < len(known[str(name)]):
            continue
        alone = {factor: _null(table, row, factor, known, single) for factor in varied}
        for first, second in combinations(varied, 2):
            if alone[first] or alone[second]:
                kind = pair_name(first, second)
                x, y = alone[first], alone[second]
                found.append(Comparison(str(name), kind, None, ONE_DIMENSIONAL, x, y, unlike=f"{first} {second}"))
    return found


Values = dict[str, tuple[np.ndarray, float]]


def _values(run: Mapping[Any, Any]) -> Values:
    """factor -> its grid, and the exponent of its skew, of a row of table ``runs``."""

    def alpha(factor: Factor) -> float:
        return float(run["skew_alpha"]) if run["skew_axis"] in (factor.name, "both") else 0.0

    return {factor.name: (factor.grid, alpha(factor)) for factor in world_of(lattice_of(run)).factors}


def _null(
    table: pd.DataFrame, like: pd.Series, factor: str, known: Mapping[str, Values], single: Mapping[str, list[str]]
) -> str | None:
    """The dataset with this factor alone; of several the first with the most seeds of ``like``."""
    grid, alpha = known[str(like.name)][factor]
    best, most = None, 0
    for name, row in table.iterrows():
        if single[str(name)] != [factor] or row["labels"] != "own" or row["reference"] != like["reference"]:
            continue
        if not all(_same(row[column], like[column]) for column in SHARED if column != "world"):
            continue
        if parsed(str(row["world"])).kind != parsed(str(like["world"])).kind:
            continue
        own, skew = known[str(name)][factor]
        shared = len(row["seeds"] & like["seeds"])
        if len(own) == len(grid) and np.allclose(own, grid) and np.isclose(skew, alpha) and shared > most:
            best, most = str(name), shared
    return best


def _same(a: Any, b: Any) -> bool:
    """Whether two cells agree; worlds from elsewhere leave some empty."""
    return bool(a == b) or (pd.isna(a) and pd.isna(b))

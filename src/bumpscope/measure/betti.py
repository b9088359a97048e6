"""Betti numbers: how many pieces, loops and voids of a cloud are significant."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from bumpscope.worlds.factor import Factor


def betti_table(bars: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Significant pieces, loops and voids of several clouds.

    Args:
        bars: as from :func:`bumpscope.measure.topology.persistence`, with further columns that name the cloud.
        by: these columns.

    Returns:
        Indexed by ``by``, columns 0, 1, 2. A dimension without a bar has 0.
    """
    counts = bars.groupby([*by, "dimension"])["significant"].sum().unstack("dimension")
    return counts.reindex(columns=[0, 1, 2]).fillna(0).astype(int)


def betti_numbers(bars: pd.DataFrame) -> tuple[int, int, int]:
    """Significant pieces, loops and voids among the bars of one cloud."""
    pieces, loops, voids = betti_table(bars.assign(cloud=0), ["cloud"]).sum()
    return int(pieces), int(loops), int(voids)


def expected_betti(factors: Iterable[Factor]) -> tuple[int, ...]:
    """Betti numbers 0 to 2 of what the factors span: a circle for each that is periodic, times intervals."""
    circles = sum(factor.period is not None for factor in factors)
    return tuple(math.comb(circles, dimension) for dimension in range(3))

"""Betti numbers: how many pieces, loops and voids of a cloud are significant."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd


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

"""How the axes of a dataset were learnt, beside how the representation that was learnt is built.

Learning may be coupled while the representation that it ends in is factorised.
"""

from __future__ import annotations

import math

import pandas as pd

from bumpscope.judge.intervals import t_interval
from bumpscope.store.schemas import TABLES
from bumpscope.store.selection import matching

# The quantities of table ``metrics`` that the table is computed from.
QUANTITIES = ("additive_share", "parallelism", "orthogonality", "tangent_cosine")


def side_by_side(metrics: pd.DataFrame, coupling: pd.DataFrame, onsets: pd.DataFrame) -> pd.DataFrame:
    """The table ``factorisation``: a row for each dataset, place and number of :func:`bumpscope.measure.factorisation`.

    The representation is that of the last probed checkpoint, each image with noise of its own; the control is that of
    step 0. Learning is that of the label effects.

    Args:
        metrics: table ``metrics`` of all runs, or its :data:`QUANTITIES`.
        coupling, onsets: tables of these names.
    """
    found = matching(metrics, quantity=QUANTITIES, space="raw", label="requested", noise="own")
    if found.empty:
        return pd.DataFrame(columns=TABLES["factorisation"].names)
    of_factor = "_" + found["factor"].astype("str")
    found = found.assign(metric=found["quantity"] + of_factor.fillna("")).astype({"t": int})
    learnt = {row["dataset"]: row for row in coupling[coupling["measure"] == "effects"].to_dict("records")}
    gaps = onsets[onsets["measure"] == "effects"].set_index("dataset")["gap"]
    rows = []
    for (dataset, layer, t, name), part in found.groupby(["dataset", "layer", "t", "metric"], sort=False):
        last = part[part["step"] == part["step"].max()]["value"].dropna()
        value, low, high = t_interval(last)
        row = {"dataset": dataset, "layer": layer, "t": t, "metric": name, "value": value, "low": low, "high": high}
        row |= {"untrained": part.loc[part["step"] == 0, "value"].mean(), "runs": len(last)}
        index = learnt.get(dataset)
        for column, source in (("coupling", "coupling"), ("coupling_low", "low"), ("coupling_high", "high")):
            row[column] = math.nan if index is None else index[source]
        rows.append(row | {"gap": gaps.get(dataset, math.nan), "verdict": None if index is None else index["verdict"]})
    return pd.DataFrame(rows)[TABLES["factorisation"].names]

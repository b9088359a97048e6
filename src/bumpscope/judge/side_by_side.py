"""How the axes of a dataset were learnt, beside how the representation that was learnt is built.

Learning may be coupled while the representation that it ends in is factorised.
"""

from __future__ import annotations

import math

import pandas as pd

from bumpscope.config.model import DEFAULT_WEIGHTS
from bumpscope.judge.controls import judged, permuted_controls
from bumpscope.judge.intervals import t_interval
from bumpscope.judge.onsets import RESOLUTION
from bumpscope.store.schemas import TABLES
from bumpscope.store.selection import matching

PLACE = ["dataset", "layer", "t", "metric"]
# The quantities of table ``metrics`` that the table is computed from.
QUANTITIES = ("additive_share", "parallelism", "orthogonality", "tangent_cosine")


def side_by_side(
    metrics: pd.DataFrame, coupling: pd.DataFrame, onsets: pd.DataFrame, runs: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The table ``factorisation``: a row for each dataset, place and number of :func:`bumpscope.measure.factorisation`.

    The representation is that of the last probed checkpoint, each image with noise of its own. Its controls have shared
    noise, since with their own they hold hardly anything but noise: the same network; an untrained one with default
    weights; and networks trained alike on the same lattice, but on permuted labels. Learning is timed by resolution.

    Args:
        metrics: table ``metrics`` of all runs, or its :data:`QUANTITIES`.
        coupling, onsets: tables of these names.
        runs: table ``runs``; without it no network trained on permuted labels is found.
    """
    found = matching(metrics, quantity=QUANTITIES, space="raw", label="requested")
    if found.empty:
        return pd.DataFrame(columns=TABLES["factorisation"].names)
    of_factor = "_" + found["factor"].astype("str")
    found = found.assign(metric=found["quantity"] + of_factor.fillna("")).astype({"t": int})
    default = found["weights"] == DEFAULT_WEIGHTS
    untrained = found[default].groupby(PLACE)["value"].mean()
    own, shared = (_last(found[~default & (found["noise"] == noise)]) for noise in ("own", "shared"))
    alike = shared.groupby(PLACE)["value"].mean()
    permuted = {} if runs is None else permuted_controls(runs)
    learnt = {row["dataset"]: row for row in judged(coupling[coupling["measure"] == RESOLUTION]).to_dict("records")}
    gaps = onsets[onsets["measure"] == RESOLUTION].set_index("dataset")["own_gap"]
    rows = []
    for (dataset, layer, t, name), part in own.groupby(PLACE, sort=False):
        place, last = (dataset, layer, t, name), part["value"].dropna()
        # Only noise, and an interval that is symmetric, could make one of these numbers exceed 1.
        value, low, high = (min(number, 1.0) for number in t_interval(last.to_numpy()))
        row = {"dataset": dataset, "layer": layer, "t": t, "metric": name, "value": value, "low": low, "high": high}
        row |= {"shared": alike.get(place, math.nan), "untrained": untrained.get(place, math.nan), "runs": len(last)}
        row["permuted"] = alike.get((permuted.get(str(dataset)), layer, t, name), math.nan)
        index = learnt.get(dataset)
        for column, source in (("coupling", "coupling"), ("coupling_low", "low"), ("coupling_high", "high")):
            row[column] = math.nan if index is None else index[source]
        verdict = None if index is None else index["verdict"]
        rows.append(row | {"own_gap": gaps.get(dataset, math.nan), "verdict": verdict})
    return pd.DataFrame(rows)[TABLES["factorisation"].names]


def _last(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of each place at its last checkpoint."""
    return rows[rows["step"] == rows.groupby(PLACE)["step"].transform("max")]

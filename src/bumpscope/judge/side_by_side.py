"""How the axes were learnt beside how the representation that came of it is built, for the same runs.

Learning may be coupled while the representation that it ends in is factorised: one speaks of when, the other of what.
"""

from __future__ import annotations

import math

import pandas as pd

from bumpscope.judge.intervals import t_interval
from bumpscope.measure.factorisation import METRICS
from bumpscope.store.schemas import TABLES

# The metrics that the table has, as a regular expression with the groups name, layer and t.
METRICS_READ = rf"({'|'.join(METRICS)})/([^/]+)/t=(\d+)/raw/requested"


def side_by_side(metrics: pd.DataFrame, coupling: pd.DataFrame, onsets: pd.DataFrame) -> pd.DataFrame:
    """The table ``factorisation``: a row for each dataset, place and number of :func:`bumpscope.measure.factorisation`.

    The representation is that of the last probed checkpoint, each image with noise of its own; the control is that of
    step 0. Learning is that of the label effects.

    Args:
        metrics, coupling, onsets: tables of these names.
    """
    parts = metrics["metric"].str.extract(f"^{METRICS_READ}$")
    found = metrics.assign(name=parts[0], layer=parts[1], t=parts[2]).dropna(subset=["name"])
    if found.empty:
        return pd.DataFrame(columns=TABLES["factorisation"].names)
    found = found.astype({"t": int})
    learnt = {row["dataset"]: row for row in coupling[coupling["measure"] == "effects"].to_dict("records")}
    gaps = onsets[onsets["measure"] == "effects"].set_index("dataset")["gap"]
    rows = []
    for (dataset, layer, t, name), part in found.groupby(["dataset", "layer", "t", "name"], sort=False):
        last = part[part["step"] == part["step"].max()]["value"].dropna()
        value, low, high = t_interval(last)
        row = {"dataset": dataset, "layer": layer, "t": t, "metric": name, "value": value, "low": low, "high": high}
        row |= {"untrained": part.loc[part["step"] == 0, "value"].mean(), "runs": len(last)}
        index = learnt.get(dataset)
        for column, source in (("coupling", "coupling"), ("coupling_low", "low"), ("coupling_high", "high")):
            row[column] = math.nan if index is None else index[source]
        rows.append(row | {"gap": gaps.get(dataset, math.nan), "verdict": None if index is None else index["verdict"]})
    return pd.DataFrame(rows)[TABLES["factorisation"].names]

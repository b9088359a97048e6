"""When each axis is learnt, dataset by dataset, and whether the seeds that learn x late learn y late as well."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy import stats

from bumpscope.judge.coupling import MEASURES, at_timesteps, crossings, rows_of, usual_timesteps
from bumpscope.judge.intervals import t_interval
from bumpscope.judge.onsets import Onset
from bumpscope.store.schemas import TABLES

# A correlation of fewer pairs has an interval as wide as all that it can be.
FEWEST_PAIRS = 4


def onset_table(metrics: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The table ``onsets``: a row for each dataset and measure of :data:`bumpscope.judge.coupling.MEASURES`.

    Effects are those at :func:`bumpscope.judge.coupling.usual_timesteps`. Times are geometric means over the seeds in
    which both crossings can be timed, with Student t intervals of ln tau.

    Args:
        metrics: table ``metrics`` of all runs, or the quantities that :mod:`bumpscope.judge.coupling` reads.
        runs: table ``runs``.
    """
    rows = []
    for measure in MEASURES if len(runs) and len(metrics) else ():
        of_axes, times = rows_of(metrics, measure), dict[str, int]()
        if measure != "accuracy":
            times = usual_timesteps(of_axes["x"])
            of_axes = {axis: at_timesteps(found, times) for axis, found in of_axes.items()}
        found = crossings(of_axes)
        seeds_of: dict[str, set[int]] = {}
        for name, seed, _ in found:
            seeds_of.setdefault(name, set()).add(seed)
        for dataset in runs["dataset"].drop_duplicates():
            seeds = sorted(seeds_of.get(dataset, ()))
            both = [[found.get((dataset, seed, axis)) for axis in "xy"] for seed in seeds]
            known = [(x, y) for x, y in both if x is not None and y is not None]
            if known:
                rows.append({"dataset": dataset, "measure": measure, "t": times.get(dataset)} | _row(known))
    return pd.DataFrame(rows, columns=TABLES["onsets"].names).astype({"t": "Int64"})


def _row(known: list[tuple[Onset, Onset]]) -> dict[str, float]:
    timed = np.array([[math.log(x.time), math.log(y.time)] for x, y in known if x.timed and y.timed]).reshape(-1, 2)
    row: dict[str, float] = {}
    for axis, times in zip("xy", timed.T, strict=True):
        mean, low, high = np.exp(t_interval(times))
        row |= {f"tau_{axis}": mean, f"tau_{axis}_low": low, f"tau_{axis}_high": high}
    row |= dict(zip(("gap", "gap_low", "gap_high"), t_interval(timed[:, 0] - timed[:, 1], 0.90), strict=True))
    correlation = low = high = math.nan
    if len(timed) >= FEWEST_PAIRS and timed.std(axis=0).min() > 0:
        result = stats.pearsonr(*timed.T)
        correlation, (low, high) = float(result.statistic), result.confidence_interval()
    row |= {"correlation": correlation, "correlation_low": low, "correlation_high": high}
    return row | {"runs": len(timed), "censored": sum(x.censored or y.censored for x, y in known)}

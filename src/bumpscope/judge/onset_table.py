"""When each axis is learnt, dataset by dataset, and whether the seeds that learn x late learn y late as well."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import scipy  # its stats take a second to import, and come when they are used

from bumpscope.judge.controls import has_centres
from bumpscope.judge.coupling import MEASURES, at_timesteps, crossings, rows_of, usual_timesteps
from bumpscope.judge.intervals import t_interval
from bumpscope.judge.onsets import Onset
from bumpscope.store.schemas import TABLES

# A correlation of fewer pairs has an interval as wide as all that it can be.
FEWEST_PAIRS = 4


def onset_table(metrics: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The table ``onsets``: a row for each dataset and measure of :data:`bumpscope.judge.coupling.MEASURES`.

    Resolution, effects and use are those at :func:`bumpscope.judge.coupling.usual_timesteps`. Times are geometric means
    over the seeds in which both crossings can be timed, with Student t intervals of ln tau. A dataset with one position
    on an axis has the times of the other.

    Args:
        metrics: table ``metrics`` of all runs, or the quantities that :mod:`bumpscope.judge.coupling` reads.
        runs: table ``runs``.
    """
    rows = []
    for measure in MEASURES if len(runs) and len(metrics) else ():
        of_axes, times = rows_of(metrics, measure), dict[str, int]()
        if measure != "accuracy":
            times = usual_timesteps(pd.concat(of_axes.values()))
            of_axes = {axis: at_timesteps(found, times) for axis, found in of_axes.items()}
        found = crossings(of_axes, measure)
        seeds_of: dict[str, set[int]] = {}
        for name, seed, _ in found:
            seeds_of.setdefault(name, set()).add(seed)
        for dataset in runs.loc[has_centres(runs), "dataset"].drop_duplicates():
            seeds = sorted(seeds_of.get(dataset, ()))
            axes = [axis for axis in "xy" if any(found.get((dataset, seed, axis)) for seed in seeds)]
            each = [{axis: found.get((dataset, seed, axis)) for axis in axes} for seed in seeds]
            known = [{axis: one for axis, one in of_seed.items() if one is not None} for of_seed in each]
            known = [of_seed for of_seed in known if len(of_seed) == len(axes) > 0]
            if known:
                rows.append({"dataset": dataset, "measure": measure, "t": times.get(dataset)} | _row(known))
    return pd.DataFrame(rows, columns=TABLES["onsets"].names).astype({"t": "Int64"})


def _row(known: list[dict[str, Onset]]) -> dict[str, float]:
    """Times from the crossings of each seed by axis, of both axes or of one."""
    axes = list(known[0])
    each = [list(of_seed.values()) for of_seed in known]
    times_of = [[math.log(one.time) for one in of_seed] for of_seed in each if all(one.timed for one in of_seed)]
    timed = np.array(times_of).reshape(-1, len(axes))
    row: dict[str, float] = {}
    for axis, times in zip(axes, timed.T, strict=True):
        mean, low, high = np.exp(t_interval(times))
        row |= {f"tau_{axis}": mean, f"tau_{axis}_low": low, f"tau_{axis}_high": high}
    correlation = low = high = math.nan
    if len(axes) == 2:
        gap = t_interval(timed[:, 0] - timed[:, 1], 0.90)
        row |= dict(zip(("own_gap", "own_gap_low", "own_gap_high"), gap, strict=True))
        if len(timed) >= FEWEST_PAIRS and timed.std(axis=0).min() > 0:
            result = scipy.stats.pearsonr(*timed.T)
            correlation, (low, high) = float(result.statistic), result.confidence_interval()
    row |= {"correlation": correlation, "correlation_low": low, "correlation_high": high}
    never = sum(any(one.censored for one in of_seed) for of_seed in each)
    return row | {"runs": len(timed), "censored": never}

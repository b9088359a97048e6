"""C4: denser data are learnt earlier."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bumpscope.judge.coupling import LATER
from bumpscope.judge.data import Data, Reads
from bumpscope.judge.density import Ladder, longest_ladders
from bumpscope.judge.histories import histories
from bumpscope.judge.intervals import t_interval
from bumpscope.judge.onsets import Onset, curves, fitted_onset
from bumpscope.judge.remedies import CHECKPOINTS, LONGER, SPACINGS
from bumpscope.judge.verdicts import (
    CONTRADICTS,
    FEWEST_SEEDS,
    NEEDED,
    NONE,
    SUPPORTS,
    UNKNOWN,
    Bound,
    Interval,
    Judged,
    count,
    estimate,
)
from bumpscope.store.names import XY

ID = "C4"
QUESTION = "Do denser data bring structure earlier?"
STATEMENT = "Denser data bring structure earlier, counted in optimiser steps (our choice)"
STATISTIC = "slope of ln onset of structure (R² one half, of all factors made denser) against ln lattice spacing"
# Up to 20 components: the label may lie beyond the third.
R2 = {"quantity": "r2", "space": "raw", "label": "requested", "noise": "own"}
READS: Reads = (("phases", {"judged": True}), ("metrics", R2))
FIGURES = ("event_order",)
CAVEAT = "The unit is our choice: counted in epochs, the slope is greater by construction."
MORE = {"seeds": SPACINGS, "onsets that cannot be timed": CHECKPOINTS, "seeds with two onsets never reached": LONGER}

# Below this slope halving the spacing saves less than 7% of the steps.
FLAT_SLOPE = 0.1


def judge(data: Data) -> Judged:
    """Slope of ln onset of structure against ln spacing, within each seed, over balanced lattices alike otherwise.

    Structure begins where R² of the factor that is decoded worse crosses one half: the curve is fitted by isotonic
    regression, since first crossings of noisy curves are early. Factors that are as dense in all lattices do
    not count, since one that is learnt late would hide what density does to the others. Supported when the interval of
    the slope over seeds lies above 0; contradicted when it lies below 0.1 and reaches 0 or less. That must hold with
    onsets never reached taken at the last step and at ten times it; with two of them in a seed, or an onset that the
    checkpoints cannot time, the verdict is undetermined. The paper does not say in what unit it counts. Steps are our
    choice; at a fixed batch they count images seen. Per epoch the slope is greater by what a denser lattice adds to the
    length of an epoch; it is shown and does not count.
    """
    passed = histories(data.table("phases", judged=True), data.planes.index)
    known = curves(data.table("metrics", **R2), by=("layer", "t", "factor"))
    # Spacings are those of x and y; other factors are as dense in all lattices.
    denser = [name for name in data.names if name in XY.factors]
    found = {run: _structure(known, (*run, history.layer, history.t), denser) for run, history in passed.items()}
    ladders = longest_ladders(data.planes, found)
    seeds = count("seeds", len(ladders), NEEDED, Bound(least=FEWEST_SEEDS))
    if not ladders:
        return Judged(UNKNOWN, 0, [seeds])
    onsets = [one for ladder in ladders for one in ladder.onsets]
    untimed = sum(not one.timed and not one.censored for one in onsets)
    twice = sum(not ladder.ordered for ladder in ladders)
    # Rounded, since a spacing comes back from its logarithm.
    spacings = sorted({round(math.exp(value), 9) for ladder in ladders for value in ladder.ln_spacing})
    checks = [
        seeds,
        count("onsets", len(onsets)),
        count("onsets never reached", sum(one.censored for one in onsets)),
        count("onsets that cannot be timed", untimed, NEEDED, NONE),
        count("seeds with two onsets never reached", twice, NEEDED, NONE),
    ]
    slopes = {late: t_interval([ladder.slope(late) for ladder in ladders]) for late in (1.0, LATER)}
    for late, slope in slopes.items():
        name = "slope of ln onset against ln spacing" if late == 1 else "the same, onsets never reached ten times later"
        checks.append(estimate(name, slope, SUPPORTS, Bound(above=0)))
        checks.append(estimate(name, slope, CONTRADICTS, Bound(below=FLAT_SLOPE, not_above=0)))
    checks.append(estimate("slope per epoch", t_interval([ladder.slope(1.0, epochs=True) for ladder in ladders])))
    checks += [estimate("onset", _onset_at(value, ladders), subject=f"{value:g} px") for value in spacings]
    return Judged(slopes[1.0], len(onsets), checks)


def _structure(
    known: Mapping[Any, tuple[np.ndarray, np.ndarray]], place: tuple[str, int, str, int], factors: Sequence[str]
) -> Onset | None:
    """When these factors are told at a place (dataset, seed, layer, t)."""
    of_axes = [pd.Series(*known[*place, factor][::-1]) for factor in factors if (*place, factor) in known]
    if not of_axes or len(of_axes) < len(factors):
        return None
    worse = pd.concat(of_axes, axis=1).min(axis=1, skipna=False)
    return fitted_onset(worse.index.to_numpy(), worse.to_numpy())


def _onset_at(spacing: float, ladders: Sequence[Ladder]) -> Interval:
    """Geometric mean over seeds of the onset on lattices of a spacing, with its interval; only onsets that came."""
    means = []
    for ladder in ladders:
        rungs = zip(ladder.ln_spacing, ladder.onsets, strict=True)
        here = [found for ln, found in rungs if math.isclose(ln, math.log(spacing), abs_tol=1e-9)]
        times = [math.log(found.time) for found in here if not found.censored]
        means += [float(np.mean(times))] if times else []
    mean, low, high = (math.exp(value) for value in t_interval(means))
    return mean, low, high

"""C5, the stronger half: with imbalanced data, factors such as x and y are learnt at one pace."""

from __future__ import annotations

import numpy as np

from bumpscope.judge import pooling
from bumpscope.judge.coupling import COUPLED
from bumpscope.judge.data import Data
from bumpscope.judge.pooling import estimates, pooled, runs_of
from bumpscope.judge.verdicts import CONTRADICTS, NONE, SIGNIFICANCE, SUPPORTS, Bound, Judged, count, estimate

ID = "C5-fully-coupled"
QUESTION = "Where the data favour one factor, are all still learnt at one pace?"
STATEMENT = "With imbalanced data, factors are learnt at one pace: learning is fully coupled"
STATISTIC = "coupling index by resolution, pooled over pairs: 0 factorised, 1 coupled"
READS = pooling.READS
FIGURES = ("coupling_index", "imbalance_curves", "onset_map", "rare_common", "learning_and_geometry")
CAVEAT = "Only datasets whose nulls differ can tell."
MORE = pooling.MORE


def judge(data: Data) -> Judged:
    """The index of ``C5-not-factorised``, held against the margin from 0.8 to 1.25 that counts as coupled.

    Supported when its interval lies inside and no pair lies outside; contradicted when it lies outside as a whole and
    no pair lies inside. Pairs are tested at 5% together (Holm): inside by two one-sided tests.
    """
    found = pooled(data)
    low, high = COUPLED
    checks = list(found.needed())
    inside = np.maximum(found.above(low), found.below(high))
    outside = np.minimum(2 * np.minimum(found.below(low), found.above(high)), 1)
    for name, interval in estimates(found).items():
        checks.append(estimate(name, interval, SUPPORTS, Bound(least=low, most=high)))
        beyond = max(low - interval[2], interval[1] - high)
        checks.append(count(f"distance from the margin, {name}", beyond, CONTRADICTS, Bound(above=0)))
    checks.append(count("pairs outside 0.8 to 1.25", int((outside < SIGNIFICANCE).sum()), SUPPORTS, NONE))
    checks.append(count("pairs inside 0.8 to 1.25", int((inside < SIGNIFICANCE).sum()), CONTRADICTS, NONE))
    checks += found.shown({"p of an index inside 0.8 to 1.25": inside, "p of one outside": outside}, data)
    return Judged(found.index(), runs_of(found), checks)

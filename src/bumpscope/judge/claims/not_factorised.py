"""C5, the weaker half: with imbalanced data, factors such as x and y are not learnt each at its own pace."""

from __future__ import annotations

from bumpscope.judge import pooling
from bumpscope.judge.coupling import FACTORISED
from bumpscope.judge.data import Data
from bumpscope.judge.pooling import estimates, pooled, runs_of
from bumpscope.judge.verdicts import CONTRADICTS, NONE, SIGNIFICANCE, SUPPORTS, Bound, Judged, count, estimate

ID = "C5-not-factorised"
QUESTION = "Where the data favour one factor, does that change when another is learnt?"
STATEMENT = "With imbalanced data, factors are not learnt each at its own pace: learning is not factorised"
STATISTIC = "coupling index by resolution, pooled over pairs: 0 factorised, 1 coupled"
READS = pooling.READS
FIGURES = ("coupling_index", "imbalance_curves", "onset_map", "rare_common", "learning_and_geometry")
CAVEAT = "Only datasets whose nulls differ can tell."
MORE = pooling.MORE


def judge(data: Data) -> Judged:
    """The coupling index by resolution in px, pooled over all pairs of swapped datasets whose nulls differ.

    Supported when its interval lies above 0.2 and no pair lies below; contradicted when it lies below 0.2 and no pair
    lies above. Pairs are tested at 5% together (Holm). Nulls are one-dimensional. Where factors cannot be swapped pairs
    are of factors (:mod:`bumpscope.judge.unlike`).
    """
    found = pooled(data)
    checks = list(found.needed())
    p_values = {"p of an index above 0.2": found.above(FACTORISED), "p of an index below 0.2": found.below(FACTORISED)}
    above, below = (int((values < SIGNIFICANCE).sum()) for values in p_values.values())
    for name, interval in estimates(found).items():
        checks.append(estimate(name, interval, SUPPORTS, Bound(above=FACTORISED)))
        checks.append(estimate(name, interval, CONTRADICTS, Bound(below=FACTORISED)))
    checks.append(count("pairs below 0.2", below, SUPPORTS, NONE))
    checks.append(count("pairs above 0.2", above, CONTRADICTS, NONE))
    checks += found.shown(p_values, data)
    return Judged(found.index(), runs_of(found), checks)

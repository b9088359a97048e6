"""C6: new centres are drawn right."""

from __future__ import annotations

from bumpscope.judge.coupling import FEWEST_SEEDS
from bumpscope.judge.data import Data, Reads
from bumpscope.judge.histories import by_seed
from bumpscope.judge.intervals import t_interval
from bumpscope.judge.onsets import curves
from bumpscope.judge.verdicts import (
    ACCURATE,
    CONTRADICTS,
    NEEDED,
    SUPPORTS,
    UNKNOWN,
    Bound,
    Judged,
    count,
    estimate,
)

ID = "C6"
STATEMENT = "Combinations never seen together, and positions between lattice points, are drawn right"
STATISTIC = "accuracy on new centres minus accuracy on seen ones, at the last step, for the worse kind of new centre"
KINDS = ("heldout", "between")
SHARES = {"quantity": "share_correct", "split": ["seen", *KINDS], "bin": None}
READS: Reads = (("phases", {"judged": True}), ("metrics", SHARES))
FIGURES = ("behaviour_mix",)

# Accuracy may fall this far behind that on seen centres.
SHORTFALL = 0.1


def judge(data: Data) -> Judged:
    """Accuracy on withheld combinations and between lattice points, minus that on seen centres, at the last checkpoint.

    Runs that are not half right on seen centres are left out. Contradicted when the interval of either kind lies below
    -0.1; supported when those of both lie above. The estimate is that of the worse kind. Since only the last checkpoint
    counts, datasets with withheld combinations and the most seeds count beside those that were timed best.
    """
    best = data.with_most_seeds
    names = {*data.best_timed.index, *(best.index[best["holdout"] != "none"] if len(best) else ())}
    known = curves(data.table("metrics", **SHARES), by=("split",))
    last = {key: float(values[-1]) for key, (_, values) in known.items() if key[0] in names}
    seen = {key[:2]: value for key, value in last.items() if key[2] == "seen"}
    able = {run: value for run, value in seen.items() if value >= ACCURATE}
    checks = [count("balanced runs on a plane", len(seen)), count("runs that are accurate", len(able))]
    checks += [estimate("accuracy", t_interval(by_seed(able)), subject="seen")] if able else []
    intervals, runs = [], set()
    for split in KINDS:
        accuracy = {run: last[*run, split] for run in able if (*run, split) in last}
        falls = by_seed({run: value - able[run] for run, value in accuracy.items()})
        checks.append(count("seeds", len(falls), NEEDED, Bound(least=FEWEST_SEEDS), split))
        if falls:
            interval = t_interval(falls)
            intervals.append(interval)
            runs |= set(accuracy)
            checks.append(estimate("accuracy", t_interval(by_seed(accuracy)), subject=split))
            checks.append(
                estimate("accuracy minus that on seen centres", interval, SUPPORTS, Bound(above=-SHORTFALL), split)
            )
            checks.append(
                estimate("accuracy minus that on seen centres", interval, CONTRADICTS, Bound(below=-SHORTFALL), split)
            )
    return Judged(min(intervals, key=lambda interval: interval[0], default=UNKNOWN), len(runs), checks)

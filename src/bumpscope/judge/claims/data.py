"""Claims C4 to C6, on datasets and on what training never showed; each function's docstring is its claim's rule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from bumpscope.judge.claims.phases import ACCURATE, PCA3_R2
from bumpscope.judge.coupling import FEWEST_SEEDS, LATER
from bumpscope.judge.density import Ladder, longest_ladders
from bumpscope.judge.histories import History, RunKey, by_seed
from bumpscope.judge.intervals import t_interval
from bumpscope.judge.onsets import curves, onset
from bumpscope.judge.verdicts import (
    CONTRADICTED,
    SUPPORTED,
    UNDETERMINED,
    UNKNOWN,
    Interval,
    Judged,
    Number,
    few,
    judged,
    told,
)
from bumpscope.store.selection import matching

# C4: slope of ln onset against ln spacing; below it, halving the spacing saves less than 7% of the steps.
FLAT_SLOPE = 0.1
# C6: accuracy may fall this far behind that of seen centres.
SHORTFALL = 0.1


def density_hastens(metrics: pd.DataFrame, planes: pd.DataFrame, passed: Mapping[RunKey, History]) -> Judged:
    """C4. Slope of ln onset of structure against ln spacing, within each seed, over balanced lattices alike otherwise.

    Structure begins where R² of the requested centre (as in C3) crosses one half. Supported when the interval of the
    slope lies above 0; contradicted when it lies below 0.1 and reaches 0 or less. That must hold with onsets never
    reached taken at the last step and at ten times it; with two of them in a seed, or an onset that the checkpoints
    cannot time, the verdict is undetermined. Steps count, which at a fixed batch is as images seen; per epoch the slope
    is greater by what a denser lattice adds to the length of an epoch, told and never counted.
    """
    known = curves(matching(metrics, **PCA3_R2, label="requested"), by=["layer", "t"])
    places = {key: (*key, history.layer, history.t) for key, history in passed.items()}
    found = {key: onset(*known[place]) for key, place in places.items() if place in known}
    ladders = longest_ladders(planes, found)
    if not ladders:
        none = [Number("seeds", 0)]
        return judged("C4", UNKNOWN, 0, UNDETERMINED, ["no seed has R² for balanced lattices of two spacings"], none)
    interval, later = (t_interval([ladder.slope(late) for ladder in ladders]) for late in (1.0, LATER))
    onsets = [found for ladder in ladders for found in ladder.onsets]
    never = sum(found.censored for found in onsets)
    untimed = sum(not found.timed and not found.censored for found in onsets)
    verdict = UNDETERMINED
    if len(ladders) >= FEWEST_SEEDS and untimed == 0 and all(ladder.ordered for ladder in ladders):
        answers = {_slope_verdict(interval), _slope_verdict(later)}
        verdict = answers.pop() if len(answers) == 1 else UNDETERMINED
    # Rounded, since a spacing comes back from its logarithm.
    spacings = sorted({round(math.exp(value), 9) for ladder in ladders for value in ladder.ln_spacing})
    per_epoch = t_interval([ladder.slope(1.0, epochs=True) for ladder in ladders])
    reasons = [
        f"slope {told(interval)} over spacings {', '.join(f'{value:g}' for value in spacings)} px",
        f"{never} onsets never reached" if never else "",
        f"{untimed} onsets that the checkpoints cannot time" if untimed else "",
        few(len(ladders)),
        f"per epoch the slope is {told(per_epoch)}",
    ]
    evidence = [
        Number("seeds", len(ladders)),
        Number("slope", *interval),
        Number("slope, onsets never reached taken ten times later", *later),
        Number("slope per epoch", *per_epoch),
        Number("onsets", len(onsets)),
        Number("onsets never reached", never),
        Number("onsets that cannot be timed", untimed),
        Number("seeds with two onsets never reached", sum(not ladder.ordered for ladder in ladders)),
        *(Number("onset", *_onset_at(value, ladders), subject=f"{value:g} px") for value in spacings),
    ]
    return judged("C4", interval, len(onsets), verdict, reasons, evidence)


def _onset_at(spacing: float, ladders: Sequence[Ladder]) -> Interval:
    """Geometric mean over seeds of the onset on lattices of a spacing, with its interval; onsets that came only."""
    means = []
    for ladder in ladders:
        rungs = zip(ladder.ln_spacing, ladder.onsets, strict=True)
        here = [found for ln, found in rungs if math.isclose(ln, math.log(spacing), abs_tol=1e-9)]
        times = [math.log(found.time) for found in here if not found.censored]
        means += [float(np.mean(times))] if times else []
    mean, low, high = (math.exp(value) for value in t_interval(means))
    return mean, low, high


def _slope_verdict(interval: Interval) -> str:
    _, low, high = interval
    if low > 0:
        return SUPPORTED
    return CONTRADICTED if high < FLAT_SLOPE else UNDETERMINED


def axes_are_coupled(coupling: pd.DataFrame) -> Judged:
    """C5. The coupling index of the label effects, over all imbalanced datasets whose verdict is determined.

    Contradicted when one of them is factorised or reversed; supported when all are coupled; partial coupling decides
    nothing. The estimate is that of the dataset whose nulls differ most clearly; ``runs`` counts its seeds.
    """
    rows = coupling
    if len(coupling):
        rows = coupling[(coupling["measure"] == "effects") & (coupling["reference"] == "none")]
    if rows.empty:
        return judged("C5", UNKNOWN, 0, UNDETERMINED, ["no imbalanced dataset has label effects"])
    verdicts = set(rows["verdict"]) - {UNDETERMINED}
    verdict = UNDETERMINED
    if verdicts & {"factorised", "reversed"}:
        verdict = CONTRADICTED
    elif verdicts == {"coupled"}:
        verdict = SUPPORTED
    records = rows.to_dict("records")
    reasons = [
        f"{row['dataset']}: {row['verdict']}, index {told((row['coupling'], row['low'], row['high']))}, "
        f"nulls apart by {told((row['null_gap'], row['null_low'], row['null_high']))} ln steps, "
        f"simultaneous: {row['simultaneous']}"
        for row in records
    ]
    clarity = rows["null_gap"].abs() / (rows["null_high"] - rows["null_low"])
    clearest = records[int(clarity.fillna(-1.0).to_numpy().argmax())]
    interval = (clearest["coupling"], clearest["low"], clearest["high"])
    return judged("C5", interval, int(clearest["runs"]), verdict, [*reasons, few(int(clearest["runs"]))])


def new_centres_are_right(metrics: pd.DataFrame, planes: pd.DataFrame) -> Judged:
    """C6. Accuracy on held-out and on between-lattice centres minus that on seen ones, at a run's last checkpoint.

    Contradicted when for either kind the interval lies below -0.1; supported when for both it lies above. Runs that are
    not half right on seen centres say nothing and are left out.
    """
    kinds = {"heldout": "withheld combinations", "between": "between lattice points"}
    rows = matching(metrics, quantity="share_correct", split=["seen", *kinds], bin=None)
    last = {key: float(values[-1]) for key, (_, values) in curves(rows, by=["split"]).items()}
    seen = {key[:2]: value for key, value in last.items() if key[2] == "seen" and key[0] in planes.index}
    able = {key: value for key, value in seen.items() if value >= ACCURATE}
    falls = {
        split: {key: last[*key, split] - value for key, value in able.items() if (*key, split) in last}
        for split in kinds
    }
    intervals = {split: t_interval(by_seed(differences)) for split, differences in falls.items() if differences}
    enough = {split for split in intervals if len(by_seed(falls[split])) >= FEWEST_SEEDS}
    verdict = UNDETERMINED
    if any(intervals[split][2] < -SHORTFALL for split in enough):
        verdict = CONTRADICTED
    elif enough == set(kinds) and all(intervals[split][1] > -SHORTFALL for split in kinds):
        verdict = SUPPORTED
    reasons = [f"{len(able)} of {len(seen)} balanced runs on a plane are at least half right on seen centres"]
    evidence = [Number("runs", len(seen)), Number("runs that are accurate", len(able))]
    evidence += [Number("accuracy", *t_interval(by_seed(able)), subject="seen")] if able else []
    for split, kind in kinds.items():
        seeds = len(by_seed(falls[split]))
        reasons.append(f"{kind}: {told(intervals[split])}" if split in intervals else f"{kind}: no run")
        reasons.append(few(seeds) if seeds else "")
        evidence.append(Number("seeds", seeds, subject=split))
        if split in intervals:
            accuracy = {key: last[*key, split] for key in falls[split]}
            evidence.append(Number("accuracy", *t_interval(by_seed(accuracy)), subject=split))
            evidence.append(Number("difference", *intervals[split], subject=split))
    worst = min(intervals.values(), key=lambda interval: interval[0], default=UNKNOWN)
    runs = len({key for differences in falls.values() for key in differences})
    return judged("C6", worst, runs, verdict, reasons, evidence)

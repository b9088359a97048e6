"""C6: what was not trained, such as new centres, is drawn right."""

from __future__ import annotations

import pandas as pd

from bumpscope.judge.data import Data, Reads
from bumpscope.judge.histories import RunKey, by_seed
from bumpscope.judge.intervals import clustered_share_interval, t_interval
from bumpscope.judge.onsets import curves
from bumpscope.judge.remedies import NEW_CENTRES
from bumpscope.judge.verdicts import (
    ACCURATE,
    CONTRADICTS,
    FEWEST_SEEDS,
    NEEDED,
    SHOWN,
    SUPPORTS,
    UNKNOWN,
    Bound,
    Check,
    Interval,
    Judged,
    count,
    estimate,
)
from bumpscope.measure.lattice_scale import QUANTITIES, RIGHT, YARDSTICKS

ID = "C6"
QUESTION = "Are new combinations, and values between those trained, drawn right?"
STATEMENT = (
    "Combinations of factors never seen together (composition), and values between lattice points (interpolation), "
    "are drawn right"
)
STATISTIC = "share right on new centres minus that on seen ones, at the last step, for the worst kind of new centre"
WHERE = {
    "quantity": [*QUANTITIES, "requests", "offset"],
    "split": ["seen", "heldout", "between"],
    "label": [None, *YARDSTICKS],
}
READS: Reads = (("phases", {"judged": True}), ("metrics", WHERE))
FIGURES = ("errors", "behaviour_mix")
CAVEAT = "The worst kind of new centre decides, at the last checkpoint alone."
MORE = {"seeds": NEW_CENTRES}

# The share right may fall this far behind that on seen centres.
SHORTFALL = 0.1
# By how much it must exceed that of a copier of training images, and of their weighted mean.
LEAD = 0.3
INTERPOLATION, COMPOSITION = "between lattice points", "withheld combinations"
STAND_INS = {"copier": "copies of the nearest training image", "kernel": "means of training images"}


def judge(data: Data) -> Judged:
    """Share of new centres drawn right minus that of seen ones, at the last checkpoint, by kind of new centre.

    An image is right by :mod:`bumpscope.measure.lattice_scale`: on the scale of the lattice, so that copies of training
    images are not. The kinds are positions between lattice points, and the combinations of each withheld block, by its
    size; runs that were trained otherwise are another kind. Runs that are not half right on seen centres are left out.
    Contradicted when the interval of a kind lies below -0.1; supported when those of all lie above, and the shares
    exceed those of both stand-ins for the same requests by 0.3. Since only the last checkpoint counts, datasets with
    withheld combinations and the most seeds count beside those that were timed best; blocks with fewer seeds are shown.
    """
    timed = set(data.best_timed.index)
    withheld = _withheld(data.planes)
    counted = timed | (set(withheld) & set(data.with_most_seeds.index))
    kinds: dict[str, tuple[str, set[str]]] = {}
    for name in sorted(counted):
        kinds.setdefault(INTERPOLATION + _training(data.planes, name), ("between", set()))[1].add(name)
    for name, share in withheld.items():
        kind = f"{share:.0%} of the combinations withheld" + _training(data.planes, name)
        kinds.setdefault(kind, ("heldout", set()))[1].add(name)
    if not withheld:
        kinds[COMPOSITION] = ("heldout", timed)
    known = curves(data.table("metrics", **WHERE).fillna({"label": ""}), by=("split", "label", "quantity"))
    last = {key: float(values[-1]) for key, (_, values) in known.items() if key[0] in counted | set(withheld)}
    seen = _of_runs(last, "seen")
    able = {run: value for run, value in seen.items() if value >= ACCURATE}
    checks = [count("balanced runs on a plane", len(seen)), count("runs that are accurate", len(able))]
    checks += [estimate("share right", _share(last, able, "seen"), subject="seen")] if able else []
    falls, runs = [], set[RunKey]()
    for kind, (split, names) in kinds.items():
        own = {run: value for run, value in _of_runs(last, split).items() if run in able and run[0] in names}
        found = _kind(kind, split, last, own, able)
        if names <= counted:
            falls += [(check.value, check.low, check.high) for check in found if check.role == CONTRADICTS]
            runs |= set(own)
            checks += found
        else:
            checks += [check for check in found if check.role == SHOWN]
    return Judged(min(falls, key=lambda interval: interval[0], default=UNKNOWN), len(runs), checks)


def _withheld(planes: pd.DataFrame) -> dict[str, float]:
    """Dataset -> the share of the lattice's combinations that it withholds, for those that do; smallest first."""
    if planes.empty:
        return {}
    shares = (planes["points"] - planes["n_images"]) / planes["points"]
    return {str(name): float(share) for name, share in shares[shares > 0].sort_values().items()}


def _training(planes: pd.DataFrame, name: str) -> str:
    """How a dataset was trained, where the datasets differ in it."""
    alike = planes[["prediction", "training_steps"]].drop_duplicates()
    prediction, steps = planes.loc[name, ["prediction", "training_steps"]]
    return "" if len(alike) == 1 else f" ({prediction}, {steps} steps)"


# Numbers at the last checkpoint: (dataset, seed, split, label, quantity) -> value.
Last = dict[tuple[str, int, str, str, str], float]


def _of_runs(last: Last, split: str, label: str = "", quantity: str = RIGHT) -> dict[RunKey, float]:
    return {key[:2]: value for key, value in last.items() if key[2:] == (split, label, quantity)}


def _share(last: Last, runs: dict[RunKey, float], split: str) -> Interval:
    """The mean share right over seeds, with an interval within 0 to 1."""
    trials = sum(value for run, value in _of_runs(last, split, quantity="requests").items() if run in runs)
    return clustered_share_interval(by_seed(runs), trials)


def _kind(kind: str, split: str, last: Last, own: dict[RunKey, float], able: dict[RunKey, float]) -> list[Check]:
    """The checks of one kind of new centre."""
    seeds = count("seeds", len({seed for _, seed in own}), NEEDED, Bound(least=FEWEST_SEEDS), kind)
    if not own:
        # Without such centres there is no support, and nothing to contradict.
        return [seeds]

    def over_runs(label: str, quantity: str = RIGHT) -> list[float]:
        found = _of_runs(last, split, label, quantity)
        return by_seed({run: found[run] for run in own if run in found})

    fall = t_interval(by_seed({run: value - able[run] for run, value in own.items()}))
    checks = [seeds, estimate("share right", _share(last, own, split), subject=kind)]
    for name, words in STAND_INS.items():
        theirs = _of_runs(last, split, name)
        ahead = t_interval(by_seed({run: value - theirs[run] for run, value in own.items() if run in theirs}))
        checks.append(count(f"share right of {words}", t_interval(over_runs(name))[0], subject=kind))
        checks.append(estimate(f"share right minus that of {words}", ahead, SUPPORTS, Bound(above=LEAD), kind))
    fallen = "share right minus that on seen centres"
    checks.append(estimate(fallen, fall, SUPPORTS, Bound(above=-SHORTFALL), kind))
    checks.append(estimate(fallen, fall, CONTRADICTS, Bound(below=-SHORTFALL), kind))
    for wide in QUANTITIES[1:]:
        name = f"share within {wide.removeprefix('right_')} of the spacing"
        for label, whose in (("", "model"), ("copier", "copier")):
            checks.append(count(name, t_interval(over_runs(label, wide))[0], subject=f"{kind}, {whose}"))
    if split == "between":
        offset = t_interval(over_runs("", "offset"))
        name = "offset from the nearest lattice point, drawn over asked for"
        checks.append(estimate(name, offset, subject=kind))
    return checks

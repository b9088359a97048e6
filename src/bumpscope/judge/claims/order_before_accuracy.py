"""C3: high accuracy needs an ordered representation."""

from __future__ import annotations

import math

import numpy as np

from bumpscope.judge.coupling import FEWEST_SEEDS
from bumpscope.judge.data import Data, Reads
from bumpscope.judge.histories import RunKey, by_seed
from bumpscope.judge.intervals import t_interval
from bumpscope.judge.onsets import curves
from bumpscope.judge.verdicts import ACCURATE, CONTRADICTS, NEEDED, SUPPORTS, Bound, Judged, count, estimate

ID = "C3"
STATEMENT = "An ordered representation is what high accuracy needs"
STATISTIC = "R² of the requested centre minus its higher control, where accuracy first reaches one half"
SEEN = {"quantity": "share_correct", "split": "seen", "bin": None}
LABELS = ["requested", "shuffled"]
R2 = {"quantity": "r2", "factor": None, "space": "pca3", "label": LABELS, "noise": "own"}
READS: Reads = (("phases", {"judged": True}), ("metrics", SEEN), ("metrics", R2))
FIGURES = ("decodability", "event_order")

# R² this far above both controls is more than they explain.
R2_MARGIN = 0.1


def judge(data: Data) -> Judged:
    """At the first checkpoint with half of the seen centres right, does R² exceed its controls?

    R² is that of the requested centre from PCA-3, at the layer and t of the latent verdicts; its controls are shuffled
    labels at the same checkpoint and the untrained network, and none counts as less than 0. Supported when R² is 0.1
    above both in every run and the interval lies above zero; contradicted when the interval lies below 0.1.
    """
    accuracy = curves(data.table("metrics", **SEEN))
    known = curves(data.table("metrics", **R2), by=("layer", "t", "label"))
    r2: dict[RunKey, float] = {}
    controls: dict[RunKey, float] = {}
    reached = 0
    for run, history in data.histories.items():
        steps, shares = accuracy.get(run, (np.array([]), np.array([])))
        accurate = steps[shares >= ACCURATE]
        if len(accurate) == 0:
            continue
        reached += 1
        requested, shuffled = (known.get((*run, history.layer, history.t, label)) for label in LABELS)
        read = _value_at(requested, accurate[0])
        control = np.clip((_value_at(shuffled, accurate[0]), _value_at(requested, 0)), 0, None).max()
        if not math.isnan(read - control):
            r2[run], controls[run] = read, float(control)
    excess = {run: value - controls[run] for run, value in r2.items()}
    seeds, interval = by_seed(excess), t_interval(by_seed(excess))
    checks = [
        count("balanced runs on a plane", len(data.histories)),
        count("runs that got accurate", reached),
        count("runs compared", len(excess)),
        count("seeds", len(seeds), NEEDED, Bound(least=FEWEST_SEEDS)),
    ]
    if excess:
        least = min(excess.values())
        checks += [
            estimate("R²", t_interval(by_seed(r2))),
            estimate("higher control", t_interval(by_seed(controls))),
            estimate("R² minus the higher control", interval, SUPPORTS, Bound(above=0)),
            estimate("R² minus the higher control", interval, CONTRADICTS, Bound(below=R2_MARGIN)),
            count("least R² minus the higher control", least, SUPPORTS, Bound(above=R2_MARGIN)),
            count("runs above the margin", sum(value > R2_MARGIN for value in excess.values())),
        ]
    return Judged(interval, len(excess), checks)


def _value_at(curve: tuple[np.ndarray, np.ndarray] | None, step: float) -> float:
    """The value at a step; NaN where it was not measured."""
    if curve is None:
        return math.nan
    at = np.flatnonzero(curve[0] == step)
    return float(curve[1][at[0]]) if len(at) else math.nan

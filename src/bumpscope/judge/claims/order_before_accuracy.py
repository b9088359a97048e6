"""C3: high accuracy needs an ordered representation."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from bumpscope.judge.data import Data, Reads
from bumpscope.judge.histories import RunKey, by_seed
from bumpscope.judge.intervals import clustered_share_interval, t_interval
from bumpscope.judge.onsets import curves
from bumpscope.judge.remedies import COMMON_DISTANCE, INTERVENTIONS
from bumpscope.judge.verdicts import (
    ACCURATE,
    CONTRADICTS,
    FEWEST_SEEDS,
    NEEDED,
    SUPPORTS,
    UNKNOWN,
    Bound,
    Check,
    Interval,
    Judged,
    count,
    estimate,
)

ID = "C3"
QUESTION = "Does the model need an ordered representation to draw bumps in the right place?"
STATEMENT = "An ordered representation is what high accuracy needs"
STATISTIC = "share of the correct images that stay correct when a layer no longer tells the label"
SEEN = {"quantity": "share_correct", "split": "seen", "bin": None}
LABELS = ["requested", "shuffled"]
# Up to 20 components: the label may lie beyond the third.
R2 = {"quantity": "r2", "space": "raw", "label": LABELS, "noise": "own"}
READS: Reads = (("phases", {"judged": True}), ("metrics", SEEN), ("metrics", R2), ("interventions", {}))
FIGURES = ("necessity", "decodability", "event_order")
CAVEAT = "The verdict is about one layer; the label can enter again in later blocks."
APART = "groups of factors without a common distance"
MORE = {"seeds": INTERVENTIONS, APART: COMMON_DISTANCE}

# A layer is needed where less than this share of the correct images stays correct without what tells the label.
KEPT = 0.5
READINGS = r"^(knn_)?r2_"


def judge(data: Data) -> Judged:
    """Are images still right when the layer of the latent verdicts tells the label no more?

    Each run is asked at the first checkpoint with interventions at which half of its images are right. Supported when
    fewer than half of the correct images stay correct in every run once the subspace that tells the label is removed,
    and more than half in every run under a random change of the same size. Contradicted when at least half stay correct
    in every run with the mean of the layer in its place, which tells nothing, and the interval lies above one half. A
    removal that leaves something of the label (R² after it is shown) is no evidence that the layer is not needed.

    R² of the requested centre and its controls are shown at the first checkpoint with half of the seen centres right.
    The label enters every block, so accuracy without R² can hardly occur, and it does not count.

    Interventions compare a request with another at a distance: factors that have none in common are not asked.
    """
    if len(data.names.groups) > 1:
        return Judged(UNKNOWN, 0, [count(APART, len(data.names.groups), NEEDED, Bound(most=1))])
    tried = _interventions(data)
    drawn = {run: rows[rows["layer"] == data.histories[run].layer] for run, rows in tried.items()}
    shares = ("none", "removed", "random", "ablated", "patched")
    before, without, control, empty, patched = (
        {run: _only(rows, kind, "share_other" if kind == "patched" else "share_own") for run, rows in drawn.items()}
        for kind in shares
    )
    left, kept, without_layer = (_ratio(changed, before) for changed in (without, control, empty))
    told = {run: _highest_r2(rows) for run, rows in drawn.items() if run in left}
    images = {run: _only(rows, "none", "samples") for run, rows in drawn.items()}
    seeds, interval = by_seed(left), _interval(left, images, before)
    checks = [
        count("balanced runs on a plane", len(data.histories)),
        count("runs with interventions once they are accurate", len(left)),
        count("seeds", len(seeds), NEEDED, Bound(least=FEWEST_SEEDS)),
    ]
    if left:
        emptied = "share of correct images left with the mean of the layer"
        checks += [
            estimate("share of correct images", _interval(before, images)),
            estimate("share of correct images left without the label", interval),
            count("greatest share left without the label", max(left.values()), SUPPORTS, Bound(below=KEPT)),
            count("least share left after an equal random change", min(kept.values()), SUPPORTS, Bound(above=KEPT)),
            count("highest R² of a label after its removal", max(told.values())),
            estimate(emptied, _interval(without_layer, images, before), CONTRADICTS, Bound(above=KEPT)),
            count(
                "least share left with the mean of the layer",
                min(without_layer.values(), default=math.nan),
                CONTRADICTS,
                Bound(least=KEPT),
            ),
            estimate("share drawn where another label is put in", _interval(patched, images)),
        ]
        checks += _elsewhere(tried)
    return Judged(interval, len(left), [*checks, *_r2_checks(data)])


def _interventions(data: Data) -> dict[RunKey, pd.DataFrame]:
    """Of each run the interventions at the first checkpoint at which it is accurate, if at any."""
    table = data.table("interventions")
    found = {}
    for (dataset, seed), history in data.histories.items():
        own = table[(table["dataset"] == dataset) & (table["seed"] == seed)] if len(table) else table
        accurate = own[
            (own["intervention"] == "none") & (own["share_own"] >= ACCURATE) & (own["layer"] == history.layer)
        ]
        if len(accurate):
            found[dataset, seed] = own[own["step"] == accurate["step"].min()]
    return found


def _only(rows: pd.DataFrame, intervention: str, share: str) -> float:
    values = rows.loc[rows["intervention"] == intervention, share]
    return float(values.iloc[0]) if len(values) else math.nan


def _highest_r2(rows: pd.DataFrame) -> float:
    """How well the label is still read after its removal, at best."""
    return float(rows[rows["intervention"] == "removed"].filter(regex=READINGS).to_numpy(dtype=float).max())


def _ratio(top: Mapping[RunKey, float], bottom: Mapping[RunKey, float]) -> dict[RunKey, float]:
    """What is left of the correct images; some that were wrong may be right by chance, so at most all."""
    return {run: min(value / bottom[run], 1.0) for run, value in top.items() if not math.isnan(value / bottom[run])}


def _interval(
    shares: Mapping[RunKey, float], images: Mapping[RunKey, float], of: Mapping[RunKey, float] | None = None
) -> Interval:
    """A share over seeds, of all images or of those that were correct, with its interval for clustered trials."""
    trials = sum(images[run] * (1.0 if of is None else of[run]) for run in shares)
    return clustered_share_interval(by_seed(shares), trials)


def _elsewhere(tried: Mapping[RunKey, pd.DataFrame]) -> list[Check]:
    """What is shown of all layers: what is left, what is put in, and which label of two is obeyed."""
    every = pd.concat([rows.assign(seed=seed) for (_, seed), rows in tried.items()])
    shown = (
        ("removed", "share_own", "share drawn right without the label"),
        ("ablated", "share_own", "share drawn right with the mean of a layer in its place"),
        ("patched", "share_other", "share drawn where another label is put in, by layer"),
        ("labels", "share_own", "share drawn at the label of the blocks up to a layer"),
        ("labels", "share_other", "share drawn at the label of the blocks after it"),
    )
    checks = []
    for kind, share, name in shown:
        rows = every[every["intervention"] == kind]
        for layer, own in rows.groupby("layer", sort=False):
            means = own.groupby("seed")[share].mean().to_numpy()
            interval = clustered_share_interval(means, own["samples"].sum())
            checks.append(estimate(name, interval, subject=str(layer)))
    return checks


def _r2_checks(data: Data) -> list[Check]:
    """R² of the axis decoded worse, and how far it exceeds its controls, where accuracy first reaches one half."""
    accuracy = curves(data.table("metrics", **SEEN))
    known = curves(data.table("metrics", **R2), by=("layer", "t", "label", "factor"))
    worse: dict[RunKey, float] = {}
    excess: dict[RunKey, float] = {}
    for run, history in data.histories.items():
        steps, shares = accuracy.get(run, (np.array([]), np.array([])))
        accurate = steps[shares >= ACCURATE]
        if len(accurate) == 0:
            continue
        values, above = [], []
        for factor in data.names:
            requested, shuffled = (known.get((*run, history.layer, history.t, label, factor)) for label in LABELS)
            values.append(_value_at(requested, accurate[0]))
            controls = np.array([_value_at(shuffled, accurate[0]), _value_at(requested, 0)])
            above.append(values[-1] - controls.clip(0).max())
        if not np.isnan(above).any():
            worse[run], excess[run] = min(values), min(above)
    if not excess:
        return []
    return [
        estimate("R² of the axis decoded worse, when half of the images are right", t_interval(by_seed(worse))),
        estimate("the same above the higher of its controls", t_interval(by_seed(excess))),
    ]


def _value_at(curve: tuple[np.ndarray, np.ndarray] | None, step: float) -> float:
    """The value at a step; NaN where it was not measured."""
    if curve is None:
        return math.nan
    at = np.flatnonzero(curve[0] == step)
    return float(curve[1][at[0]]) if len(at) else math.nan

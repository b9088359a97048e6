"""Noise prediction (epsilon) and v prediction, side by side on the same data."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bumpscope.judge.controls import MACHINE
from bumpscope.judge.learning_curves import half_time_in_words, half_times, middle
from bumpscope.judge.onsets import LEVEL
from bumpscope.show import marks, rows, style
from bumpscope.store.results import Results

CAPTION = (
    "Runs that differ only in whether the network predicts the noise (epsilon) or v. Left: share of correct images at "
    "seen centres. Middle: use of the x label at one timestep. Right: residual error at the largest timestep, "
    "relative to the best denoiser without labels (dashed). Thick: mean over seeds; thin: each seed."
)
TOPIC = "Training"
WIDTH = style.DOUBLE
READS = ("metrics", "runs")
QUANTITIES = {"correct": "share of correct images", "effect_x": "effect of the x label", "residual": "residual error"}
COLUMNS = {"pair": "names of both datasets", "prediction": "epsilon or v"} | rows.CHECKPOINT
COLUMNS |= {"t": "−1 for the share of correct images", "quantity": ", ".join(QUANTITIES), "value": ""}
NOTHING = "No two datasets differ in nothing but what the network predicts."
LIMIT = 3
LOOKS: dict[str, style.Look] = {
    "epsilon": {"color": style.BLUE, "linestyle": "-"},
    "v": {"color": style.VERMILLION, "linestyle": "--"},
}
# What may differ between the two datasets of a pair.
OWN = {"run", "dataset", "seed", "path", "prediction", "trained", *MACHINE}


def select(results: Results) -> pd.DataFrame:
    """Accuracy, label effect and residual error of each pair of datasets."""
    parts = [rows.correct_images(results).assign(quantity="correct", t=-1)]
    for name, quantity, factor in (("effect_x", "effect", "x"), ("residual", "residual", None)):
        found = rows.measured(results, quantity, "t", factor=factor, bin=None)
        parts.append(found.assign(quantity=name))
    found = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    pairs = [pd.DataFrame(columns=list(COLUMNS))]
    for first in _pairs(results):
        own = found[found["dataset"].isin(first)]
        own = pd.concat(
            [_at_shared_timestep(part, str(name)) for name, part in own.groupby("quantity", sort=False)] or [own]
        )
        own = own.assign(pair=" and ".join(first), prediction=own["dataset"].map(first))
        if own["prediction"].nunique() == 2:
            pairs.append(own[[*COLUMNS]])
    return pd.concat(pairs[1:] or pairs, ignore_index=True)


def _at_shared_timestep(own: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """The rows at one timestep that the datasets of a pair share: the middle one, for the residual the largest."""
    times = [set(part) for _, part in own.groupby("dataset")["t"]]
    shared = set.intersection(*times)
    chosen = (max if quantity == "residual" else middle)(shared) if shared else None
    return own[own["t"] == chosen]


def _pairs(results: Results) -> list[dict[str, str]]:
    """Dataset -> prediction for the two of each pair; of several alike the first."""
    alike = [name for name in results.runs.columns if name not in OWN]
    pairs = []
    for _, family in rows.by_dataset(results).groupby(alike, sort=False, dropna=False):
        first = [family.index[family["prediction"] == name][:1] for name in LOOKS]
        if all(len(found) for found in first):
            pairs.append({str(found[0]): name for found, name in zip(first, LOOKS, strict=True)})
    return pairs


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """Accuracy, label effect and residual error of both predictions, a row per pair of datasets."""
    if data.empty:
        return style.without_data(NOTHING)
    names, note = rows.first(data["pair"], LIMIT, "pairs")
    figure, axes = style.panels(3 * len(names), 3, 1.9, WIDTH, sharex="row", sharey="col")
    for row, (name, panels) in enumerate(zip(names, np.reshape(np.array(axes), (-1, 3)), strict=True)):
        own = data[data["pair"] == name]
        for panel, (quantity, text) in zip(panels, QUANTITIES.items(), strict=True):
            found = own[own["quantity"] == quantity]
            marks.curves(panel, found, "prediction", LOOKS)
            panel.set_title(text if quantity == "correct" or found.empty else f"{text}, t = {found['t'].iloc[0]}")
            if quantity == "residual":
                panel.set_yscale("log")
                panel.axhline(1, **style.LEVEL)
            style.step_axis(panel, own["step"].to_numpy(), label=row == len(names) - 1)
        panels[0].set_ylabel(style.shortened(name) if len(names) > 1 else "")
    style.plain_logarithm(axes[2].yaxis)
    counts = data.groupby("prediction")["run"].nunique()
    looks = {f"{name} (n = {count})": LOOKS[str(name)] for name, count in counts.items()}
    marks.look_legend(figure, looks, ncols=2, handlelength=3)
    style.heading(figure, note)
    return figure


def finding(data: pd.DataFrame) -> str:
    """When each prediction has half of its images right, in each pair, as a sentence."""
    if data.empty:
        return NOTHING
    parts = []
    for pair, own in data[data["quantity"] == "correct"].groupby("pair", sort=False):
        texts = []
        for prediction, curves in own.groupby("prediction"):
            times, runs = half_times(curves)
            count = "" if times and len(times) < runs else f" (n = {runs})"
            texts.append(f"{prediction} {'at step ' if times else ''}{half_time_in_words(curves)}{count}")
        parts.append(f"{pair}: {', '.join(texts)}")
    if not parts:
        return "No outcome at seen centres has been measured in both."
    return f"When {LEVEL:.0%} of images are right, geometric mean over seeds: {rows.listed(parts, 2)}."

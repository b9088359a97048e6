"""Noise prediction (epsilon) and v prediction, side by side on the same data."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bumpscope.judge.controls import MACHINE
from bumpscope.judge.learning_curves import half_time_in_words, half_times, middle
from bumpscope.judge.onsets import LEVEL
from bumpscope.show import marks, style
from bumpscope.store.results import Results

CAPTION = (
    "Runs that differ in nothing but what the network predicts: the noise (epsilon) or v. Left: share of images with "
    "one bump in the right place, at seen centres. Middle: how much of the x label the estimate of the clean image "
    "uses at one diffusion timestep (that of y is in the figure of label effects). Right: the label-independent "
    "residual error at the largest timestep probed, relative to the error of the best denoiser that knows no label "
    "(dashed line at 1): there, an error in the noise weighs most in the clean image. Thick lines: mean over seeds; "
    "thin lines: each seed; marks: the checkpoints that were measured."
)
TOPIC = "Training"
WIDTH = style.DOUBLE
LIMIT = 3
NONE = "No two datasets differ in nothing but what the network predicts."
COLUMNS = ["pair", "prediction", "run", "dataset", "seed", "step", "t", "quantity", "value"]
LOOKS: dict[str, style.Look] = {
    "epsilon": {"color": style.BLUE, "linestyle": "-"},
    "v": {"color": style.VERMILLION, "linestyle": "--"},
}
QUANTITIES = {"correct": "share of correct images", "effect_x": "effect of the x label", "residual": "residual error"}
# What may differ between the two datasets of a pair.
OWN = {"run", "dataset", "seed", "path", "prediction", *MACHINE}


@style.apply()
def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """Accuracy, label effect and residual error of both predictions, a row a pair of datasets.

    Returns:
        The figure, and columns pair (names of the two datasets), prediction, run, dataset, seed, step, t (-1 for the
        share of correct images), quantity, value.
    """
    data = _measured(results)
    if data.empty:
        return style.without_data(NONE), data
    data, names, note = style.of_first(data, LIMIT, "pairs", column="pair")
    figure, axes = style.panels(3 * len(names), 3, 1.9, WIDTH, sharex="row", sharey="col")
    for row, name in enumerate(names):
        own = data[data["pair"] == name]
        for panel, (quantity, text) in zip(axes[3 * row : 3 * row + 3], QUANTITIES.items(), strict=True):
            rows = own[own["quantity"] == quantity]
            for prediction, look in LOOKS.items():
                marks.seed_lines(panel, rows[rows["prediction"] == prediction], look)
            panel.set_title(text if quantity == "correct" or rows.empty else f"{text}, t = {rows['t'].iloc[0]}")
            style.step_axis(panel, own["step"].to_numpy(), label=row == len(names) - 1)
            if quantity == "residual":
                panel.set_yscale("log")
                panel.axhline(1, color=style.BLACK, linewidth=0.7, linestyle=(0, (6, 3)), zorder=1)
        if len(names) > 1:
            axes[3 * row].set_ylabel(style.shortened(name))
    style.plain_logarithm(axes[2].yaxis)
    counts = data.groupby("prediction")["run"].nunique()
    handles = [Line2D([], [], **LOOKS[name]) for name in counts.index]
    labels = [f"{name} (n = {count})" for name, count in counts.items()]
    figure.legend(handles, labels, loc="outside lower left", ncols=2, handlelength=3)
    style.heading(figure, finding(data), note)
    return figure, data


def _measured(results: Results) -> pd.DataFrame:
    correct = results.select("outcome/correct/seen").assign(quantity="correct", t=-1)
    effects = results.select("{quantity}/t={t}/ema")
    parts = []
    for quantity, chosen in (("effect_x", middle), ("residual", max)):
        rows = effects[effects["quantity"] == quantity]
        if len(rows):
            parts.append(rows[rows["t"] == chosen(rows["t"])])
    found = pd.concat([correct, *parts], ignore_index=True)
    datasets = results.by_dataset
    alike = [name for name in results.runs.columns if name not in OWN]
    pairs = []
    for _, family in datasets.groupby(alike, sort=False):
        if set(family["prediction"]) == set(LOOKS):
            # A family may hold several datasets of one kind, with other models or probes: the first of each is shown.
            first = [family.index[family["prediction"] == name][0] for name in LOOKS]
            rows = found[found["dataset"].isin(first)]
            kinds = rows["dataset"].map(family["prediction"])
            pairs.append(rows.assign(pair=" and ".join(first), prediction=kinds))
    kept = [pair for pair in pairs if pair["prediction"].nunique() == 2]
    return pd.concat(kept, ignore_index=True)[COLUMNS] if kept else pd.DataFrame(columns=COLUMNS)


def finding(data: pd.DataFrame) -> str:
    """When each prediction has half of its images right, in each pair, as a sentence."""
    if data.empty:
        return NONE
    parts = []
    for pair, own in data[data["quantity"] == "correct"].groupby("pair", sort=False):
        texts = []
        for prediction, rows in own.groupby("prediction"):
            times, runs = half_times(rows)
            words = half_time_in_words(rows)
            count = "" if times and len(times) < runs else f" (n = {runs})"
            texts.append(f"{prediction} {'at step ' if times else ''}{words}{count}")
        parts.append(f"{pair}: {', '.join(texts)}")
    if not parts:
        return "No outcome at seen centres has been measured in both."
    return f"When {LEVEL:.0%} of images are right, geometric mean over seeds: {style.listed(parts, 2)}."

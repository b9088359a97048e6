"""How well the requested centre can be read from the latents, and how well it is drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bumpscope.figures import style
from bumpscope.results import Results, in_network_order

CAPTION = (
    "Cross-validated linear R² of centres from the first three principal components of the activations, beside "
    "the share of images with one bump in the right place. Requested: the centre that was asked for. Realised: "
    "the centre of the bump that was drawn. Shuffled: requested centres dealt out at random. Untrained: "
    "requested, at step 0. Thick lines: mean over seeds; thin lines: each seed. Rows: datasets; columns: layers, "
    "with the sampler's timestep t."
)
MOST_DATASETS = 3
MOST_LAYERS = 4
LOWEST = -0.3
ACCURACY = "correct images"
UNTRAINED: style.Look = {"color": style.BLACK, "linestyle": (0, (6, 3))}
LINES: dict[str, style.Look] = {
    "requested": {"color": style.BLUE, "linestyle": "-"},
    "realised": {"color": style.GREEN, "linestyle": "--"},
    "shuffled": {"color": style.GREY, "linestyle": ":"},
    ACCURACY: {"color": style.VERMILLION, "linestyle": "-."},
}


@style.apply()
def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """R² and its controls with accuracy: a row a dataset, a column a layer, at the noisiest timestep that was read.

    Returns:
        The figure, and columns run, dataset, seed, step, layer, t, line, value; layer is empty for the accuracy.
    """
    scores = results.select("r2/{layer}/t={t}/pca3/{line}")
    accuracy = results.select("outcome/correct/seen").assign(line=ACCURACY, layer="", t=-1)
    columns = ["run", "dataset", "seed", "step", "layer", "t", "line", "value"]
    if scores.empty:
        return style.without_data("No R² from principal components has been measured."), pd.DataFrame(columns=columns)
    # One timestep is enough here: the noisiest, where the network still has to decide where the bump goes.
    scores = scores[scores["t"] == scores.groupby("dataset")["t"].transform("max")]
    present = [name for name in results.datasets if name in set(scores["dataset"])]
    names, note_datasets = style.capped(present, MOST_DATASETS, "datasets")
    layers, note_layers = style.capped(in_network_order(scores["layer"]), MOST_LAYERS, "layers")
    scores = scores[scores["layer"].isin(layers) & scores["dataset"].isin(names)]
    data = pd.concat([scores, accuracy[accuracy["dataset"].isin(names)]], ignore_index=True)[columns]

    figure, axes = style.panels(len(names) * len(layers), len(layers), 1.9, sharey=True)
    for k, panel in enumerate(axes):
        name, layer = names[k // len(layers)], layers[k % len(layers)]
        own = scores[scores["dataset"] == name]
        if layer not in set(own["layer"]):
            panel.set_axis_off()
            panel.text(0.7, 0.5, f"{layer} was not read", ha="center", va="center", transform=panel.transAxes)
            continue
        panel.set_title(f"{layer}, t = {own['t'].iloc[0]}")
        ends = _panel(panel, data[(data["dataset"] == name) & data["layer"].isin([layer, ""])])
        if k % len(layers) == 0:
            panel.set_ylabel(f"{name}\nR², or share of images")
        if layer == in_network_order(own["layer"])[-1]:
            style.label_ends(panel, ends)
    below = data["value"].min() < LOWEST
    style.heading(
        figure, finding(data), note_datasets, note_layers, f"Values below {LOWEST} are cut off." if below else ""
    )
    return figure, data


def _panel(axes: Axes, rows: pd.DataFrame) -> list[tuple[float, str, style.Look]]:
    """Draw the lines of a panel; returns where they end, for their names."""
    ends = []
    for line, look in LINES.items():
        chosen = rows[rows["line"] == line]
        if chosen.empty:
            continue
        mean = chosen.groupby("step")["value"].mean()
        if chosen["run"].nunique() > 1:
            for _, run in chosen.groupby("run"):
                axes.plot(run["step"], run["value"], linewidth=0.5, alpha=0.5, **look)
        axes.plot(mean.index, mean, marker="o", markersize=2.2, **look)
        ends.append((float(mean.iloc[-1]), line, look))
    untrained = _at(rows, "requested", 0)
    if np.isfinite(untrained):
        axes.axhline(untrained, linewidth=0.7, **UNTRAINED)
        ends.append((untrained, "untrained", UNTRAINED))
    axes.set_ylim(max(LOWEST, min(-0.05, rows["value"].min() - 0.05)), 1.05)
    style.step_axis(axes, rows["step"].to_numpy(), label=style.is_last_row(axes))
    return ends


def _at(rows: pd.DataFrame, line: str, step: int) -> float:
    """Mean over seeds of a line at a step; NaN where there is none."""
    return float(rows.loc[(rows["line"] == line) & (rows["step"] == step), "value"].mean())


def finding(data: pd.DataFrame) -> str:
    """R² at the last checkpoint of the first panel with its controls, as a sentence."""
    requested = data[data["line"] == "requested"]
    if requested.empty:
        return "No R² from principal components has been measured."
    name, layer = requested["dataset"].iloc[0], requested["layer"].iloc[0]
    rows = data[(data["dataset"] == name) & (data["layer"] == layer)]
    last = int(rows["step"].max())
    controls = [
        f"{text} {value:.2f}"
        for text, value in (
            ("realised", _at(rows, "realised", last)),
            ("shuffled", _at(rows, "shuffled", last)),
            ("untrained", _at(rows, "requested", 0)),
        )
        if np.isfinite(value)
    ]
    text = f"{name}, {layer}: R² of the requested centre is {_at(rows, 'requested', last):.2f} at step {last}"
    text += f" ({', '.join(controls)})" if controls else ""
    correct = data[(data["dataset"] == name) & (data["line"] == ACCURACY)].groupby("step")["value"].mean()
    if (correct >= 0.5).any():
        first = int(correct.index[correct >= 0.5][0])
        then = _at(rows, "requested", first)
        at_half = (
            f"; it is {then:.2f} at step {first}" if np.isfinite(then) else f"; it was not measured at step {first}"
        )
        return text + at_half + ", the first with at least half of the images correct (means over seeds)."
    if correct.empty:
        return text + "; what is drawn was not measured (means over seeds)."
    return text + "; at no checkpoint are half of the images correct (means over seeds)."

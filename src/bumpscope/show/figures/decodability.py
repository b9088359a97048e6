"""How well the requested centre can be read from the latents, and how well it is drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bumpscope.config.model import IMAGE_LAYER
from bumpscope.show import marks, style
from bumpscope.store.results import Results, in_network_order

CAPTION = (
    "Cross-validated linear R² of centres from the first three principal components of the activations, beside "
    "the share of images with one bump in the right place. Requested: the centre that was asked for. Realised: "
    "the centre of the bump that was drawn. Shuffled: requested centres dealt out at random. Untrained: "
    "requested, at step 0. Shared noise: requested, of images that all start from the same noise, which is how well "
    "the label shows where nothing else differs, whether or not images obey it. Thick lines: mean over seeds; thin "
    "lines: each seed. Rows: datasets; columns: layers with the sampler's timestep t, and the generated images "
    "themselves: what they show, activations that follow them need not have learnt."
)
TOPIC = "Representation"
WIDTH = style.DOUBLE
MOST_DATASETS = 3
MOST_PLACES = 5
LOWEST = -0.3
ACCURACY = "correct images"
SHARED = "shared noise"
UNTRAINED: style.Look = {"color": style.BLACK, "linestyle": (0, (6, 3))}
LINES: dict[str, style.Look] = {
    "requested": {"color": style.BLUE, "linestyle": "-"},
    "realised": {"color": style.GREEN, "linestyle": "--"},
    SHARED: {"color": style.ORANGE, "linestyle": (0, (3, 1, 1, 1))},
    "shuffled": {"color": style.GREY, "linestyle": ":"},
    ACCURACY: {"color": style.VERMILLION, "linestyle": "-."},
}


@style.apply()
def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """R² and its controls with accuracy: a row a dataset, a column a layer and timestep.

    Returns:
        The figure, and columns run, dataset, seed, step, layer, t, line, value; layer is empty for the accuracy.
    """
    scores = results.select("r2/{layer}/t={t}/pca3/{line}")
    alike = results.select("r2/{layer}/t={t}/pca3/requested/shared noise").assign(line=SHARED)
    scores = pd.concat([scores, alike], ignore_index=True)
    accuracy = results.select("outcome/correct/seen").assign(line=ACCURACY, layer="", t=-1)
    columns = ["run", "dataset", "seed", "step", "layer", "t", "line", "value"]
    if scores.empty:
        return style.without_data("No R² from principal components has been measured."), pd.DataFrame(columns=columns)
    present = [name for name in results.datasets if name in set(scores["dataset"])]
    names, note_datasets = style.capped(present, MOST_DATASETS, "datasets")
    scores = scores[scores["dataset"].isin(names)]
    places, note_places = _places(scores)
    scores = scores[[place in places for place in zip(scores["layer"], scores["t"], strict=True)]]
    data = pd.concat([scores, accuracy[accuracy["dataset"].isin(names)]], ignore_index=True)[columns]

    figure, axes = style.panels(len(names) * len(places), len(places), 1.9, WIDTH, sharey=True)
    ends: dict[str, tuple[float, str, style.Look]] = {}
    for k, panel in enumerate(axes):
        name, place = names[k // len(places)], places[k % len(places)]
        own = data[data["dataset"] == name]
        here = own[(own["layer"] == place[0]) & (own["t"] == place[1])]
        if here.empty:
            panel.set_axis_off()
            panel.text(
                0.5,
                0.5,
                f"{_title(place)}\nnot read",
                ha="center",
                va="center",
                transform=panel.transAxes,
                color=style.GREY,
            )
        else:
            panel.set_title(_title(place))
            # A line that the last panel lacks is named beside where it ends in another.
            ends |= {
                line: (end, line, look) for end, line, look in _panel(panel, pd.concat([here, own[own["layer"] == ""]]))
            }
        if k % len(places) == 0:
            panel.set_ylabel(f"{name}\nR², or share of images")
        if k % len(places) == len(places) - 1:
            marks.label_ends(panel, list(ends.values()))
            ends = {}
    below = data["value"].min() < LOWEST
    style.heading(
        figure, finding(data), note_datasets, note_places, f"Values below {LOWEST} are cut off." if below else ""
    )
    return figure, data


def _places(scores: pd.DataFrame) -> tuple[list[tuple[str, int]], str]:
    """The (layer, t) to draw, in the network's order and from noisy to clean, the images last; and what is left out."""
    found = scores[["layer", "t"]].drop_duplicates().sort_values("t", ascending=False)
    order = in_network_order(found["layer"])
    latents = [
        (layer, int(t)) for layer in order if layer != IMAGE_LAYER for t in found.loc[found["layer"] == layer, "t"]
    ]
    images = [(IMAGE_LAYER, 0)] if IMAGE_LAYER in order else []
    shown, note = style.capped(latents, MOST_PLACES - len(images), "layers and timesteps")
    return shown + images, note


def _title(place: tuple[str, int]) -> str:
    layer, t = place
    return "images" if layer == IMAGE_LAYER else f"{layer}, t = {t}"


def _panel(axes: Axes, rows: pd.DataFrame) -> list[tuple[float, str, style.Look]]:
    """Draw the lines of a panel; returns where they end, for their names."""
    ends = []
    for line, look in LINES.items():
        chosen = rows[rows["line"] == line]
        if chosen.empty:
            continue
        ends.append((marks.seed_lines(axes, chosen, look), line, look))
    untrained = _at(rows, "requested", 0)
    if np.isfinite(untrained):
        axes.axhline(untrained, linewidth=0.7, **UNTRAINED)
        ends.append((untrained, "untrained", UNTRAINED))
    axes.set_ylim(max(LOWEST, min(-0.05, rows["value"].min() - 0.05)), 1.05)
    style.step_axis(axes, rows["step"].to_numpy(), label=style.is_last_row(axes), ticks=3)
    return ends


def _at(rows: pd.DataFrame, line: str, step: int) -> float:
    """Mean over seeds of a line at a step; NaN where there is none."""
    return float(rows.loc[(rows["line"] == line) & (rows["step"] == step), "value"].mean())


def finding(data: pd.DataFrame) -> str:
    """R² at the last checkpoint of the first panel with its controls, as a sentence."""
    requested = data[data["line"] == "requested"]
    if requested.empty:
        return "No R² from principal components has been measured."
    name, layer, t = requested[["dataset", "layer", "t"]].iloc[0]
    rows = data[(data["dataset"] == name) & (data["layer"] == layer) & (data["t"] == t)]
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
    text = (
        f"{name}, {_title((layer, t))}: R² of the requested centre is {_at(rows, 'requested', last):.2f} at step {last}"
    )
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

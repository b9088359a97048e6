"""How well the requested centre is read from the latents, and drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bumpscope.config.model import IMAGE_LAYER
from bumpscope.show import marks, rows, style
from bumpscope.store.results import Results, in_network_order

CAPTION = (
    "Cross-validated linear R² of each factor, such as x, from three principal components of the activations. "
    "Requested: label asked for; realised: what was drawn; shuffled: requests dealt at random; untrained: step 0; "
    "shared noise: all images start from one noise. Thick: mean over seeds; thin: each seed. Columns: layer and "
    "timestep t; images: read from pixels, the control."
)
TOPIC = "Representation"
WIDTH = style.DOUBLE
READS = ("metrics",)
ACCURACY, SHARED = "correct images", "shared noise"
UNTRAINED: style.Look = {"color": style.BLACK, "linestyle": (0, (6, 3))}
LINES: dict[str, style.Look] = {
    "requested": {"color": style.BLUE, "linestyle": "-"},
    "realised": {"color": style.GREEN, "linestyle": "--"},
    SHARED: {"color": style.ORANGE, "linestyle": (0, (3, 1, 1, 1))},
    "shuffled": {"color": style.GREY, "linestyle": ":"},
    ACCURACY: {"color": style.VERMILLION, "linestyle": "-."},
}
COLUMNS = rows.CHECKPOINT | rows.PLACE | {"factor": "x or y, or another of the world"}
COLUMNS |= {"line": f"{', '.join(LINES)}; the last has no layer, no factor and t −1", "value": ""}
NOTHING = "No R² from principal components has been measured."
MOST_PLACES = 5
LOWEST = -0.3


def select(results: Results) -> pd.DataFrame:
    """R² of each factor with its controls at every layer and timestep, and the share of correct images."""
    labels = ["requested", "realised", "shuffled"]
    fields = (*rows.PLACE, "factor", "label", "noise")
    scores = rows.measured(results, "r2", *fields, space="pca3", label=labels).dropna(subset="factor")
    scores = scores[(scores["noise"] == "own") | (scores["label"] == "requested")]
    scores = scores.assign(line=scores["label"].where(scores["noise"] == "own", SHARED))
    if scores.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    accuracy = rows.correct_images(results).assign(line=ACCURACY, layer=None, factor=None, t=-1)
    accuracy = accuracy[accuracy["dataset"].isin(scores["dataset"])]
    return pd.concat([scores[[*COLUMNS]], accuracy[[*COLUMNS]]], ignore_index=True)


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """R² and its controls with accuracy, of one dataset: a row per factor, a column per layer and timestep."""
    scores = data[data["line"] != ACCURACY]
    if scores.empty:
        return style.without_data(NOTHING)
    scores, _ = rows.over_training(scores)
    (name,), note_dataset = rows.first(scores["dataset"], 1, "datasets")
    scores = scores[scores["dataset"] == name]
    accuracy = data[(data["dataset"] == name) & (data["line"] == ACCURACY)]
    places, note_places = _places(scores)
    factors, _ = rows.alone_and_paired(scores["factor"])
    figure, axes = style.panels(len(factors) * len(places), len(places), 1.9, WIDTH, sharey=True)
    for axis, panels in zip(factors, np.reshape(np.array(axes), (len(factors), -1)), strict=True):
        ends: dict[str, tuple[float, str, style.Look]] = {}
        for (layer, t), panel in zip(places, panels, strict=True):
            own = scores[(scores["factor"] == axis) & (scores["layer"] == layer) & (scores["t"] == t)]
            panel.set_title(_title(layer, t).replace(", ", "\n"))
            # A line that the last panel lacks is named beside where it ends in another.
            ends |= {end[1]: end for end in _panel(panel, pd.concat([own, accuracy]))}
        panels[0].set_ylabel(f"{style.shortened(name)}\nR² of {axis}, or share of images")
        marks.label_ends(panels[-1], list(ends.values()))
    cut = f"Values below {LOWEST} are cut off." if scores["value"].min() < LOWEST else ""
    style.heading(figure, note_dataset, note_places, cut)
    return figure


def _places(scores: pd.DataFrame) -> tuple[list[tuple[str, int]], str]:
    """The (layer, t) to draw, in the network's order and from noisy to clean, the images last; and what is left out."""
    found = scores[["layer", "t"]].drop_duplicates().sort_values("t", ascending=False)
    order = in_network_order(found["layer"])
    every = [(layer, int(t)) for layer in order for t in found.loc[found["layer"] == layer, "t"]]
    images = [place for place in every if place[0] == IMAGE_LAYER]
    latents = [place for place in every if place[0] != IMAGE_LAYER]
    shown, note = rows.first(latents, MOST_PLACES - len(images), "layers and timesteps")
    return shown + images, note


def _title(layer: str, t: int) -> str:
    return "images" if layer == IMAGE_LAYER else f"{layer}, t = {t}"


def _panel(axes: Axes, own: pd.DataFrame) -> list[tuple[float, str, style.Look]]:
    """Draw the lines of a panel; returns where they end, for their names."""
    ends = marks.curves(axes, own, "line", LINES)
    for untrained in _at(own, "requested", 0):
        axes.axhline(untrained, linewidth=0.7, **UNTRAINED)
        ends.append((untrained, "untrained", UNTRAINED))
    axes.set_ylim(max(LOWEST, min(-0.05, own["value"].min() - 0.05)), 1.05)
    style.step_axis(axes, own["step"].to_numpy(), label=style.is_last_row(axes), ticks=3)
    return ends


def _at(own: pd.DataFrame, line: str, step: int) -> pd.Series:
    """Mean over seeds of a line at a step, by factor; those that are not defined are missing."""
    return own[(own["line"] == line) & (own["step"] == step)].groupby("factor")["value"].mean().dropna()


def _listed(values: pd.Series) -> str:
    return ", ".join(f"{axis} {value:.2f}" for axis, value in values.items())


def finding(data: pd.DataFrame) -> str:
    """R² of all factors at the last checkpoint of the first place with its controls, as a sentence."""
    requested = data[data["line"] == "requested"]
    if requested.empty:
        return NOTHING
    name, layer, t = requested[["dataset", "layer", "t"]].iloc[0]
    own = data[(data["dataset"] == name) & (data["layer"] == layer) & (data["t"] == t)]
    last = int(own["step"].max())
    values = {line: _at(own, line, last) for line in ("realised", "shuffled")} | {"untrained": _at(own, "requested", 0)}
    controls = "; ".join(f"{control} {_listed(value)}" for control, value in values.items() if len(value))
    text = f"{name}, {_title(layer, t)}: R² of the request is {_listed(_at(own, 'requested', last))} at step {last}"
    text += f" ({controls})" if controls else ""
    correct = data[(data["dataset"] == name) & (data["line"] == ACCURACY)].groupby("step")["value"].mean()
    if correct.empty:
        return f"{text}; images were not judged."
    if (correct < 0.5).all():
        return f"{text}; images are never half correct."
    first = int(correct.index[correct >= 0.5][0])
    known = _listed(_at(own, "requested", first)) or "not measured"
    return f"{text}; when half of the images are correct (step {first}) it is {known}."

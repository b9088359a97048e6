"""The latents and the images of one run, at a few checkpoints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bumpscope.show import marks, rows, style
from bumpscope.show.manifold_view import (
    COORDINATES,
    VIEW,
    NothingToSee,
    chosen_samples,
    from_text,
    manifold_view,
    mosaic,
    outcome_shares,
    requests_in_mosaic,
    spaced_by_change,
)
from bumpscope.store.results import Results

CAPTION = (
    "Top: a point per image, placed by principal components of its activations, coloured by each requested factor; all "
    "from one side, where the first runs right and the second down at the end. R²: linear fit. Bottom: images of "
    "the same requests and noise (black 0, white 1); ring: requested centre. Shown: seed and place whose weaker R² "
    "ends highest."
)
TOPIC = "Representation"
WIDTH = style.DOUBLE
READS = ("embedding", "samples", "metrics", "runs")
COLUMNS = rows.RUN | rows.PLACE
COLUMNS |= {"boundary": "plane, or torus where a request closes", "units": "of the requests", "step": ""}
COLUMNS |= {"sample": "", "mu_x": "request, px", "mu_y": "", "split": ""}
COLUMNS |= dict.fromkeys(COORDINATES, "") | {VIEW[0]: "to the right, as drawn", VIEW[1]: "up"}
COLUMNS |= {"r2_x": "of requested x from the view", "r2_y": "", "image": "PNG in base64, where it is shown"}
NOTHING = "No run has defined latents together with its images."
CHECKPOINTS = 5


def select(results: Results) -> pd.DataFrame:
    """The latents of the first run that has them, at the checkpoints where most changes, with a few images."""
    try:
        view = manifold_view(results)
    except NothingToSee:
        return pd.DataFrame(columns=list(COLUMNS))
    run = view.run
    steps = spaced_by_change(view.steps, outcome_shares(results, run.name, view.steps), CHECKPOINTS)
    points = view.pictured(steps)
    for step in steps:
        here = points["step"] == step
        for name in run.names:
            points.loc[here, f"r2_{name}"] = view.told(points[here], name)
    return points.assign(**view.about)[rows.columns_of(COLUMNS, run.names)]


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """Latents coloured by requested x and y above images, a column per checkpoint."""
    if data.empty:
        return style.without_data(NOTHING)
    steps = list(data["step"].unique())
    figure = Figure(figsize=(WIDTH if len(steps) > 2 else style.SINGLE, 4.9), layout="constrained")
    names = rows.factors_in(data)
    *clouds, pictures = figure.subplots(1 + len(names), len(steps), squeeze=False)
    units = str(data["units"].iloc[0]).split(" ")
    torus = data["boundary"].iloc[0] == "torus"
    for axis, unit, panels in zip(names, units, clouds, strict=True):
        request = data[f"mu_{axis}"]
        look = {"cmap": style.request_colours(torus), "vmin": request.min(), "vmax": request.max()}
        for panel, step in zip(panels, steps, strict=True):
            own = data[data["step"] == step]
            drawn = _cloud(panel, own, f"mu_{axis}", look)
            above = f"step {step}\n" if axis == names[0] else ""
            panel.set_title(f"{above}R² = {own[f'r2_{axis}'].iloc[0]:.2f}")
        bar = figure.colorbar(drawn, ax=list(panels), shrink=0.75, aspect=14, pad=0.01)
        bar.set_label(f"requested {axis}, {unit}")
        panels[0].set_ylabel(f"latents by {axis}")
    shown = chosen_samples(data)
    for panel, step in zip(pictures, steps, strict=True):
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set_visible(False)
        own = data[(data["step"] == step) & data["image"].notna()]
        if shown and len(own):
            images = {sample: from_text(text) for sample, text in zip(own["sample"], own["image"], strict=True)}
            picture, size = mosaic(images, shown)
            panel.imshow(picture, cmap="gray", vmin=0, vmax=1)
            panel.plot(*requests_in_mosaic(data, shown, size).T, linestyle="", **style.REQUEST)
    pictures[0].set_ylabel("images")
    return figure


def _cloud(axes: Axes, own: pd.DataFrame, request: str, look: style.Look) -> Any:
    right, up = (own[name].to_numpy(dtype=float) for name in VIEW)
    drawn = axes.scatter(right, up, c=own[request], s=4, linewidths=0, rasterized=True, **look)
    half = 0.5 * max(np.ptp(right), np.ptp(up)) * 1.12 or 1.0
    marks.scaled_frame(axes, ((right.min() + right.max()) / 2, (up.min() + up.max()) / 2), half)
    return drawn


def finding(data: pd.DataFrame) -> str:
    """How much of the request the two coordinates drawn explain at the first and the last checkpoint, as a sentence."""
    if data.empty:
        return NOTHING
    first = data.iloc[0]
    names = rows.factors_in(data)
    shares = data.groupby("step")[[f"r2_{name}" for name in names]].first()
    parts = [
        " and ".join(f"{own[f'r2_{name}']:.2f} of {name}" for name in names) + f" at step {step}"
        for step, own in shares.iterrows()
    ]
    ends = dict.fromkeys((parts[0], parts[-1]))
    where = f"{first['dataset']}, seed {first['seed']}, {first['layer']}, t = {first['t']}"
    return f"{where}: the two coordinates drawn explain (R²) {', and '.join(ends)}."

"""The latents and the images of one run, at a few checkpoints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bumpscope.show import marks, style
from bumpscope.show.manifold_view import (
    COORDINATES,
    VIEW,
    NothingToSee,
    chosen_samples,
    explained_variance,
    manifold_view,
    mosaic,
    outcome_shares,
    requests_in_mosaic,
    spaced_by_change,
)
from bumpscope.store.results import Results

CAPTION = (
    "Upper rows: one point a generated image, placed by the first three principal components of its activations "
    "and coloured by the centre that was requested. All checkpoints are turned onto each other and seen from one "
    "side: the one from which, at the last checkpoint, requested x runs most to the right and y down (on a torus:"
    " along the third component). Each panel has its own zoom; the bar gives its scale, in units of activation. "
    "R²: share of the requested x or y that a linear fit to the two coordinates drawn explains (on a torus: of "
    "its sine and cosine). Bottom: images for the same requests and the same noise at every checkpoint; a ring "
    "marks the centre that was requested; x runs right, y down. The checkpoints shown lie close together where "
    "the mix of outcomes changes."
)
TOPIC = "Representation"
WIDTH = style.DOUBLE
COLUMNS = 5


@style.apply()
def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """Latents coloured by requested x and y above thumbnails, a column a checkpoint; the first run that has them.

    Returns:
        The figure, and columns run, dataset, seed, layer, t, step, sample, mu_x, mu_y, aligned_1 to aligned_3, view_1,
        view_2 (what is drawn), r2_x, r2_y; thumbnail says whether the sample's image is shown.
    """
    columns = ["run", "dataset", "seed", "layer", "t", "step", "sample", "mu_x", "mu_y"]
    columns += [*COORDINATES, *VIEW, "r2_x", "r2_y", "thumbnail"]
    try:
        view = manifold_view(results)
    except NothingToSee as error:
        return style.without_data(str(error)), pd.DataFrame(columns=columns)
    run = view.run
    steps = spaced_by_change(view.steps, outcome_shares(results, run.run, view.steps), COLUMNS)
    points = view.points[view.points["step"].isin(steps)].reset_index(drop=True)
    points = points.assign(run=run.run, dataset=run.dataset, seed=run.seed, layer=view.layer, t=view.t)
    shown = chosen_samples(points)
    points["thumbnail"] = points["sample"].isin([sample for row in shown for sample in row])

    figure = Figure(figsize=(WIDTH if len(steps) > 2 else style.SINGLE, 4.9), layout="constrained")
    axes = figure.subplots(3, len(steps), squeeze=False)
    for axis, panels in zip(("x", "y"), axes, strict=False):
        limits = (points[f"mu_{axis}"].min(), points[f"mu_{axis}"].max())
        for panel, step in zip(panels, steps, strict=True):
            rows = points["step"] == step
            explained = explained_variance(points[rows], f"mu_{axis}", view.period)
            points.loc[rows, f"r2_{axis}"] = explained
            drawn = _cloud(panel, points[rows], f"mu_{axis}", style.request_colours(view.period), limits)
            panel.set_title(f"step {step}\nR² = {explained:.2f}" if axis == "x" else f"R² = {explained:.2f}")
        bar = figure.colorbar(drawn, ax=list(panels), shrink=0.75, aspect=14, pad=0.01)
        bar.set_label(f"requested {axis}, px")
    for panel, step in zip(axes[2], steps, strict=True):
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set_visible(False)
        if shown:
            panel.imshow(mosaic(results, view, step, shown), cmap="gray", vmin=0, vmax=1)
            panel.plot(*requests_in_mosaic(view, shown).T, linestyle="", **style.REQUEST)
    for row, text in enumerate(("latents by x", "latents by y", "images")):
        axes[row, 0].set_ylabel(text)
    data = points[columns].sort_values(["step", "sample"], ignore_index=True)
    style.heading(figure, finding(data))
    return figure, data


def _cloud(axes: Axes, rows: pd.DataFrame, colour: str, colours: str, limits: tuple[float, float]) -> Any:
    first, second = (rows[name].to_numpy(dtype=float) for name in VIEW)
    drawn = axes.scatter(
        first, second, c=rows[colour], cmap=colours, vmin=limits[0], vmax=limits[1], s=4, linewidths=0, rasterized=True
    )
    half = 0.5 * max(np.ptp(first), np.ptp(second)) * 1.12 or 1.0
    middle = ((first.min() + first.max()) / 2, (second.min() + second.max()) / 2)
    marks.scaled_frame(axes, middle, half)
    return drawn


def finding(data: pd.DataFrame) -> str:
    """How much of the request the two coordinates drawn explain at the first and the last checkpoint, as a sentence."""
    if data.empty:
        return "No run has an embedding of its latents."
    first = data.iloc[0]
    shares = data.groupby("step")[["r2_x", "r2_y"]].first()
    parts = [
        f"{x:.2f} of x and {y:.2f} of y at step {step}"
        for step, (x, y) in zip(shares.index, shares.values, strict=True)
    ]
    ends = parts if len(parts) == 1 else [parts[0], parts[-1]]
    where = f"{first['dataset']}, seed {first['seed']}, {first['layer']}, t = {first['t']}"
    return f"{where}: the two coordinates drawn explain (R²) {', and '.join(ends)}."

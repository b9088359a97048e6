"""What the model draws, over training."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import Normal, Stroke
from numpy.lib.stride_tricks import sliding_window_view

from bumpscope.show import style
from bumpscope.store.results import Results

CAPTION = (
    "Share of generated images with no bump, several bumps, one bump in the wrong place and one bump in the right"
    " place, for centres that training has seen. Areas: mean over seeds. White lines: share in the right place, "
    "one line a seed. Marks along the top: the checkpoints that were measured; between them lines are straight."
)
TOPIC = "Behaviour"
WIDTH = style.DOUBLE
LIMIT = 9
# From the bottom up, so that the share of correct images can be read off the axis.
ORDER = ("correct", "misplaced", "multiple", "none")
WORD, LINE = 27, 0.1  # room that a name needs: hundredths of the panel's width, and share of its height
# White lines must be seen on light areas too.
OUTLINE = [Stroke(linewidth=1.2, foreground=style.SHADE), Normal()]


@style.apply()
def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """Stacked areas of outcomes, a panel a dataset.

    Returns:
        The figure, and columns run, dataset, seed, step, outcome, share (of images at seen centres).
    """
    rows = results.select("outcome/{outcome}/seen").rename(columns={"value": "share"})
    measured = rows.loc[rows["outcome"] == "correct", "run"]
    data = rows[rows["outcome"].isin(ORDER) & rows["run"].isin(measured)].reset_index(drop=True)
    if data.empty:
        return style.without_data("No outcome at seen centres has been measured."), data
    names = [name for name in results.datasets if name in set(data["dataset"])]
    shown, note = style.capped(names, LIMIT, "datasets")
    data = data[data["dataset"].isin(shown)].reset_index(drop=True)
    figure, axes = style.panels(len(shown), 3, 1.9, WIDTH, sharey=True)
    for panel, name in zip(axes, shown, strict=True):
        _panel(panel, data[data["dataset"] == name])
        panel.set_title(f"{style.shortened(name)} (n = {data.loc[data['dataset'] == name, 'run'].nunique()})")
        if style.is_first_column(panel):
            panel.set_ylabel("share of images")
    handles = [Patch(facecolor=style.OUTCOMES[outcome], edgecolor="black", linewidth=0.4) for outcome in ORDER]
    labels = ["one bump, right place", "one bump, wrong place", "several bumps", "no bump"]
    figure.legend(handles, labels, loc="outside lower left", ncols=4)
    style.heading(figure, finding(data), note)
    return figure, data


def _panel(axes: Axes, data: pd.DataFrame) -> None:
    mean = data.groupby(["step", "outcome"])["share"].mean().unstack().reindex(columns=list(ORDER)).fillna(0.0)
    steps = mean.index.to_numpy(dtype=float)
    heights = mean.to_numpy().T
    if len(steps) == 1:  # an area needs a width
        steps, heights = steps + np.array([-0.5, 0.5]), np.repeat(heights, 2, axis=1)
    axes.stackplot(steps, heights, colors=[style.OUTCOMES[outcome] for outcome in ORDER], linewidth=0)
    correct = data[data["outcome"] == "correct"]
    if correct["run"].nunique() > 1:
        for _, run in correct.groupby("run"):
            axes.plot(run["step"], run["share"], color="white", linewidth=0.6, path_effects=OUTLINE)
    style.step_axis(axes, mean.index.to_numpy())
    axes.plot(steps, np.ones(len(steps)), "k|", markersize=5, clip_on=False)
    axes.set(xlim=(steps[0], steps[-1]), ylim=(0, 1))
    _name_areas(axes, steps, heights)


def _name_areas(axes: Axes, steps: np.ndarray, heights: np.ndarray) -> None:
    """Write the name of each area where there is most room for it, so that colour is not all that tells them apart."""
    fractions = np.linspace(0, 1, 101)
    places = (axes.transAxes + axes.transData.inverted()).transform(np.column_stack([fractions, fractions]))[:, 0]
    tops = np.array([np.interp(places, steps, height) for height in heights]).cumsum(axis=0)
    bottoms = np.vstack([np.zeros_like(places), tops[:-1]])
    for outcome, bottom, top in zip(ORDER, bottoms, tops, strict=True):
        # The part of the area that is as high all along the word.
        floor, ceiling = (sliding_window_view(edge, WORD) for edge in (bottom, top))
        room = ceiling.min(axis=1) - floor.max(axis=1)
        widest = int(np.argmax(room))
        if room[widest] > LINE:
            middle = (ceiling.min(axis=1) + floor.max(axis=1))[widest] / 2
            colour = "white" if outcome in ("correct", "misplaced") else "black"
            where = places[widest + WORD // 2]
            axes.text(where, middle, outcome, color=colour, ha="center", va="center", fontsize=7)


def finding(data: pd.DataFrame) -> str:
    """The shares of correct images at each dataset's last checkpoint, as a sentence."""
    if data.empty:
        return "No outcome at seen centres has been measured."
    final = data[data["step"] == data.groupby("dataset")["step"].transform("max")]
    steps = " or ".join(str(step) for step in sorted(final["step"].unique()))
    shares = final[final["outcome"] == "correct"].groupby("dataset", sort=False)["share"].mean()
    parts = [f"{name} {share:.0%}" for name, share in shares.items()]
    return (
        f"Images with one bump in the right place at the last checkpoint (step {steps}), mean over seeds: "
        f"{style.listed(parts, 6)}."
    )

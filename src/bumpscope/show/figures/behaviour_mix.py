"""What the model draws, over training."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import Normal, Stroke
from numpy.lib.stride_tricks import sliding_window_view

from bumpscope.show import rows, style
from bumpscope.store.results import Results

CAPTION = (
    "Share of generated images with no bump, several bumps, one bump in the wrong place and one in the right place "
    "(all that is asked for, such as a size, is right), for requests seen in training. Areas: mean over seeds. White "
    "lines: share in the right place, each seed. Marks along the top: measured checkpoints."
)
TOPIC = "Behaviour"
WIDTH = style.DOUBLE
READS = ("metrics",)
COLUMNS = rows.CHECKPOINT | {"outcome": ", ".join(style.OUTCOMES), "share": "of the images at seen centres"}
NOTHING = "No outcome at seen centres has been measured."
LIMIT = 4
# From the bottom up, so that the share of correct images can be read off the axis.
OUTCOMES = {
    "correct": "one bump, right place",
    "misplaced": "one bump, wrong place",
    "multiple": "several bumps",
    "none": "no bump",
}
WORD, LINE = 27, 0.1  # room that a name needs: hundredths of the panel's width, and share of its height
# White lines must be seen on light areas too.
OUTLINE = [Stroke(linewidth=1.2, foreground=style.SHADE), Normal()]


def select(results: Results) -> pd.DataFrame:
    """The share of each outcome at every checkpoint of every run."""
    names = {f"share_{outcome}": outcome for outcome in OUTCOMES}
    found = rows.measured(results, list(names), split="seen", bin=None)
    found = found.assign(outcome=found["quantity"].map(names)).rename(columns={"value": "share"})
    measured = found.loc[found["outcome"] == "correct", "run"]
    return found[found["run"].isin(measured)][[*COLUMNS]].reset_index(drop=True)


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """Stacked areas of outcomes, a panel per dataset."""
    if data.empty:
        return style.without_data(NOTHING)
    data, left_out = rows.over_training(data)
    names, note = rows.first(data["dataset"], LIMIT, "datasets")
    figure, axes = style.panels(len(names), 3, 1.9, WIDTH, sharey=True)
    for panel, name in zip(axes, names, strict=True):
        own = data[data["dataset"] == name]
        _panel(panel, own)
        panel.set_title(f"{style.shortened(name)} (n = {own['run'].nunique()})")
        panel.set_ylabel("share of images" if style.is_first_column(panel) else "")
    handles = [Patch(facecolor=style.OUTCOMES[outcome], edgecolor="black", linewidth=0.4) for outcome in OUTCOMES]
    figure.legend(handles, list(OUTCOMES.values()), loc="outside lower left", ncols=4)
    style.heading(figure, note, left_out)
    return figure


def _panel(axes: Axes, data: pd.DataFrame) -> None:
    mean = data.pivot_table(index="step", columns="outcome", values="share").reindex(columns=list(OUTCOMES)).fillna(0.0)
    steps, heights = mean.index.to_numpy(dtype=float), mean.to_numpy().T
    if len(steps) == 1:  # an area needs a width
        steps, heights = steps + np.array([-0.5, 0.5]), np.repeat(heights, 2, axis=1)
    axes.stackplot(steps, heights, colors=[style.OUTCOMES[outcome] for outcome in OUTCOMES], linewidth=0)
    correct = data[data["outcome"] == "correct"]
    if correct["run"].nunique() > 1:
        for _, run in correct.sort_values("step", kind="stable").groupby("run"):
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
    for outcome, bottom, top in zip(OUTCOMES, bottoms, tops, strict=True):
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
    """The share of correct images at each dataset's last checkpoint, as a sentence."""
    if data.empty:
        return NOTHING
    final = data[data["step"] == data.groupby("dataset")["step"].transform("max")]
    steps = " or ".join(str(step) for step in sorted(final["step"].unique()))
    shares = final[final["outcome"] == "correct"].groupby("dataset", sort=False)["share"].mean()
    parts = [f"{name} {share:.0%}" for name, share in shares.items()]
    return f"Images with one bump in the right place at step {steps}, mean over seeds: {rows.listed(parts, 5)}."

"""Training loss."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.figure import Figure

from bumpscope.show import rows, style
from bumpscope.store.results import Results

CAPTION = (
    "Mean squared error of the network's prediction on training images, averaged over twentieths of a decade of "
    "steps; both axes logarithmic. Blue: runs of one dataset; grey: those of the others. Networks that predict the "
    "noise and those that predict v are not comparable. A model that ignores the label has a low loss too: see "
    "behaviour and label effects."
)
TOPIC = "Training"
WIDTH = style.DOUBLE
READS = ("losses",)
COLUMNS = rows.CHECKPOINT | {"loss": "averaged over a stretch of steps"}
NOTHING = "No training loss has been logged."
LIMIT = 28
COLUMNS_OF_PANELS = 4
STRETCHES = 20  # a decade of steps
OWN: style.Look = {"color": style.BLUE, "linewidth": 0.9, "alpha": 0.85, "zorder": 3}
OTHERS: style.Look = {"color": style.RULE, "linewidth": 0.5, "zorder": 2}


def select(results: Results) -> pd.DataFrame:
    """The loss of every run, averaged over stretches of steps."""
    parts = []
    for run in results:
        if run.has("losses"):
            losses = run.table("losses", ["step", "loss"])
            steps, means = averaged(losses["step"].to_numpy(), losses["loss"].to_numpy())
            curve = pd.DataFrame({"step": steps, "loss": means})
            parts.append(curve.assign(run=run.name, dataset=run.dataset, seed=run.seed)[[*COLUMNS]])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))


def averaged(steps: np.ndarray, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Geometric mean of the step and mean of the loss over stretches of equal length in the logarithm of the step.

    Late in training a logarithmic axis would otherwise show nothing but the noise of many lines. What has no logarithm
    is left out.
    """
    known = (steps > 0) & (losses > 0)
    logarithms = np.log10(steps[known])
    stretch = np.floor(logarithms * STRETCHES)
    means = pd.DataFrame({"step": logarithms, "loss": losses[known]}).groupby(stretch).mean()
    return 10.0 ** means["step"].to_numpy(), means["loss"].to_numpy()


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """Loss over steps: a panel per dataset, its runs over those of all others."""
    if data.empty:
        return style.without_data(NOTHING)
    names, note = rows.first(data["dataset"], LIMIT, "datasets")
    shown = data[data["dataset"].isin(names)].sort_values("step", kind="stable")
    height = 1.05 if len(names) > COLUMNS_OF_PANELS else 2.0
    figure, axes = style.panels(len(names), COLUMNS_OF_PANELS, height, WIDTH, sharex=True, sharey=True)
    for number, (panel, name) in enumerate(zip(axes, names, strict=True)):
        own = shown[shown["dataset"] == name]
        panel.plot(*_joined(shown[shown["dataset"] != name]).T, **OTHERS)
        alone = own["run"].value_counts().max() == 1  # a line needs two points
        panel.plot(*_joined(own).T, marker="o" if alone else "", markersize=3, markeredgewidth=0, **OWN)
        panel.set_title(style.shortened(style.spaced(name)))
        panel.tick_params(labelbottom=number + COLUMNS_OF_PANELS >= len(names))  # nothing beneath it
    axes[0].set(xscale="log", yscale="log")
    for axis in (axes[0].xaxis, axes[0].yaxis):
        style.plain_logarithm(axis)
        # Narrow panels have room for powers of ten alone, and many small ticks take long to draw.
        axis.set_major_locator(ticker.LogLocator())
        axis.set_minor_locator(ticker.NullLocator())
    figure.supxlabel("optimiser step", fontsize=style.FONT_SIZE)
    figure.supylabel("mean squared error of the prediction", fontsize=style.FONT_SIZE)
    style.heading(figure, note)
    return figure


def _joined(runs: pd.DataFrame) -> np.ndarray:
    """Steps and losses of runs one after another, shape (points, 2), with NaN after each, where the line breaks."""
    parts = [run[["step", "loss"]].to_numpy(dtype=float) for _, run in runs.groupby("run")]
    return np.concatenate(
        [np.pad(part, ((0, 1), (0, 0)), constant_values=np.nan) for part in parts] or [np.empty((0, 2))]
    )


def _ends(data: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Geometric mean over runs of the first and of the last loss, by dataset."""
    logarithms = data.assign(loss=np.log(data["loss"])).sort_values("step", kind="stable")
    by_run = logarithms.groupby(["dataset", "run"], sort=False)["loss"]
    first, last = (np.exp(values.groupby("dataset").mean()) for values in (by_run.first(), by_run.last()))
    return first, last


def finding(data: pd.DataFrame) -> str:
    """Where the curves of each dataset begin and end, as a sentence."""
    if data.empty:
        return NOTHING
    first, last = _ends(data)
    parts = [f"{name} {first[name]:.3g} to {last[name]:.3g}" for name in data["dataset"].unique()]
    return f"First and last loss, geometric mean over seeds: {rows.listed(parts, 3)}."

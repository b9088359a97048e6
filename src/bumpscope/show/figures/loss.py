"""Training loss."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bumpscope.show import marks, rows, style
from bumpscope.store.results import Results

CAPTION = (
    "Mean squared error of the network's prediction on training images, averaged over twentieths of a decade of "
    "steps; both axes logarithmic, one line per run. Networks that predict the noise and those that predict v are not "
    "comparable. A model that ignores the label has a low loss too: see behaviour and label effects."
)
TOPIC = "Training"
WIDTH = style.DOUBLE
READS = ("losses",)
COLUMNS = rows.CHECKPOINT | {"loss": "averaged over a stretch of steps"}
NOTHING = "No training loss has been logged."
LIMIT = 14
STRETCHES = 20  # a decade of steps


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
    """Loss over steps, a line per run, coloured by dataset."""
    if data.empty:
        return style.without_data(NOTHING)
    names, note = rows.first(data["dataset"], LIMIT, "datasets")
    figure, (axes,) = style.panels(1, 1, 2.8, WIDTH)
    looks = style.line_styles(names)
    for name, look in looks.items():
        own = data[data["dataset"] == name]
        marker = "o" if own["run"].value_counts().max() == 1 else ""  # a line needs two points
        drawn: style.Look = {"linewidth": 0.9, "alpha": 0.85, "marker": marker, "markersize": 4}
        for _, run in own.sort_values("step", kind="stable").groupby("run"):
            axes.plot(run["step"], run["loss"], markeredgewidth=0, **drawn, **look)
    axes.set(xscale="log", yscale="log", xlabel="optimiser step", ylabel="mean squared error of the prediction")
    style.plain_logarithm(axes.xaxis)
    style.plain_logarithm(axes.yaxis)
    _, ends = _ends(data)
    marks.label_ends(axes, [(ends[name], name, look) for name, look in looks.items()], gap=0.06)
    style.heading(figure, note)
    return figure


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

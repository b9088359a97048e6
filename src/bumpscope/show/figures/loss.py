"""Training loss."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bumpscope.show import marks, style
from bumpscope.store.results import Results

CAPTION = (
    "Mean squared error of the network's prediction on training images, averaged over twentieths of a decade of "
    "steps; both axes are logarithmic. One line a run. Errors of networks that predict the noise and of those "
    "that predict v are not comparable. The loss of a model that ignores the requested centre is not zero, so how"
    " low a line gets says little without the figures of behaviour and label effects."
)
TOPIC = "Training"
WIDTH = style.DOUBLE
LIMIT = 14
STRETCHES = 20  # a decade of steps


@style.apply()
def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """Loss over steps, a line a run, coloured by dataset.

    Returns:
        The figure, and columns run, dataset, seed, step, loss, averaged as drawn.
    """
    shown, note = style.capped(results.datasets, LIMIT, "datasets")
    columns = ["run", "dataset", "seed", "step", "loss"]
    parts = []
    for run in results.having("losses"):
        if run.dataset in shown:
            losses = results.table(run.run, "losses", ["step", "loss"]).query("step > 0 and loss > 0")
            steps, means = averaged(losses["step"].to_numpy(), losses["loss"].to_numpy())
            curve = pd.DataFrame({"step": steps, "loss": means})
            parts.append(curve.assign(run=run.run, dataset=run.dataset, seed=run.seed)[columns])
    if not parts or all(part.empty for part in parts):
        return style.without_data("No training loss has been logged."), pd.DataFrame(columns=columns)
    data = pd.concat(parts, ignore_index=True)
    styles = style.line_styles(shown)
    figure, (axes,) = style.panels(1, 1, 2.8, WIDTH)
    for _, curve in data.groupby("run", sort=False):
        marker = "o" if len(curve) == 1 else ""  # a line needs two points
        look = styles[curve["dataset"].iloc[0]]
        axes.plot(curve["step"], curve["loss"], linewidth=0.9, alpha=0.85, marker=marker, markersize=4, **look)
    axes.set(xscale="log", yscale="log", xlabel="optimiser step", ylabel="mean squared error of the prediction")
    style.plain_logarithm(axes.xaxis)
    style.plain_logarithm(axes.yaxis)
    named = data["dataset"].unique()
    ends = _last(data).groupby("dataset")["loss"].apply(_geometric_mean)
    marks.label_ends(axes, [(ends[name], name, styles[name]) for name in named], gap=0.06)
    style.heading(figure, finding(data), note)
    return figure, data


def averaged(steps: np.ndarray, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Geometric mean of the step and mean of the loss over stretches of equal length in the logarithm of the step.

    Late in training a logarithmic axis would otherwise show nothing but the noise of many lines.
    """
    logarithms = np.log10(steps)
    stretch = np.floor(logarithms * STRETCHES)
    rows = pd.DataFrame({"step": logarithms, "loss": losses}).groupby(stretch).mean()
    return 10.0 ** rows["step"].to_numpy(), rows["loss"].to_numpy()


def _last(data: pd.DataFrame) -> pd.DataFrame:
    return data.loc[data.groupby("run")["step"].idxmax()]


def _geometric_mean(values: pd.Series) -> float:
    return float(np.exp(np.log(values).mean()))


def finding(data: pd.DataFrame) -> str:
    """Where the curves of each dataset begin and end, as a sentence."""
    if data.empty:
        return "No training loss has been logged."
    first = data.loc[data.groupby("run")["step"].idxmin()]
    parts = []
    for name in data["dataset"].unique():
        start, end = (_geometric_mean(rows.loc[rows["dataset"] == name, "loss"]) for rows in (first, _last(data)))
        parts.append(f"{name} {start:.3g} to {end:.3g}")
    return f"Loss where the curves begin and where they end, geometric mean over seeds: {style.listed(parts)}."

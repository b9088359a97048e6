"""What comes first: when each curve has gone half of its way."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bumpscope.config.model import IMAGE_LAYER
from bumpscope.judge.intervals import t_interval
from bumpscope.judge.learning_curves import middle
from bumpscope.judge.onsets import onset
from bumpscope.show import style
from bumpscope.store.results import Results

CAPTION = (
    "For each balanced run (equal spacing, no skew) the step at which a curve first reaches half of the way from "
    "its value at the first checkpoint to its value at the last, interpolated in the logarithm of the step. Small"
    " marks: one a seed; large mark and bar: geometric mean and 95% Student t interval over seeds (from three "
    "seeds on). A curve that rises by less than 0.1 has no such step, and one whose checkpoints around it lie more "
    "than a factor of 1.5 apart cannot be timed; both are left out, and the numbers at the right say how many of "
    "the runs remain. Label effects: of the averaged weights, at the middle of the diffusion "
    "timesteps probed. R²: requested centre from three principal components. Order: trustworthiness of the "
    "activations for the requested centre, one half by chance and 1 at best. Balanced datasets whose checkpoints time "
    "less than half of this are left out."
)
TOPIC = "Phases"
WIDTH = style.DOUBLE
LIMIT = 4
LEAST_TIMED = 0.5  # share of a dataset's half-way steps that its checkpoints must time for it to be shown
SMALLEST_RISE = 0.1
FEWEST_SEEDS = 3
EFFECTS = {"effect_x": "effect of x", "effect_y": "effect of y", "effect_xy": "effect of x and y together"}
LATENT = {
    "R² at ": "r2/{layer}/t={t}/pca3/requested",
    "order at ": "trustworthiness_denoised/{layer}/t={t}/raw/requested",
}
BEHAVIOUR = "correct images"


@style.apply()
def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """Half-way steps of label effects, decodability and behaviour: a panel a balanced dataset.

    Returns:
        The figure, and columns run, dataset, seed, event, step, shown; the step is empty where the curve does not
        rise, and shown says whether the dataset has a panel.
    """
    columns = ["run", "dataset", "seed", "event", "step", "shown"]
    balanced = results.runs.query("dx == dy and skew_axis == 'none'")
    curves = _curves(results)
    curves = curves[curves["run"].isin(balanced["run"])]
    if curves.empty:
        return style.without_data("No balanced run has curves to compare."), pd.DataFrame(columns=columns)
    rows = []
    for (run, dataset, seed, event), curve in curves.groupby(["run", "dataset", "seed", "event"], sort=False):
        ordered = curve.sort_values("step")
        rows.append(
            (run, dataset, seed, event, halfway(ordered["step"].to_numpy(), ordered["value"].to_numpy()), False)
        )
    data = pd.DataFrame(rows, columns=columns)
    if data["step"].isna().all():
        return style.without_data(finding(data)), data
    share_timed = data["step"].notna().groupby(data["dataset"]).mean()
    present = [name for name in results.datasets if share_timed.get(name, 0.0) >= LEAST_TIMED]
    if not present:
        return style.without_data("The checkpoints of no balanced dataset time half of its events."), data
    events = data.groupby("dataset")["event"].nunique()
    heights = [0.5 + 0.17 * events[name] for name in present[:LIMIT]]
    names, note = style.capped(present, style.that_fit(heights, style.TALLEST - 0.7), "balanced datasets")
    heights = heights[: len(names)]
    data["shown"] = data["dataset"].isin(names)
    figure, axes = style.panels(len(names), 1, float(np.mean(heights)), WIDTH, sharex=True, height_ratios=heights)
    for axis, name in zip(axes, names, strict=True):
        _panel(axis, data[data["dataset"] == name])
        axis.set_title(name)
    style.plain_logarithm(axes[-1].xaxis)
    axes[-1].set_xlabel("optimiser step at half of the way (log scale)")
    style.heading(figure, finding(data), note)
    return figure, data


def _curves(results: Results) -> pd.DataFrame:
    """All curves as columns run, dataset, seed, step, value, event."""
    effects = results.select("{quantity}/t={t}/ema").query("quantity in @EFFECTS")
    times = {name: middle(own) for name, own in effects.groupby("dataset")["t"]}
    effects = effects[effects["t"] == effects["dataset"].map(times)]
    effects = effects.assign(event=effects["quantity"].map(EFFECTS))
    by_place = []
    for name, pattern in LATENT.items():
        scores = results.select(pattern)
        scores = scores[scores["layer"] != IMAGE_LAYER]  # what images show is told by their outcomes
        by_place.append(scores.assign(event=name + scores["layer"] + " (t = " + scores["t"].astype(str) + ")"))
    correct = results.select("outcome/correct/seen").assign(event=BEHAVIOUR)
    return pd.concat([effects, *by_place, correct])[["run", "dataset", "seed", "step", "value", "event"]]


def halfway(steps: np.ndarray, values: np.ndarray) -> float:
    """The step at which a curve first reaches the mean of its first and its last value.

    Interpolated as by :func:`bumpscope.judge.onsets.onset`, in the logarithm of the step.

    Returns:
        The step, or NaN where the last value is not at least 0.1 above the first, or where the checkpoints around the
        step are too far apart to time it.
    """
    if values[-1] - values[0] < SMALLEST_RISE:
        return float("nan")
    found = onset(steps, values, (values[0] + values[-1]) / 2)
    return found.time if found is not None and found.timed else float("nan")


def geometric_interval(steps: np.ndarray) -> tuple[float, float, float]:
    """Geometric mean of steps and its 95% Student t interval; the interval is NaN below three."""
    mean, low, high = np.exp(t_interval(np.log(steps)))
    # The interval of two is so wide that nothing else could be seen beside it.
    return (mean, low, high) if len(steps) >= FEWEST_SEEDS else (mean, float("nan"), float("nan"))


def _means(data: pd.DataFrame) -> pd.Series:
    """Geometric mean step of each event, earliest first, those that never happen last."""
    logarithms = data.assign(step=np.log(data["step"].astype(float)))
    means = logarithms.groupby("event", sort=False)["step"].mean().apply(np.exp)
    return means.sort_values(kind="stable", na_position="last")


def _panel(axes: Axes, data: pd.DataFrame) -> None:
    events = list(_means(data).index)
    for row, event in enumerate(events):
        own = data[data["event"] == event]
        steps = own["step"].dropna().to_numpy(dtype=float)
        colour = _colour(event)
        axes.text(1.01, row, f"{len(steps)} of {len(own)}", transform=axes.get_yaxis_transform(), va="center")
        if len(steps) == 0:
            continue
        seeds = np.full(len(steps), row + 0.27)  # below the mean, or it would hide them
        axes.scatter(steps, seeds, s=8, facecolors="none", edgecolors=colour, linewidths=0.7, zorder=3)
        mean, low, high = geometric_interval(steps)
        axes.plot([low, high], [row, row], color=colour, linewidth=1.6)
        axes.scatter([mean], [row], s=26, marker="D", color=colour, zorder=4)
    axes.set_yticks(range(len(events)), events)
    axes.set_ylim(len(events) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.grid(axis="x", which="both", linewidth=0.3, color=style.RULE)
    axes.set_axisbelow(True)


def _colour(event: str) -> str:
    if event == BEHAVIOUR:
        return style.VERMILLION
    if event in EFFECTS.values():
        return style.BLUE
    return style.ORANGE if event.startswith("order") else style.GREEN


def finding(data: pd.DataFrame) -> str:
    """The events in their order, as a sentence."""
    if data.empty:
        return "No balanced run has curves to compare."
    parts = []
    for name, own in data.groupby("dataset", sort=False):
        means = _means(own).dropna()
        order = ", ".join(f"{event} {step:.0f}" for event, step in means.items())
        parts.append(f"{name}: {order}" if order else f"{name}: no curve rises by {SMALLEST_RISE}")
    return f"Steps at half of the way, geometric mean over seeds, earliest first: {style.listed(parts, 1)}."

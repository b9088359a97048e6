"""What comes first: when each curve has gone half of its way."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bumpscope.config.model import IMAGE_LAYER
from bumpscope.judge.controls import has_spacings
from bumpscope.judge.intervals import t_interval
from bumpscope.judge.learning_curves import middle
from bumpscope.judge.onsets import onset
from bumpscope.show import rows, style
from bumpscope.store.names import two_of
from bumpscope.store.results import Results

CAPTION = (
    "Step at which a curve of a balanced run first goes half of its way, interpolated in log step. Dots: seeds. Right: "
    "runs timed; curves that rise by less than 0.1 or cross between distant checkpoints are not. Diamond and bar: "
    "geometric mean and 95% t interval, where all runs are timed. Effects: middle timestep. Order: trustworthiness."
)
TOPIC = "Phases"
WIDTH = style.DOUBLE
READS = ("metrics", "runs")
COLUMNS = rows.RUN | {"event": "which curve", "step": "at half of its way; empty where it cannot be timed"}
NOTHING = "No balanced run has curves to compare."
LIMIT = 4
LEAST_TIMED = 0.5  # share of a dataset's half-way steps that its checkpoints must time for it to be shown
SMALLEST_RISE = 0.1
FEWEST_SEEDS = 3
BEHAVIOUR = "correct images"
EFFECT = "effect of "


def select(results: Results) -> pd.DataFrame:
    """The half-way step of label effects, decodability, order and behaviour in every balanced run."""
    runs = results.runs
    # In other worlds factors have no common spacing.
    even = (runs["dx"] == runs["dy"]) | ~has_spacings(runs)
    balanced = runs.loc[even & (runs["skew_axis"] == "none"), "run"]
    curves = _curves(results)
    curves = curves[curves["run"].isin(balanced)].sort_values("step", kind="stable")
    keys = [name for name in COLUMNS if name != "step"]
    found = [
        (*key, halfway(curve["step"].to_numpy(), curve["value"].to_numpy()))
        for key, curve in curves.groupby(keys, sort=False)
    ]
    data = pd.DataFrame(found, columns=[*keys, "step"])
    order = {run: place for place, run in enumerate(balanced)}
    return data.sort_values("run", key=lambda names: names.map(order), kind="stable", ignore_index=True)[[*COLUMNS]]


def _curves(results: Results) -> pd.DataFrame:
    """All curves, with the column ``event`` to tell them apart."""
    effects = rows.measured(results, "effect", "factor", "t", bin=None)
    times = {name: middle(own) for name, own in effects.groupby("dataset")["t"]}
    effects = effects[effects["t"] == effects["dataset"].map(times)]
    _, pairs = rows.alone_and_paired(effects["factor"])
    words = {pair: f"{' and '.join(two_of(pair))} together" for pair in pairs}
    parts = [effects.assign(event=EFFECT + effects["factor"].replace(words))]
    for name, quantity, space in (("R²", "r2", "pca3"), ("order", "trustworthiness_denoised", "raw")):
        where = {"space": space, "label": "requested", "noise": "own", "factor": None}
        found = rows.measured(results, quantity, *rows.PLACE, **where)
        found = found[found["layer"] != IMAGE_LAYER]  # what images show, their outcomes say
        parts.append(found.assign(event=name + " at " + found["layer"] + " (t = " + found["t"].astype(str) + ")"))
    parts.append(rows.correct_images(results).assign(event=BEHAVIOUR))
    return pd.concat([part[[*rows.CHECKPOINT, "value", "event"]] for part in parts], ignore_index=True)


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


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """Half-way steps, a panel per dataset, events from early to late."""
    share_timed = data["step"].notna().groupby(data["dataset"], sort=False).mean()
    timed = list(share_timed.index[share_timed >= LEAST_TIMED])
    if not timed:
        untimed = "The checkpoints of no balanced dataset time half of its events."
        return style.without_data(untimed if data["step"].notna().any() else finding(data))
    heights = [0.5 + 0.17 * data.loc[data["dataset"] == name, "event"].nunique() for name in timed]
    names, note = rows.first(
        timed, min(LIMIT, rows.that_fit(heights, style.TALLEST - 0.7)), "balanced datasets that can be timed"
    )
    heights = heights[: len(names)]
    figure, axes = style.panels(len(names), 1, float(np.mean(heights)), WIDTH, sharex=True, height_ratios=heights)
    for panel, name in zip(axes, names, strict=True):
        _panel(panel, data[data["dataset"] == name])
        panel.set_title(name)
    style.plain_logarithm(axes[-1].xaxis)
    axes[-1].set_xlabel("optimiser step at half of the way (log scale)")
    style.heading(figure, note)
    return figure


def _panel(axes: Axes, own: pd.DataFrame) -> None:
    means = _means(own)
    events = list(means.index)
    colours = {event: _colour(event) for event in events}
    axes.set_xscale("log")
    data = own.assign(row=own["event"].map(events.index).astype(float), step=own["step"].astype(float))
    timed = data.dropna(subset="step")
    common = {"x": "step", "hue": "event", "palette": colours, "orient": "h", "native_scale": True, "ax": axes}
    # Seeds stand below the mean, or it would hide them. On a logarithmic axis means and intervals are of logarithms.
    sns.stripplot(
        timed.assign(row=timed["row"] + 0.27), y="row", jitter=False, legend=False, size=2.8, alpha=0.6,
        **common,
    )  # fmt: skip
    whole = timed[timed["event"].map(means).notna()]
    if len(whole):
        sns.pointplot(
            whole, y="row", errorbar=_interval, linestyle="", marker="D", markersize=4, legend=False,
            err_kws={"linewidth": 1.6}, **common,
        )  # fmt: skip
    for row, event in enumerate(events):
        steps = own.loc[own["event"] == event, "step"]
        axes.text(
            1.01, row, f"{steps.notna().sum()} of {len(steps)}", transform=axes.get_yaxis_transform(), va="center",
            color=style.BLACK if steps.notna().all() else style.VERMILLION,
        )  # fmt: skip
    axes.set_yticks(range(len(events)), events)
    axes.set(ylim=(len(events) - 0.5, -0.5), xlabel="", ylabel="")
    axes.grid(axis="x", which="both", linewidth=0.3, color=style.RULE)


def _interval(values: pd.Series) -> tuple[float, float]:
    """95% Student t interval; none below three, whose interval would dwarf all others."""
    _, low, high = t_interval(values.to_numpy())
    return (low, high) if len(values) >= FEWEST_SEEDS else (float("nan"), float("nan"))


def _means(own: pd.DataFrame) -> pd.Series:
    """Geometric mean step of each event, earliest first; NaN, and last, where a run is not timed.

    The runs that are not timed may be the late ones, so that a mean of the others would come too early.
    """
    by_event = own.assign(step=np.log(own["step"].astype(float))).groupby("event", sort=False)["step"]
    means = np.exp(by_event.mean().where(by_event.count() == by_event.size()))
    # Those that are timed in most runs come first among the others.
    order = pd.DataFrame({"mean": means, "missing": by_event.size() - by_event.count()})
    return order.sort_values(["missing", "mean"], kind="stable")["mean"]


def _colour(event: str) -> str:
    if event == BEHAVIOUR:
        return style.VERMILLION
    if event.startswith(EFFECT):
        return style.BLUE
    return style.ORANGE if event.startswith("order") else style.GREEN


def finding(data: pd.DataFrame) -> str:
    """The events of the first dataset that are timed in all its runs, in their order, as a sentence."""
    if data.empty:
        return NOTHING
    parts = []
    for name, own in data.groupby("dataset", sort=False):
        means = _means(own)
        events = [f"{event} {step:.0f}" for event, step in means.dropna().items()]
        order = ", ".join(events if len(events) < 5 else [*events[:3], "…", events[-1]])
        untimed = int(means.isna().sum())
        if order and untimed:
            order += f" ({untimed} not timed in every run)"
        parts.append(f"{name}: {order or 'no curve can be timed in every run'}")
    return f"Steps at half of the way, geometric mean over seeds, earliest first: {rows.listed(parts, 1)}."

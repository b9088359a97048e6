"""How far the drawn bump lies from the request, over training."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bumpscope.judge.controls import has_centres, lattice_of
from bumpscope.show import rows, style
from bumpscope.store.results import Results
from bumpscope.worlds.named import world_of

CAPTION = (
    "Images with one bump, at centres seen in training. Top: distance between drawn and requested centre. Bottom: "
    "fitted amplitude and width; a true bump has 1 of both. Bands: central 50 % and 80 % of the images, lines: "
    "medians; means over seeds, thin: each seed. Dashed: tolerances; dotted: chance, the median distance of two "
    "random centres."
)
TOPIC = "Behaviour"
WIDTH = style.DOUBLE
READS = ("metrics", "runs")
NOTHING = "No distance between drawn and requested centres has been measured."
LIMIT = 4
FEWEST_STEPS = 3  # checkpoints from which a dataset has curves, if any has
TOLERANCES = (0.5, 1.0, 2.0)
LEVELS = {"q10": "_q10", "q25": "_q25", "q50": "", "q75": "_q75", "q90": "_q90"}  # suffixes of a quantity
COLUMNS = rows.CHECKPOINT | {
    "quantity": "error, px; amplitude; width, in sigma",
    **dict.fromkeys(LEVELS, "quantile over the images with one bump"),
    "chance": "median distance between two random centres, px",
}
LOOKS: dict[str, style.Look] = {
    "error": {"color": style.BLUE},
    "amplitude": {"color": style.VERMILLION},
    "width": {"color": style.GREEN, "linestyle": "--"},
}
DRAWS = 4096  # pairs of random centres


def select(results: Results) -> pd.DataFrame:
    """Quantiles at every checkpoint of every run, datasets with most checkpoints first."""
    names = {f"{quantity}{suffix}": (quantity, level) for quantity in LOOKS for level, suffix in LEVELS.items()}
    found = rows.measured(results, list(names), split="seen", factor=None, bin=None, label=None)
    if found.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    pairs = pd.DataFrame(found["quantity"].map(names).tolist(), found.index, ["quantity", "level"])
    found = found.assign(**pairs).pivot(index=[*rows.CHECKPOINT, "quantity"], columns="level", values="value")
    found = found.reindex(columns=list(LEVELS)).reset_index()
    runs = rows.by_dataset(results)
    chance = {name: _chance(runs.loc[name].to_dict()) for name in found["dataset"].unique()}
    # A width is one of few where it varies, and then has no sigma to be compared with.
    sigma = found["dataset"].map(runs["sigma"]).where(found["quantity"] == "width", 1.0)
    other = found["quantity"].eq("width") & ~found["dataset"].map(has_centres(runs))
    found = found[~other]
    found[list(LEVELS)] = found[list(LEVELS)].div(sigma, axis=0)
    order = -found.groupby("dataset")["step"].transform("nunique")
    place = found["dataset"].map({name: k for k, name in enumerate(runs.index)})
    found = found.assign(chance=found["dataset"].map(chance), order=order, place=place)
    return found.sort_values(["order", "place", "seed", "quantity", "step"], ignore_index=True)[[*COLUMNS]]


def _chance(run: dict) -> float:
    world, random = world_of(lattice_of(run)), np.random.default_rng(0)
    pairs = np.stack([random.choice(factor.grid, (2, DRAWS)) for factor in world.factors], axis=2)
    return float(np.median(world.distances(pairs[0], pairs[1])[0]))


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """Distances above, amplitude and width below; a column of panels per dataset."""
    if data.empty:
        return style.without_data(NOTHING)
    several = data.groupby("dataset")["step"].transform("nunique") >= FEWEST_STEPS
    names, note = rows.first((data[several] if several.any() else data)["dataset"], LIMIT, "datasets")
    figure = Figure(figsize=(max(style.SINGLE, min(WIDTH, 2.2 * len(names))), 4.4), layout="constrained")
    panels = figure.subplots(2, len(names), squeeze=False, sharey="row", sharex="col", height_ratios=[1.7, 1])
    for (above, below), name in zip(panels.T, names, strict=True):
        own = data[data["dataset"] == name]
        own = own[own["step"] > 0] if (own["step"] > 0).any() else own.assign(step=1)
        for panel, quantities in ((above, ["error"]), (below, ["amplitude", "width"])):
            for quantity in quantities:
                _bands(panel, own[own["quantity"] == quantity], LOOKS[quantity])
        style.log_step_axis(below, own["step"].to_numpy())
        above.set_yscale("log")
        for level, text in [(own["chance"].iloc[0], "chance"), *((one, f"{one:g} px") for one in TOLERANCES)]:
            above.axhline(level, **style.LEVEL | ({"linestyle": ":"} if text == "chance" else {}))
            above.annotate(
                text, (1, level), (0, 1), xycoords=above.get_yaxis_transform(), textcoords="offset points",
                ha="right", va="bottom", fontsize=style.FONT_SIZE - 1.5,
            )  # fmt: skip
        below.axhline(1.0, **style.LEVEL)
        above.set_title(f"{style.shortened(name, 16)} (n = {own['run'].nunique()})")
    errors = data[data["quantity"] == "error"]
    errors = errors[errors["step"] > 0] if (errors["step"] > 0).any() else errors
    # Of numbers alone, where no image has one bump.
    low, high = np.fmin(errors["q10"].min(), 0.4), np.fmax(errors[["q90", "chance"]].max().max(), 2.0)
    first_above, first_below = panels[:, 0]
    first_above.set(ylabel="distance from the request, px", ylim=(0.8 * low, 1.25 * high))
    style.plain_logarithm(first_above.yaxis)
    first_below.set(ylabel="amplitude, width / σ", ylim=(0, None))
    handles = [Patch(color=look["color"]) for look in LOOKS.values()]
    figure.legend(handles, ["distance", "amplitude", "width"], loc="outside lower left", ncols=3)
    style.heading(figure, note)
    return figure


def _bands(axes: Axes, own: pd.DataFrame, look: style.Look) -> None:
    mean = own.groupby("step")[list(LEVELS)].mean().dropna()
    for low, high, alpha in (("q10", "q90", 0.15), ("q25", "q75", 0.3)):
        axes.fill_between(mean.index, mean[low], mean[high], color=look["color"], alpha=alpha, linewidth=0)
    if own["run"].nunique() > 1:
        for _, run in own.groupby("run"):
            axes.plot(run["step"], run["q50"], **look, linewidth=0.5, alpha=0.55)
    axes.plot(mean.index, mean["q50"], **look, linewidth=1.5, marker="o", markersize=3, markeredgewidth=0)


def finding(data: pd.DataFrame) -> str:
    """Median and 90 % quantile of the distance at each dataset's last checkpoint, as a sentence."""
    errors = data[data["quantity"] == "error"]
    if errors.empty:
        return NOTHING
    last = errors[errors["step"] == errors.groupby("dataset")["step"].transform("max")]
    means = last.groupby("dataset", sort=False)[["q50", "q90", "chance"]].mean()
    parts = [f"{name} {row.q50:.2g} and {row.q90:.2g} px (chance {row.chance:.2g})" for name, row in means.iterrows()]
    return f"Distance at the last checkpoint, median and 90 % quantile: {rows.listed(parts, 3)}."

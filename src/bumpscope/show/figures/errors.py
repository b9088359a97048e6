"""How far the drawn bump lies from the request, over training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bumpscope.judge.controls import lattice_of
from bumpscope.show import rows, style
from bumpscope.store.results import Results
from bumpscope.worlds.named import world_of

CAPTION = (
    "Images with one bump, for requests seen in training. Top: distance between what was drawn and requested. Bottom: "
    "fitted amplitude and width; a true bump has 1 of both. Bands: central 50 % and 80 % of the images, lines: "
    "medians; means over seeds, thin: each seed. Dashed: tolerances; dotted: chance, the median distance of two "
    "random requests."
)
TOPIC = "Behaviour"
WIDTH = style.DOUBLE
READS = ("metrics", "runs")
NOTHING = "No distance between what was drawn and requested has been measured."
ERROR, PIXELS = "error", "px"
LIMIT = 4
FEWEST_STEPS = 3  # checkpoints from which a dataset has curves, if any has
TOLERANCES = (0.5, 1.0, 2.0)
LEVELS = {"q10": "_q10", "q25": "_q25", "q50": "", "q75": "_q75", "q90": "_q90"}  # suffixes of a quantity
COLUMNS = rows.CHECKPOINT | {
    "quantity": "error; amplitude; width, in sigma; error_x and the like where factors have no common distance",
    "unit": "of an error: px, or ln",
    **dict.fromkeys(LEVELS, "quantile over the images with one bump"),
    "chance": "median distance between two random requests",
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
    found = rows.measured(results, list(names), "factor", split="seen", bin=None, label=None)
    if found.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    pairs = pd.DataFrame(found["quantity"].map(names).tolist(), found.index, ["measure", "level"])
    found = found.drop(columns="quantity").join(pairs).fillna({"factor": ""})
    runs = rows.by_dataset(results)
    drawn = [_drawn(runs.loc[name].to_dict()).assign(dataset=name) for name in found["dataset"].unique()]
    found = found.merge(pd.concat(drawn), on=["dataset", "measure", "factor"])
    keys = [*rows.CHECKPOINT, "quantity", "unit", "chance", "scale"]
    found = found.pivot(index=keys, columns="level", values="value").reindex(columns=list(LEVELS)).reset_index()
    found[list(LEVELS)] = found[list(LEVELS)].div(found["scale"], axis=0)
    order = -found.groupby("dataset")["step"].transform("nunique")
    place = found["dataset"].map({name: k for k, name in enumerate(runs.index)})
    found = found.assign(order=order, place=place)
    return found.sort_values(["order", "place", "seed", "quantity", "step"], ignore_index=True)[[*COLUMNS]]


def _drawn(run: dict) -> pd.DataFrame:
    """What is drawn of a run, a row of table ``runs``: columns measure and factor, as in table ``metrics``, quantity,
    unit, chance, and scale, by which values are divided."""
    world, random = world_of(lattice_of(run)), np.random.default_rng(0)
    pairs = np.stack([random.choice(factor.grid, (2, DRAWS)) for factor in world.factors], axis=2)
    chances = [float(np.median(away)) for away in world.distances(pairs[0], pairs[1])]
    units = {factor.name: factor.unit_of_distance for factor in world.factors}
    groups = world.names.groups
    found = []
    for place, (group, chance) in enumerate(zip(groups, chances, strict=True)):
        # Of later groups the distance is measured where it is that of a single factor.
        if place == 0 or len(group) == 1:
            quantity = ERROR if len(groups) == 1 else f"{ERROR}_{'_'.join(group)}"
            found.append((ERROR, "" if place == 0 else group[0], quantity, units[group[0]], chance, 1.0))
    found.append(("amplitude", "", "amplitude", "", chances[0], 1.0))
    if world.width is not None:  # where it varies it is a factor, and has nothing to be compared with
        found.append(("width", "", "width", "", chances[0], world.width))
    return pd.DataFrame(found, columns=["measure", "factor", "quantity", "unit", "chance", "scale"])


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """Distances above, amplitude and width below; a column of panels per dataset."""
    if data.empty:
        return style.without_data(NOTHING)
    several = data.groupby("dataset")["step"].transform("nunique") >= FEWEST_STEPS
    names, note = rows.first((data[several] if several.any() else data)["dataset"], LIMIT, "datasets")
    distances = sorted({str(one) for one in data["quantity"] if _is_distance(one)}, key=lambda one: (len(one), one))
    size = (max(style.SINGLE, min(WIDTH, 2.2 * len(names))), 2.0 + 2.4 * len(distances))
    figure = Figure(figsize=size, layout="constrained")
    shape: dict[str, Any] = {"sharey": "row", "sharex": "col", "height_ratios": [1.7] * len(distances) + [1]}
    panels = figure.subplots(len(distances) + 1, len(names), squeeze=False, **shape)
    for (*above, below), name in zip(panels.T, names, strict=True):
        own = data[data["dataset"] == name]
        own = own[own["step"] > 0] if (own["step"] > 0).any() else own.assign(step=1)
        for panel, quantity in zip(above, distances, strict=True):
            _distances(panel, own[own["quantity"] == quantity])
        for quantity in ("amplitude", "width"):
            _bands(below, own[own["quantity"] == quantity], LOOKS[quantity])
        style.log_step_axis(below, own["step"].to_numpy())
        below.axhline(1.0, **style.LEVEL)
        above[0].set_title(f"{style.shortened(name, 16)} (n = {own['run'].nunique()})")
    for row, quantity in zip(panels[:-1], distances, strict=True):
        panel = next((one for one in row if one.axison), row[0])  # of a world that has this distance
        errors = data[data["quantity"] == quantity]
        errors = errors[errors["step"] > 0] if (errors["step"] > 0).any() else errors
        unit = errors["unit"].iloc[0]
        least, most = (0.4, 2.0) if unit == PIXELS else (np.nan, np.nan)
        # Of numbers alone, where no image has one bump.
        low, high = (
            np.fmin(_least(errors), least),
            np.fmax(errors[["q90", "chance"]].max().max(), most),
        )
        what = "distance from the request" if quantity == ERROR else f"distance in {_of(quantity)}"
        panel.set(ylabel=f"{what}, {unit}", ylim=(0.8 * low, 1.25 * high))
        style.plain_logarithm(panel.yaxis)
    words = {"amplitude": "amplitude", "width": "width / σ"}
    shown = {quantity: text for quantity, text in words.items() if (data["quantity"] == quantity).any()}
    panels[-1, 0].set(ylabel=", ".join(shown.values()), ylim=(0, None))
    handles = [Patch(color=LOOKS[quantity]["color"]) for quantity in (ERROR, *shown)]
    figure.legend(handles, ["distance", *shown], loc="outside lower left", ncols=3)
    style.heading(figure, note)
    return figure


def _is_distance(quantity: str) -> bool:
    return quantity.split("_")[0] == ERROR


def _least(errors: pd.DataFrame) -> float:
    """The least value that a logarithm can show; of a factor with one value chance is 0."""
    values = errors[["q10", "chance"]]
    return float(values.where(values > 0).min().min())


def _of(quantity: str) -> str:
    """The factors of a distance."""
    return " and ".join(quantity.split("_")[1:])


def _distances(axes: Axes, own: pd.DataFrame) -> None:
    """One kind of distance of one dataset, with chance and, in px, tolerances."""
    if own.empty:  # another world than that of the dataset beside it
        axes.set_axis_off()
        return
    _bands(axes, own, LOOKS[ERROR])
    axes.set_yscale("log")
    tolerances = TOLERANCES if own["unit"].iloc[0] == PIXELS else ()
    chance = [(own["chance"].iloc[0], "chance")] if own["chance"].iloc[0] > 0 else []
    for level, text in [*chance, *((one, f"{one:g} px") for one in tolerances)]:
        axes.axhline(level, **style.LEVEL | ({"linestyle": ":"} if text == "chance" else {}))
        axes.annotate(
            text, (1, level), (0, 1), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
            ha="right", va="bottom", fontsize=style.FONT_SIZE - 1.5,
        )  # fmt: skip


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
    errors = data[data["quantity"].map(_is_distance).astype(bool)]
    if errors.empty:
        return NOTHING
    last = errors[errors["step"] == errors.groupby("dataset")["step"].transform("max")]
    means = last.groupby(["dataset", "quantity", "unit"], sort=False)[["q50", "q90", "chance"]].mean()
    parts = []
    for row in means.reset_index().to_dict("records"):
        what = f"{row['dataset']} {_of(row['quantity'])}".strip()
        parts.append(f"{what} {row['q50']:.2g} and {row['q90']:.2g} {row['unit']} (chance {row['chance']:.2g})")
    return f"Distance at the last checkpoint, median and 90 % quantile: {rows.listed(parts, 3)}."

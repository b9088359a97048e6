"""How x and y are learnt, and how the final representation is built."""

from __future__ import annotations

import itertools
import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bumpscope.config.model import IMAGE_LAYER, LAYERS
from bumpscope.judge.controls import first_of_pairs
from bumpscope.judge.coupling import SIMULTANEOUS
from bumpscope.judge.onsets import RESOLUTION
from bumpscope.show import marks, rows, style
from bumpscope.store.results import Results

CAPTION = (
    "Left: coupling index by resolution (95% interval) and own gap ln tau_x - ln tau_y (90%, band ±ln 1.1); hollow: "
    "undetermined. Right: additive share of the variance between requests (1: a part for each factor), 95% t "
    "intervals. Controls with shared noise: same network, untrained, trained on permuted labels; and generated "
    "images. Outer right: parallelism, orthogonality."
)
TOPIC = "Imbalance"
WIDTH = style.DOUBLE
READS = ("factorisation", "onsets", "coupling", "runs")
NOTHING = "No dataset has its representation measured beside its learning."
LIMIT = 6
ROW = 0.145  # inches a place
SHARE = "additive_share"
PARALLELISM, ORTHOGONALITY = "parallelism_", "orthogonality"
# Of the first factor, the second, and a third.
PARALLEL: tuple[style.Look, ...] = (
    {"color": style.BLUE, "marker": ">"},
    {"color": style.ORANGE, "marker": "^"},
    {"color": style.GREEN, "marker": "<"},
)
ORTHOGONAL: style.Look = {"color": style.BLACK, "marker": "x"}
COLUMNS = {
    "dataset": "",
    "reference": "none, or a model of known coupling",
    **rows.PLACE,
    "metric": ", ".join([SHARE, f"{PARALLELISM}x", f"{PARALLELISM}y", ORTHOGONALITY]),
    "value": "at the last probed checkpoint",
    "low": "95% interval",
    "high": "",
    "shared": "with shared noise",
    "untrained": "default weights and shared noise, step 0",
    "permuted": "trained on permuted labels, shared noise",
    "runs": "seeds",
    "coupling": "index by resolution",
    "coupling_low": "95% interval",
    "coupling_high": "",
    "own_gap": "of the dataset, ln tau_x - ln tau_y",
    "own_gap_low": "90% interval",
    "own_gap_high": "",
    "verdict": "of the index",
}
INDEX_RANGE, SHARE_RANGE = (-0.6, 1.6), (-0.1, 1.15)
LAYER: style.Look = {"color": style.BLUE, "marker": "o"}
IMAGES: style.Look = {"color": style.GREY, "marker": "s"}
# Controls of a layer, in hollow marks.
CONTROLS: dict[str, tuple[str, style.Look]] = {
    "shared": ("shared noise", {"color": style.BLUE, "marker": "o"}),
    "untrained": ("untrained", {"color": style.GREY, "marker": "o"}),
    "permuted": ("permuted labels", {"color": style.VERMILLION, "marker": "D"}),
}


def select(results: Results) -> pd.DataFrame:
    """Table ``factorisation`` but for the tangents, with the interval of the gap; imbalanced datasets first."""
    if not results.has("factorisation"):
        return pd.DataFrame(columns=list(COLUMNS))
    reference = rows.by_dataset(results)["reference"]
    found = results.table("factorisation")
    found = found[found["metric"].isin([SHARE, ORTHOGONALITY]) | found["metric"].str.startswith(PARALLELISM)]
    found = found[found["dataset"].isin(reference.index) & (found["value"].notna() | found["untrained"].notna())]
    gaps = pd.DataFrame(columns=["dataset", "own_gap_low", "own_gap_high"])
    if results.has("onsets"):
        gaps = results.table("onsets", list(gaps.columns), measure=RESOLUTION)
    found = found.merge(gaps, on="dataset", how="left")
    found = found.assign(reference=found["dataset"].map(reference))
    if results.has("coupling"):
        second = set(results.coupling["dataset"]) - set(first_of_pairs(results.coupling)["dataset"])
        found = found[~found["dataset"].isin(second)]
    order = found["verdict"].isna() + 2 * (found["reference"] != "none")
    return found.assign(order=order).sort_values("order", kind="stable", ignore_index=True)[[*COLUMNS]]


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """Index, gap, additive share, parallelism and orthogonality: a block of rows per dataset, a row per place."""
    if data.empty:
        return style.without_data(NOTHING)
    lengths = [_length(own) for _, own in data.groupby("dataset", sort=False)][:LIMIT]
    fitting = rows.that_fit([ROW * length for length in lengths], style.TALLEST - 1.6)
    names, note = rows.first(data["dataset"], min(LIMIT, fitting), "datasets")
    height = sum(lengths[: len(names)])
    figure = Figure(figsize=(WIDTH, max(ROW * height, 0.9) + 1.6), layout="constrained")
    small_looks = _small_looks(data)
    panels = index, gap, share, small = figure.subplots(1, 4, sharey=True, width_ratios=[1.05, 1.05, 1.5, 1.05])
    limits = marks.gap_limits(data.loc[data["dataset"].isin(names), "own_gap"], SIMULTANEOUS)
    middles, top = [], 0.0
    for name, length in zip(names, lengths, strict=False):
        own = data[data["dataset"] == name]
        places = _places(own)
        middles.append(top + (len(places) - 1) / 2)
        _learning(index, gap, own.iloc[0], middles[-1], limits)
        for row, (layer, t) in enumerate(places):
            _geometry(share, small, own[(own["layer"] == layer) & (own["t"] == t)], top + row, small_looks)
            text = "images" if layer == IMAGE_LAYER else f"{layer}, t={t}"
            share.annotate(
                text, (0, top + row), (-4, 0), xycoords=share.get_yaxis_transform(), textcoords="offset points",
                ha="right", va="center", fontsize=style.FONT_SIZE - 2,
            )  # fmt: skip
        if top:
            for panel in panels:
                panel.axhline(top - 0.9, color=style.RULE, linewidth=0.5)
        top += length
    index.set_ylim(height - 0.7, -0.9)
    index.set_yticks(middles, [_title(data[data["dataset"] == name]) for name in names])
    for panel in panels:
        panel.tick_params(axis="y", length=0)
    index.tick_params(axis="y", pad=7)  # arrows reach over the edge
    _frame(index, "coupling index", INDEX_RANGE, 0, 1)
    _frame(gap, "own gap, ln steps", limits, 0)
    gap.axvspan(-SIMULTANEOUS, SIMULTANEOUS, color=style.BAND, linewidth=0, zorder=0)
    _frame(share, "additive share", SHARE_RANGE, 1)
    _frame(small, "parallel, orthogonal", SHARE_RANGE, 1)
    looks = {"share": marks.mark(LAYER), "images": marks.mark(IMAGES)}
    measured = [control for column, control in CONTROLS.items() if data[column].notna().any()]
    looks |= {name: marks.mark(look, markerfacecolor="white") for name, look in measured}
    looks |= {metric.replace("_", ", "): marks.mark(look) for metric, look in small_looks.items()}
    marks.look_legend(figure, looks, ncols=4, columnspacing=1.0, handletextpad=0.2)
    style.heading(figure, note)
    return figure


def _small_looks(data: pd.DataFrame) -> dict[str, style.Look]:
    """Looks of parallelism along each factor, and of orthogonality."""
    named = data.loc[data["metric"].str.startswith(PARALLELISM), "metric"].str.removeprefix(PARALLELISM)
    factors, _ = rows.alone_and_paired(named)
    looks = {PARALLELISM + factor: look for factor, look in zip(factors, itertools.cycle(PARALLEL), strict=False)}
    return looks | {ORTHOGONALITY: ORTHOGONAL}


def _places(own: pd.DataFrame) -> list[tuple[str, int]]:
    pairs = {(str(layer), int(t)) for layer, t in zip(own["layer"], own["t"], strict=True)}
    order = [*LAYERS, IMAGE_LAYER]
    return sorted(pairs, key=lambda pair: (order.index(pair[0]), -pair[1]))


def _length(own: pd.DataFrame) -> float:
    """Rows of the block of a dataset; a reference's name needs three."""
    return max(len(_places(own)), 2 + (own["reference"].iloc[0] != "none")) + 0.8


def _title(own: pd.DataFrame) -> str:
    reference = own["reference"].iloc[0]
    name = style.shortened(str(own["dataset"].iloc[0]), 18)
    return name if reference == "none" else f"{name}\n({reference}\nreference)"


def _frame(axes: Axes, label: str, limits: tuple[float, float], *levels: float) -> None:
    axes.set(xlabel=label, xlim=limits)
    for level in levels:
        axes.axvline(level, color=style.GREY, linewidth=0.7, zorder=1)


def _learning(index: Axes, gap: Axes, row: pd.Series, place: float, limits: tuple[float, float]) -> None:
    look = style.MODELS[row["reference"]]
    inside = row["own_gap_low"] > -SIMULTANEOUS and row["own_gap_high"] < SIMULTANEOUS
    outside = row["own_gap_low"] > SIMULTANEOUS or row["own_gap_high"] < -SIMULTANEOUS
    ends = (row["coupling"], row["coupling_low"], row["coupling_high"])
    gap_ends = (row["own_gap"], row["own_gap_low"], row["own_gap_high"])
    marks.interval(index, place, ends, INDEX_RANGE, look, row["verdict"] != "undetermined", vertical=False)
    marks.interval(gap, place, gap_ends, limits, look, inside or outside, vertical=False)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    missing = "no index" if isinstance(row["verdict"], str) else "balanced"
    for panel, value, text in ((index, row["coupling"], missing), (gap, row["own_gap"], "not timed")):
        if math.isnan(value):
            across = {"transform": panel.get_yaxis_transform(), "fontsize": style.FONT_SIZE - 1, "bbox": box}
            marks.note(panel, text, 0.5, place, zorder=2, **across)


def _geometry(share: Axes, small: Axes, own: pd.DataFrame, place: float, looks: dict[str, style.Look]) -> None:
    for row in own.to_dict("records"):
        if row["metric"] != SHARE:
            ends = (row["value"], math.nan, math.nan)
            marks.interval(small, place, ends, SHARE_RANGE, looks[row["metric"]], vertical=False)
            continue
        look = IMAGES if row["layer"] == IMAGE_LAYER else LAYER
        for name, (_, control) in CONTROLS.items():
            ends = (row[name], math.nan, math.nan)
            marks.interval(share, place, ends, SHARE_RANGE, control, filled=False, vertical=False)
        marks.interval(share, place, (row["value"], row["low"], row["high"]), SHARE_RANGE, look, vertical=False)


def finding(data: pd.DataFrame) -> str:
    """Coupling or gap of each dataset, and the additive share of its layers beside that of the images."""
    if data.empty:
        return NOTHING
    parts = []
    for name, own in data.groupby("dataset", sort=False):
        row = own.iloc[0]
        learnt = "not timed"
        if math.isfinite(row["coupling"]):
            learnt = f"coupling {row['coupling']:.2f}, {row['verdict']}"
        elif math.isfinite(row["own_gap"]):
            clear = row["own_gap_low"] > 0 or row["own_gap_high"] < 0
            learnt = f"own gap {row['own_gap']:+.2f}" if clear else "no clear own gap"
        shares = own[(own["metric"] == SHARE) & own["value"].notna()]
        images = shares.loc[shares["layer"] == IMAGE_LAYER, "value"]
        layers = shares.loc[shares["layer"] != IMAGE_LAYER, "value"]
        built = f"additive share {_range(layers)} over its layers" if len(layers) else "additive share not defined"
        built += f", images {images.iloc[0]:.2f}" if len(images) else ""
        for column, told in (("untrained", "untrained"), ("permuted", "trained on permuted labels")):
            control = own.loc[own["metric"] == SHARE, column].dropna()
            built += f", {told} {_range(control)}" if len(control) else ""
        parts.append(f"{name} {learnt}, {built}")
    return f"Learning and final representation: {rows.listed(parts, 2)}."


def _range(values: pd.Series) -> str:
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return low if low == high else f"{low} to {high}"

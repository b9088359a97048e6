"""How the axes were learnt, beside how the representation that came of it is built."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bumpscope.config.model import IMAGE_LAYER, LAYERS
from bumpscope.judge.controls import first_of_pairs
from bumpscope.judge.coupling import SIMULTANEOUS
from bumpscope.show import marks, style
from bumpscope.store.results import Results

CAPTION = (
    "Learning and final geometry of the same runs, a block a dataset. Left: coupling index of the label effects with "
    "its 95% interval (0 factorised, 1 coupled), where the dataset is imbalanced and its nulls differ; hollow: "
    "undetermined. Next to it the gap, ln tau_x - ln tau_y, with its 90% interval; hollow where that lies neither "
    "wholly inside nor wholly outside the band of ±ln 1.1. Right: at each layer and diffusion timestep, share of the "
    "variance between centres that is one part for x plus one for y (line at 1: an additive code), with 95% Student t "
    "intervals over seeds; filled: last probed checkpoint; hollow: the untrained network, a control; grey squares: "
    "the generated images themselves, a control whose pixels code each place apart, which is not additive. Outer "
    "right: whether a step in x, or in y, is the same step everywhere (parallelism), and whether the two are "
    "orthogonal; means over seeds. Arrow: an estimate or an interval reaches beyond the axis. Of a dataset and the "
    "one with its axes swapped only the first is shown."
)
TOPIC = "Imbalance"
WIDTH = style.DOUBLE
LIMIT = 6
ROW = 0.145  # inches a place
NONE = "No dataset has its representation measured beside its learning."
SHARE = "additive_share"
SMALL: dict[str, tuple[str, style.Look]] = {
    "parallelism_x": ("parallelism, x", {"color": style.BLUE, "marker": ">"}),
    "parallelism_y": ("parallelism, y", {"color": style.ORANGE, "marker": "^"}),
    "orthogonality": ("orthogonality", {"color": style.BLACK, "marker": "x"}),
}
LEARNING = ["coupling", "coupling_low", "coupling_high", "gap", "gap_low", "gap_high", "verdict"]
COLUMNS = ["dataset", "reference", "layer", "t", "metric", "value", "low", "high", "untrained", "runs", *LEARNING]
INDEX_RANGE, SHARE_RANGE = (-0.6, 1.6), (-0.1, 1.15)
PLACE: dict[str, style.Look] = {
    "layer": {"color": style.BLUE, "marker": "o"},
    IMAGE_LAYER: {"color": style.GREY, "marker": "s"},
}


@style.apply()
def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """Index, gap, additive share, parallelism and orthogonality, a block of rows a dataset.

    Returns:
        The figure, and columns of table factorisation (but for tangent_cosine) with the reference and the interval of
        the gap.
    """
    data = _measured(results)
    if data.empty:
        return style.without_data(NONE), data
    lengths = [_length(own) for _, own in data.groupby("dataset", sort=False)][:LIMIT]
    fitting = style.that_fit([ROW * length for length in lengths], style.TALLEST - 1.6)
    data, names, note = style.of_first(data, fitting, "datasets")
    lengths = lengths[: len(names)]
    blocks = {name: _places(data[data["dataset"] == name]) for name in names}
    tops = [sum(lengths[:number]) for number in range(len(names))]
    figure = Figure(figsize=(WIDTH, max(ROW * sum(lengths), 0.9) + 1.6), layout="constrained")
    index, gap, share, small = figure.subplots(1, 4, sharey=True, width_ratios=[1.05, 1.05, 1.5, 1.05])
    limits = marks.gap_limits(data["gap"], SIMULTANEOUS)
    ticks: list[tuple[float, str]] = []
    for number, name in enumerate(names):
        own, top, places = data[data["dataset"] == name], tops[number], blocks[name]
        middle = top + (len(places) - 1) / 2
        ticks.append((middle, _title(own)))
        _learning(index, gap, own, middle, limits)
        for row, (layer, t) in enumerate(places):
            _geometry(share, small, own[(own["layer"] == layer) & (own["t"] == t)], top + row)
            text = "images" if layer == IMAGE_LAYER else f"{layer}, t={t}"
            share.annotate(
                text, (0, top + row), (-4, 0), xycoords=share.get_yaxis_transform(), textcoords="offset points",
                ha="right", va="center", fontsize=style.FONT_SIZE - 2,
            )  # fmt: skip
        if number:
            for panel in (index, gap, share, small):
                panel.axhline(top - 0.9, color=style.RULE, linewidth=0.5)
    index.set_ylim(sum(lengths) - 0.7, -0.9)
    index.set_yticks([place for place, _ in ticks], [text for _, text in ticks])
    for panel in (index, gap, share, small):
        panel.tick_params(axis="y", length=0)
    index.tick_params(axis="y", pad=7)  # arrows reach over the edge
    _frame(index, "coupling index", INDEX_RANGE, {0.0: "-", 1.0: "-"})
    _frame(gap, "gap, ln steps", limits, {0.0: "-"})
    gap.axvspan(-SIMULTANEOUS, SIMULTANEOUS, color=style.BAND, linewidth=0, zorder=0)
    _frame(share, "additive share", SHARE_RANGE, {1.0: "--"})
    _frame(small, "parallel, orthogonal", SHARE_RANGE, {1.0: "--"})
    _legend(figure)
    style.heading(figure, finding(data), note)
    return figure, data


def _measured(results: Results) -> pd.DataFrame:
    table = results.factorisation
    if table is None or table.empty:
        return pd.DataFrame(columns=COLUMNS)
    first = results.by_dataset
    found = table[table["metric"].isin([SHARE, *SMALL]) & table["dataset"].isin(first.index)]
    found = found[found["value"].notna() | found["untrained"].notna()]
    onsets, coupling = results.onsets, results.coupling
    gaps = pd.DataFrame(columns=["dataset", "gap_low", "gap_high"])
    if onsets is not None:
        gaps = onsets.loc[onsets["measure"] == "effects", list(gaps.columns)]
    found = found.merge(gaps, on="dataset", how="left")
    found = found.assign(reference=found["dataset"].map(first["reference"]))
    if coupling is not None:
        second = set(coupling["dataset"]) - set(first_of_pairs(coupling)["dataset"])
        found = found[~found["dataset"].isin(second)]
    # Imbalanced datasets first, whose learning says most; those of the model under study before the references.
    order = found["verdict"].isna() + 2 * (found["reference"] != "none")
    return found.assign(order=order).sort_values("order", kind="stable", ignore_index=True)[COLUMNS]


def _places(data: pd.DataFrame) -> list[tuple[str, int]]:
    pairs = {(str(layer), int(t)) for layer, t in zip(data["layer"], data["t"], strict=True)}
    order = [*LAYERS, IMAGE_LAYER]
    return sorted(pairs, key=lambda pair: (order.index(pair[0]), -pair[1]))


def _length(own: pd.DataFrame) -> float:
    """Rows of the block of a dataset; a reference's name needs three."""
    return max(len(_places(own)), 2 + (own["reference"].iloc[0] != "none")) + 0.8


def _title(own: pd.DataFrame) -> str:
    reference = own["reference"].iloc[0]
    name = style.shortened(str(own["dataset"].iloc[0]), 18)
    return name if reference == "none" else f"{name}\n({reference}\nreference)"


def _learning(index: Axes, gap: Axes, own: pd.DataFrame, place: float, limits: tuple[float, float]) -> None:
    row = own.iloc[0]
    look = style.MODELS[row["reference"]]
    inside = row["gap_low"] > -SIMULTANEOUS and row["gap_high"] < SIMULTANEOUS
    decided = inside or row["gap_low"] > SIMULTANEOUS or row["gap_high"] < -SIMULTANEOUS
    ends = (row["coupling"], row["coupling_low"], row["coupling_high"])
    marks.interval(index, place, ends, INDEX_RANGE, look, row["verdict"] != "undetermined", vertical=False)
    marks.interval(gap, place, (row["gap"], row["gap_low"], row["gap_high"]), limits, look, decided, vertical=False)
    for panel, value, text in (
        (index, row["coupling"], "no index" if isinstance(row["verdict"], str) else "balanced"),
        (gap, row["gap"], "not timed"),
    ):
        if math.isnan(value):
            panel.text(
                0.5, place, text, transform=panel.get_yaxis_transform(), ha="center", va="center", color=style.GREY,
                fontsize=style.FONT_SIZE - 1, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6}, zorder=2,
            )  # fmt: skip


def _geometry(share: Axes, small: Axes, rows: pd.DataFrame, place: float) -> None:
    by_metric = {row["metric"]: row for row in rows.to_dict("records")}
    if SHARE in by_metric:
        row = by_metric[SHARE]
        look = PLACE.get(row["layer"], PLACE["layer"])
        untrained = (row["untrained"], math.nan, math.nan)
        hollow = {"color": style.GREY, "marker": look["marker"]}
        marks.interval(share, place, untrained, SHARE_RANGE, hollow, filled=False, vertical=False)
        ends = (row["value"], row["low"], row["high"])
        marks.interval(share, place, ends, SHARE_RANGE, look, vertical=False)
    for metric, (_, look) in SMALL.items():
        if metric in by_metric:
            value = (by_metric[metric]["value"], math.nan, math.nan)
            marks.interval(small, place, value, SHARE_RANGE, look, vertical=False)


def _frame(axes: Axes, label: str, limits: tuple[float, float], lines: dict[float, str]) -> None:
    axes.set_xlim(*limits)
    axes.set_xlabel(label)
    for place, dashes in lines.items():
        axes.axvline(place, color=style.GREY, linewidth=0.7, linestyle=dashes, zorder=1)


def _legend(figure: Figure) -> None:
    def mark(look: style.Look, **more: object) -> Line2D:
        return Line2D([], [], linestyle="", markersize=4.5, **{**look, **more})

    handles = [mark(PLACE["layer"]), mark({"color": style.GREY, "marker": "o"}, markerfacecolor="white")]
    handles += [mark(PLACE[IMAGE_LAYER]), *[mark(look) for _, look in SMALL.values()]]
    labels = ["share, trained", "share, untrained", "share, images", *[text for text, _ in SMALL.values()]]
    figure.legend(handles, labels, loc="outside lower left", ncols=6, columnspacing=1.0, handletextpad=0.2)


def finding(data: pd.DataFrame) -> str:
    """Coupling or gap of each dataset, and the largest additive share of its layers beside that of the images."""
    if data.empty:
        return NONE
    parts = []
    for name, own in data.groupby("dataset", sort=False):
        row = own.iloc[0]
        if math.isfinite(row["coupling"]):
            learnt = f"coupling {row['coupling']:.2f}, {row['verdict']}"
        elif math.isfinite(row["gap"]):
            learnt = f"gap {row['gap']:+.2f}"
        else:
            learnt = "not timed"
        shares = own[(own["metric"] == SHARE) & own["value"].notna()]
        layers, images = (shares[(shares["layer"] == IMAGE_LAYER) == of_images] for of_images in (False, True))
        built = "additive share not defined"
        if len(layers):
            low, high = (f"{end:.2f}" for end in (layers["value"].min(), layers["value"].max()))
            built = f"additive share {low if low == high else f'{low} to {high}'} over its layers"
        if len(images):
            built += f", of images {images['value'].iloc[0]:.2f}"
        parts.append(f"{name} {learnt}; {built}")
    rest = f", and {len(parts) - 3} more datasets" if len(parts) > 3 else ""
    return f"Learning, and the representation that it ended in: {' | '.join(parts[:3])}{rest}."

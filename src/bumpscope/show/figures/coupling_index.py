"""Coupling of x and y over the imbalance of the data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from string import ascii_lowercase

import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bumpscope.judge.controls import first_of_pairs
from bumpscope.judge.coupling import SIMULTANEOUS
from bumpscope.show import marks, style
from bumpscope.store.results import Results

CAPTION = (
    "Coupling index (0: each axis at the pace of its own null; 1: both at the same time; above 1: reversed) with its "
    "95% Fieller interval over seeds, against the imbalance of the dataset: the ratio of the spacings dy/dx, or the "
    "exponent of the power law by which one axis is skewed. Beneath it the gap, mean of ln tau_x - ln tau_y, with its "
    "90% Student t interval; wholly inside the grey band of ±ln 1.1 both axes are learnt at the same time, whatever "
    "the nulls are. Tau: step at which a learning curve crosses one half; curves are label effects, images right on "
    "an axis (accuracy), or use of labels at rare positions (rare). Hollow: undetermined (five seeds are the least "
    "for a verdict). Arrow: the estimate (its number beside it) or its interval reaches beyond the axis. Words stand "
    "where there is no index. Datasets of one imbalance stand side by side; of a dataset and the one with its axes "
    "swapped, which enters the same index, only the first is shown."
)
TOPIC = "Imbalance"
WIDTH = style.DOUBLE
LIMIT = 8
NONE = "No imbalanced dataset has been compared with its nulls."
MEASURES = {"effects": "label effects", "accuracy": "accuracy", "rare": "use at rare positions"}
KINDS = {"lattice": "spacing dy/dx", "frequency": "skew exponent α", "both": "spacing dy/dx, skewed as well"}
TITLES = {"lattice": "unequal spacing", "frequency": "skew", "both": "both"}
ESTIMATES = ["coupling", "low", "high", "gap", "gap_low", "gap_high"]
COLUMNS = ["dataset", "kind", "reference", "measure", "imbalance", *ESTIMATES, "runs", "simultaneous", "verdict"]
COLUMNS += ["reason"]
RANGE = (-0.75, 1.75)
ASIDE = 9.0  # points between datasets of one imbalance


@style.apply()
def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """Index and gap over the imbalance: two rows a kind of imbalance, a column a measure.

    Returns:
        The figure, and columns of table coupling with the imbalance (dy/dx, or the exponent) and the reason where
        there is no index.
    """
    data, note = _compared(results)
    if data.empty:
        return style.without_data(NONE), data
    kinds = [kind for kind in KINDS if kind in set(data["kind"])]
    measures = [measure for measure in MEASURES if measure in set(data["measure"])]
    # Datasets with both kinds of imbalance have no nulls, hence no index.
    rows = [(kind, what) for kind in kinds for what in (("gap",) if kind == "both" else ("coupling", "gap"))]
    figure = Figure(figsize=(WIDTH, 1.0 + 1.6 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), len(measures), squeeze=False, sharey="row")
    letters = _letters(data)
    gaps = marks.gap_limits(data["gap"], SIMULTANEOUS)
    for row, (kind, what) in enumerate(rows):
        for column, measure in enumerate(measures):
            panel, own = grid[row, column], data[(data["kind"] == kind) & (data["measure"] == measure)]
            if own.empty:
                panel.remove()
                continue
            limits = RANGE if what == "coupling" else gaps
            _panel(panel, own, what, limits, letters)
            _imbalance_axis(
                panel, data.loc[data["kind"] == kind, "imbalance"].unique().tolist(), logarithmic=kind != "frequency"
            )
            if what == "gap":
                panel.set_xlabel(KINDS[kind])
            if what == "coupling" or kind == "both":
                panel.set_title(f"{TITLES[kind]}: {MEASURES[measure]}")
            if column == 0:
                panel.set_ylabel("coupling index" if what == "coupling" else "gap, ln steps")
    models = [name for name in style.MODELS if name in set(data["reference"])]
    handles = [Line2D([], [], linestyle="-", markersize=4.5, **style.MODELS[name]) for name in models]
    hollow = Line2D([], [], linestyle="", marker="o", markersize=4.5, color=style.GREY, markerfacecolor="white")
    labels = [*[style.MODEL_NAMES[name] for name in models], "hollow: undetermined"]
    figure.legend([*handles, hollow], labels, loc="outside lower left", ncols=4)
    key = "; ".join(f"{letter}: {name}" for name, letter in letters.items())
    style.heading(figure, finding(data), note, key)
    return figure, data


def _compared(results: Results) -> tuple[pd.DataFrame, str]:
    table = results.coupling
    runs = results.by_dataset
    if table is None or not table["dataset"].isin(runs.index).any():
        return pd.DataFrame(columns=COLUMNS), ""
    found = first_of_pairs(table[table["dataset"].isin(runs.index)])
    found = found.sort_values("reference", key=lambda kinds: kinds != "none", kind="stable")
    found, _, note = style.of_first(found, LIMIT, "imbalanced datasets")
    ratio = found["dataset"].map(runs["dy"] / runs["dx"])
    imbalance = ratio.where(found["kind"] != "frequency", found["dataset"].map(runs["skew_alpha"]))
    reason = pd.Series([_reason(row) for row in found.to_dict("records")], found.index, dtype="str")
    return found.assign(imbalance=imbalance.astype(float), reason=reason)[COLUMNS].reset_index(drop=True), note


def _reason(row: dict) -> str | None:
    """Why there is no index, or no interval of it."""
    if math.isfinite(row["low"]) and math.isfinite(row["high"]):
        return None
    if not isinstance(row["null_x"], str) or not isinstance(row["null_y"], str):
        return "no nulls"
    if not isinstance(row["swapped"], str):
        return "no swapped dataset"
    if row["runs"] < 2:
        return "too few seeds"
    if row["null_low"] <= 0 <= row["null_high"]:
        return "nulls do not differ"
    return "not timed"


def _letters(data: pd.DataFrame) -> dict[str, str]:
    """A letter for each dataset, where some differ in neither kind, nor imbalance, nor model."""
    each = data.drop_duplicates("dataset")
    if not each.duplicated(["kind", "imbalance", "reference"]).any():
        return {}
    return dict(zip(each["dataset"], ascii_lowercase, strict=False))


def _panel(axes: Axes, own: pd.DataFrame, what: str, limits: tuple[float, float], letters: dict[str, str]) -> None:
    axes.set_ylim(*limits)
    if what == "gap":
        axes.axhspan(-SIMULTANEOUS, SIMULTANEOUS, color=style.BAND, linewidth=0, zorder=0)
        axes.axhline(0, color=style.GREY, linewidth=0.6, zorder=1)
    else:
        for level, text in ((0, "factorised"), (1, "coupled")):
            axes.axhline(level, color=style.GREY, linewidth=0.7, linestyle=(0, (6, 3)), zorder=1)
            axes.text(
                0.01, level, text, transform=axes.get_yaxis_transform(), va="bottom", color=style.GREY,
                fontsize=style.FONT_SIZE - 2,
            )  # fmt: skip
    decided = "verdict" if what == "coupling" else "simultaneous"
    for place in own["imbalance"].unique().tolist():
        group = own[own["imbalance"] == place]
        for number, row in enumerate(group.to_dict("records")):
            shift = ASIDE * (number - (len(group) - 1) / 2)
            names = ("coupling", "low", "high") if what == "coupling" else ("gap", "gap_low", "gap_high")
            ends = (row[names[0]], row[names[1]], row[names[2]])
            look, filled = style.MODELS[row["reference"]], row[decided] != "undetermined"
            marks.interval(axes, place, ends, limits, look, filled, shift=shift)
            reason = row["reason"] if what == "coupling" else "not timed"
            if not math.isfinite(ends[0]) and isinstance(reason, str):
                _write(axes, place, 0.5 if what == "coupling" else 0.0, shift, reason, look["color"])
            if what == "gap" and row["dataset"] in letters:
                _write(axes, place, limits[1], shift, letters[row["dataset"]], look["color"])


def _write(axes: Axes, x: float, y: float, shift: float, text: str, colour: str) -> None:
    """Upright words in the middle of the panel; a single letter above it."""
    word = len(text) > 1
    axes.annotate(
        text,
        (x, y),
        (shift, 0 if word else 5),
        textcoords="offset points",
        rotation=90 if word else 0,
        ha="center",
        va="center" if word else "bottom",
        color=colour,
        fontsize=style.FONT_SIZE - 1.5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5} if word else None,
        zorder=2,
    )


def _imbalance_axis(axes: Axes, values: Sequence[float], logarithmic: bool) -> None:
    ticks = np.sort(np.asarray(values, dtype=float))
    if logarithmic:
        axes.set_xscale("log")
        reach = max((ticks[-1] / ticks[0]) ** 0.45, 1.6)
        axes.set_xlim(ticks[0] / reach, ticks[-1] * reach)
    else:
        reach = max(0.45 * (ticks[-1] - ticks[0]), 0.5)
        axes.set_xlim(ticks[0] - reach, ticks[-1] + reach)
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])


def finding(data: pd.DataFrame) -> str:
    """The index of each dataset by its label effects, and how many verdicts of each kind there are, as sentences."""
    if data.empty:
        return NONE
    measure = next(measure for measure in MEASURES if measure in set(data["measure"]))
    parts = []
    for row in data[data["measure"] == measure].to_dict("records"):
        reference = "" if row["reference"] == "none" else f" ({row['reference']} reference)"
        if math.isfinite(row["coupling"]):
            text = f"{row['coupling']:.2f}"
            if math.isfinite(row["low"]):
                text += f" [{row['low']:.2f}, {row['high']:.2f}]"
            text += f" {row['verdict']}"
        else:
            text = f"no index ({row['reason']})"
        parts.append(f"{row['dataset']}{reference} {text}")
    own = data[data["reference"] == "none"]
    counts = own["verdict"].value_counts(sort=False).sort_index()
    tally = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    together = (own["simultaneous"] == "yes").sum()
    text = f"Coupling index by {MEASURES[measure]}: {style.listed(parts, 4)}."
    if own.empty:
        return text
    return (
        f"{text} Over all measures of the model under study: {tally}; the gap is within ±ln 1.1 in {together} of "
        f"{len(own)}."
    )

"""Coupling of x and y over the imbalance of the data."""

from __future__ import annotations

import math
from string import ascii_lowercase

import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bumpscope.judge.controls import IMBALANCES, first_of_pairs, judged
from bumpscope.judge.coupling import COUPLED, SIMULTANEOUS
from bumpscope.show import marks, rows, style
from bumpscope.store.names import two_of
from bumpscope.store.results import Results

CAPTION = (
    "Coupling index (0: each axis at its null's pace; 1: both together), 95% intervals, against spacing ratio or skew "
    "exponent; plus: in steps; band: 0.8 to 1.25. Beneath: gap of the pair, positive where x of the dataset and y of "
    "its swapped one are late, 90% intervals; band: ±ln 1.1. Hollow: undetermined. Arrow: beyond the axis."
)
TOPIC = "Imbalance"
WIDTH = style.DOUBLE
READS = ("coupling", "runs")
COLUMNS = {
    "dataset": "",
    "kind": "lattice, frequency or both; else the two factors",
    "reference": "none, or a model of known coupling",
    "measure": "resolution, effects, accuracy or rare",
    "nulls": "one_dimensional or balanced",
    "imbalance": "dy/dx, or the exponent of the skew; 1 for two factors of other worlds",
    "coupling": "index",
    "low": "95% interval",
    "high": "",
    "in_steps": "index of times in steps",
    "in_steps_low": "95% interval",
    "in_steps_high": "",
    "gap": "ln tau_x - ln tau_y, its negative in the swapped dataset",
    "gap_low": "90% interval",
    "gap_high": "",
    "swapped": "the dataset with the axes swapped",
    "runs": "seeds",
    "simultaneous": "yes, no or undetermined",
    "verdict": "",
    "reason": "why there is no index",
}
NOTHING = "No imbalanced dataset has been compared with its nulls."
LIMIT = 8
MEASURES = {
    "resolution": "resolution",
    "effects": "label effects",
    "accuracy": "accuracy",
    "rare": "use where rare",
}
# Kind of imbalance -> title, and name of its axis.
KINDS = {
    "lattice": ("unequal spacing", "spacing dy/dx"),
    "frequency": ("skew", "skew exponent α"),
    "both": ("both", "spacing dy/dx, skewed as well"),
}
INDEX, IN_STEPS = ("coupling", "low", "high"), ("in_steps", "in_steps_low", "in_steps_high")
GAP = ("gap", "gap_low", "gap_high")
RANGE = (-0.75, 1.75)
ASIDE = 14.0  # points between datasets of one imbalance
BESIDE = 5.0  # points from an index to that of times in steps


def select(results: Results) -> pd.DataFrame:
    """Table ``coupling`` with the imbalance of each dataset and the reason where there is no index."""
    runs = rows.by_dataset(results)
    table = results.coupling if results.has("coupling") else pd.DataFrame({"dataset": []})
    if not table["dataset"].isin(runs.index).any():
        return pd.DataFrame(columns=list(COLUMNS))
    found = judged(first_of_pairs(table[table["dataset"].isin(runs.index)]))
    found = found.sort_values("reference", key=lambda kinds: kinds != "none", kind="stable", ignore_index=True)
    ratio = found["dataset"].map(runs["dy"] / runs["dx"])
    imbalance = ratio.where(found["kind"] != "frequency", found["dataset"].map(runs["skew_alpha"]))
    imbalance = imbalance.where(found["kind"].isin(IMBALANCES), 1.0)
    reason = pd.Series([_reason(row) for row in found.to_dict("records")], found.index, dtype="str")
    return found.assign(imbalance=imbalance.astype(float), reason=reason)[[*COLUMNS]]


def _reason(row: dict) -> str | None:
    """Why the index, or its interval, is missing."""
    if math.isfinite(row["low"]) and math.isfinite(row["high"]):
        return None
    if not isinstance(row["null_x"], str) or not isinstance(row["null_y"], str):
        return "no nulls"
    if not isinstance(row["swapped"], str) and row["kind"] in IMBALANCES:
        return "no swapped dataset"
    if row["runs"] == 0:
        return "not measured"
    if row["runs"] < 2:
        return "too few seeds"
    if math.isnan(row["null_gap"]):
        return "nulls not measured"
    if row["null_low"] <= 0 <= row["null_high"]:
        return "nulls do not differ"
    return "not timed"


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """Index and gap over the imbalance: two rows per kind of imbalance, a column per measure."""
    if data.empty:
        return style.without_data(NOTHING)
    names, note = rows.first(data["dataset"], LIMIT, "imbalanced datasets")
    shown = data[data["dataset"].isin(names)]
    measures = [measure for measure in MEASURES if (shown["measure"] == measure).any()]
    others = [kind for kind in dict.fromkeys(shown["kind"]) if kind not in KINDS]
    kinds = [*(kind for kind in KINDS if (shown["kind"] == kind).any()), *others]
    bands = [(kind, ends) for kind in kinds for ends in (INDEX, GAP)]
    figure = Figure(figsize=(WIDTH, 1.0 + 1.6 * len(bands)), layout="constrained")
    grid = figure.subplots(len(bands), len(measures), squeeze=False, sharey="row")
    letters = _letters(shown)
    gaps = marks.gap_limits(shown["gap"], SIMULTANEOUS)
    for panels, (kind, ends) in zip(grid, bands, strict=True):
        of_kind = shown[shown["kind"] == kind]
        for panel, measure in zip(panels, measures, strict=True):
            own = of_kind[of_kind["measure"] == measure]
            if own.empty:
                panel.remove()
                continue
            panel.set_ylim(*(RANGE if ends is INDEX else gaps))
            _levels(panel, ends)
            _intervals(panel, own, ends, letters)
            _imbalance_axis(panel, np.unique(of_kind["imbalance"]), logarithmic=kind != "frequency")
            title, label = KINDS[kind] if kind in KINDS else (" and ".join(two_of(kind)), "")
            if kind in others:
                panel.set_xticks([])
            panel.set_xlabel(label if ends is GAP else "")
            panel.set_title(f"{title}:\n{MEASURES[measure]}" if ends is INDEX else "")
        panels[0].set_ylabel("coupling index" if ends is INDEX else "gap of the pair, ln steps")
    looks = {
        style.MODEL_NAMES[name]: {"linestyle": "-", "markersize": 4.5, **look}
        for name, look in style.MODELS.items()
        if (shown["reference"] == name).any()
    }
    hollow = marks.mark({"color": style.GREY, "marker": "o"}, markerfacecolor="white")
    more = {"hollow: undetermined": hollow}
    if shown["in_steps"].notna().any():
        more["times in steps"] = marks.mark({"color": style.GREY, "marker": "+"})
    marks.look_legend(figure, looks | more, ncols=4)
    style.heading(figure, note, "; ".join(f"{letter}: {name}" for name, letter in letters.items()))
    return figure


def _letters(data: pd.DataFrame) -> dict[str, str]:
    """A letter for each dataset, where some differ in neither kind, nor imbalance, nor model."""
    each = data.drop_duplicates("dataset")
    if not each.duplicated(["kind", "imbalance", "reference"]).any():
        return {}
    return dict(zip(each["dataset"], ascii_lowercase, strict=False))


def _levels(axes: Axes, ends: tuple[str, str, str]) -> None:
    """What estimates are read against: 0 and 1, or the band of gaps of at most a tenth."""
    if ends is GAP:
        axes.axhspan(-SIMULTANEOUS, SIMULTANEOUS, color=style.BAND, linewidth=0, zorder=0)
        axes.axhline(0, color=style.GREY, linewidth=0.6, zorder=1)
        return
    axes.axhspan(*COUPLED, color=style.BAND, linewidth=0, zorder=0)
    for level, text in ((0, "factorised"), (1, "coupled")):
        axes.axhline(level, **{**style.LEVEL, "color": style.GREY})
        marks.note(
            axes, text, 0.01, level, transform=axes.get_yaxis_transform(), ha="left", va="bottom",
            fontsize=style.FONT_SIZE - 2,
        )  # fmt: skip


def _intervals(axes: Axes, own: pd.DataFrame, ends: tuple[str, str, str], letters: dict[str, str]) -> None:
    limits = axes.get_ylim()
    decided = "verdict" if ends is INDEX else "simultaneous"
    for place, group in own.groupby("imbalance", sort=False):
        for number, row in enumerate(group.to_dict("records")):
            shift = ASIDE * (number - (len(group) - 1) / 2)
            values = (row[ends[0]], row[ends[1]], row[ends[2]])
            look = style.MODELS[row["reference"]]
            marks.interval(axes, float(str(place)), values, limits, look, row[decided] != "undetermined", shift=shift)
            if ends is INDEX:
                steps = (row[IN_STEPS[0]], row[IN_STEPS[1]], row[IN_STEPS[2]])
                plus = {**look, "marker": "+"}
                marks.interval(axes, float(str(place)), steps, limits, plus, shift=shift + BESIDE)
            timed = isinstance(row["swapped"], str) or row["kind"] not in IMBALANCES
            missing = "not timed" if timed else "no swapped dataset"
            reason = row["reason"] if ends is INDEX else missing
            aside = {"xytext": (shift, 0), "textcoords": "offset points", "ha": "center", "color": look["color"]}
            aside |= {"fontsize": style.FONT_SIZE - 1.5, "zorder": 2}
            if not math.isfinite(values[0]) and isinstance(reason, str):
                box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
                axes.annotate(reason, (place, np.mean(limits)), va="center", rotation=90, bbox=box, **aside)
            if ends is GAP and row["dataset"] in letters:
                above = {**aside, "xytext": (shift, 5)}
                axes.annotate(letters[row["dataset"]], (place, limits[1]), va="bottom", **above)


def _imbalance_axis(axes: Axes, values: np.ndarray, logarithmic: bool) -> None:
    if logarithmic:
        axes.set_xscale("log")
        reach = max((values[-1] / values[0]) ** 0.45, 1.6)
        axes.set_xlim(values[0] / reach, values[-1] * reach)
    else:
        reach = max(0.45 * (values[-1] - values[0]), 0.5)
        axes.set_xlim(values[0] - reach, values[-1] + reach)
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.set_xticks(values, [f"{value:.3g}" for value in values])


def finding(data: pd.DataFrame) -> str:
    """The index of each dataset by its first measure, and how many verdicts of each kind there are, as sentences."""
    if data.empty:
        return NOTHING
    measure = next(measure for measure in MEASURES if (data["measure"] == measure).any())
    parts = [_in_words(row) for row in data[data["measure"] == measure].to_dict("records")]
    text = f"Coupling index by {MEASURES[measure]}: {rows.listed(parts, 2)}."
    own = data[data["reference"] == "none"]
    if own.empty:
        return text
    counts = own["verdict"].value_counts(sort=False).sort_index()
    tally = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    together = (own["simultaneous"] == "yes").sum()
    gaps = f"gap of the pair within ±ln 1.1 in {together} of {len(own)}"
    return f"{text} All measures of the model under study: {tally}; {gaps}."


def _in_words(row: dict) -> str:
    name = row["dataset"] + ("" if row["reference"] == "none" else f" ({row['reference']} reference)")
    if not math.isfinite(row["coupling"]):
        return f"{name} no index ({row['reason']})"
    ends = f" [{row['low']:.2f}, {row['high']:.2f}]" if math.isfinite(row["low"]) else ""
    steps = f" ({row['in_steps']:.2f} in steps)" if math.isfinite(row["in_steps"]) else ""
    return f"{name} {row['coupling']:.2f}{ends}{steps} {row['verdict']}"

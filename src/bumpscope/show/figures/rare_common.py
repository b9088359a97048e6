"""Labels at common and at rare positions: does a common y help a rare x?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bumpscope.config.controls import ONE_DIMENSIONAL
from bumpscope.judge.controls import first_of_pairs, in_words
from bumpscope.judge.coupling import at_timesteps, usual_timesteps
from bumpscope.judge.intervals import t_interval
from bumpscope.judge.learning_curves import half_time_in_words
from bumpscope.judge.onsets import LEVEL
from bumpscope.probe.frequency import ALL
from bumpscope.show import marks, rows, style
from bumpscope.store.results import Results
from bumpscope.worlds.bumps import BINS

CAPTION = (
    "Use of a label (0: ignored; 1: obeyed) at common, middle and rare positions, a third of the ranks each. Rows: x "
    "by its bin; y by its bin; rare x by the bin of y, where a common y may help. Last: correct images at the last "
    "checkpoint, 95% t intervals. Datasets without skew are controls."
)
TOPIC = "Imbalance"
WIDTH = style.DOUBLE
READS = ("metrics", "coupling", "runs")
CORRECT = "correct"
COLUMNS = {
    "dataset": "",
    "lattice": "spacing and skew in words",
    "reference": "none, or a model of known coupling",
    "role": "skewed axes: x, y, both or none",
    "run": "",
    "seed": "",
    "step": "",
    "t": "−1 for the share of correct images",
    "quantity": "use_x, use_y or correct",
    "panel": "the row of panels that shows it: x, y or rare",
    "bin": ", ".join(BINS),
    "value": "",
}
NOTHING = "No skewed dataset has been probed at common and rare positions (probe.frequency_bins)."
LIMIT = 5
# Curves that coincide lie on top of each other: the later the thinner, so that all are seen.
WIDTHS = {"common": 2.4, "middle": 1.6, "rare": 1.0}
LOOKS: dict[str, style.Look] = {
    "common": {"color": style.BLUE, "linestyle": "-"},
    "middle": {"color": style.GREY, "linestyle": "--"},
    "rare": {"color": style.VERMILLION, "linestyle": "-."},
}
# Row of panels -> label and mark.
PANELS = {"x": ("by bin of x", "o"), "y": ("by bin of y", "s"), "rare": ("rare, by bin of the other", "D")}


def select(results: Results) -> pd.DataFrame:
    """Use of labels and accuracy by frequency bin: skewed datasets first, then their controls."""
    pairs = {f"x={x},y={y}": (x, y) for x in (*BINS, ALL) for y in (*BINS, ALL)}
    use = rows.measured(results, "use", "factor", "t", "bin", bin=list(pairs))
    use = use[use["step"] > 0].assign(quantity="use_" + use["factor"].astype(str))
    use = at_timesteps(use, usual_timesteps(use))
    names = _in_order(results, set(use["dataset"]))
    if not names:
        return pd.DataFrame(columns=list(COLUMNS))
    correct = rows.measured(results, "share_correct", "bin", split="seen", bin=list(pairs)).assign(
        quantity=CORRECT, t=-1
    )
    correct = correct[correct["step"] == correct.groupby("dataset")["step"].transform("max")]
    found = pd.concat([use, correct], ignore_index=True)
    found = found[found["dataset"].isin(names)]
    found = found.assign(place=found["dataset"].map(names.index), pair=found["bin"].map(pairs))
    about = rows.by_dataset(results).loc[names]
    lattices = {name: in_words(results.of_dataset(name)) for name in names}
    found = found.assign(
        lattice=found["dataset"].map(lattices),
        reference=found["dataset"].map(about["reference"]),
        role=found["dataset"].map(about["skew_axis"]),
    )
    shown = pd.concat([_of_panel(found, panel) for panel in PANELS])
    return shown.sort_values("place", kind="stable", ignore_index=True)[[*COLUMNS]]


def _of_panel(found: pd.DataFrame, panel: str) -> pd.DataFrame:
    """The rows of one row of panels: by the bin of one axis, or at rare positions by the bin of the other axis."""
    rare_y = found["role"] == "y"
    x, y = found["pair"].str[0], found["pair"].str[1]
    if panel == "rare":
        bins, fixed = y.where(~rare_y, x), x.where(~rare_y, y) == "rare"
        used = rare_y.map({True: "use_y", False: "use_x"})
    else:
        bins, fixed = (x, y == ALL) if panel == "x" else (y, x == ALL)
        used = pd.Series(f"use_{panel}", found.index)
    chosen = fixed & bins.isin(BINS) & ((found["quantity"] == CORRECT) | (found["quantity"] == used))
    return found.assign(panel=panel, bin=bins)[chosen]


def _in_order(results: Results, probed: set[str]) -> list[str]:
    """Datasets to show: skewed on one axis, skewed on both, the controls without skew; references after each."""
    about = rows.by_dataset(results)
    kinds, references = about["skew_axis"].to_dict(), about["reference"].to_dict()
    if results.has("coupling"):
        table = results.coupling
        compared = first_of_pairs(table[table["kind"].isin(("frequency", "both"))]).drop_duplicates("dataset")
        balanced = table[table["dataset"].isin(compared["dataset"]) & (table["nulls"] != ONE_DIMENSIONAL)]
        controls = [name for column in ("null_x", "null_y", "matched") for name in balanced[column].dropna()]
        controls += list(compared["matched"].dropna())
        names = [*compared["dataset"], *controls]
    else:
        names = [name for name, kind in kinds.items() if kind != "none"]
    names = [str(name) for name in dict.fromkeys(names) if name in probed]
    order = {"x": 0, "y": 0, "both": 1, "none": 2}
    names.sort(key=lambda name: (references[name] != "none", order[kinds[name]]))
    return names if any(kinds[name] != "none" for name in names) else []


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """Use of labels and accuracy by frequency bin: a column per dataset."""
    if data.empty:
        return style.without_data(NOTHING)
    names, note = rows.first(data["dataset"], LIMIT, "datasets")
    figure = Figure(figsize=(WIDTH, 6.9), layout="constrained")
    grid = figure.subplots(4, len(names), squeeze=False, sharey="row")
    steps = data.loc[data["quantity"] != CORRECT, "step"].to_numpy()
    for name, column in zip(names, grid.T, strict=True):
        own = data[data["dataset"] == name]
        for panel, what in zip(column, PANELS, strict=False):
            curves = own[(own["panel"] == what) & (own["quantity"] != CORRECT)]
            panel.axhline(LEVEL, **style.LEVEL)
            marks.curves(panel, curves, "bin", LOOKS, WIDTHS)
            if curves.empty:
                marks.note(panel, "no such bin", y=0.6)
            style.log_step_axis(panel, steps, label=what == "rare")
            panel.tick_params(labelbottom=what == "rare")
        rare, other = _axes(own)
        column[2].set_title(f"{rare} at rare {rare}, by {other}", fontsize=style.FONT_SIZE)
        _accuracy(column[3], own[own["quantity"] == CORRECT])
        times = data.loc[data["quantity"] != CORRECT, "t"]
        column[0].set_title(_title(own, len(names), times.nunique() > 1), fontsize=style.FONT_SIZE)
    labels = ("use of x, by bin of x", "use of y, by bin of y", "use at rare positions", "correct at the end")
    for panel, label in zip(grid[:, 0], labels, strict=True):
        panel.set_ylabel(label)
    looks = {name: {**look, "linewidth": WIDTHS[name]} for name, look in LOOKS.items()}
    looks |= {text: marks.mark({"color": style.BLACK, "marker": marker}) for text, marker in PANELS.values()}
    marks.look_legend(figure, looks, ncols=6, handlelength=2.6, columnspacing=1.2)
    style.heading(figure, note)
    return figure


def _axes(own: pd.DataFrame) -> tuple[str, str]:
    """The axis whose rare positions are shown by the bin of the other axis, and the other axis."""
    return ("y", "x") if own["role"].iloc[0] == "y" else ("x", "y")


def _title(own: pd.DataFrame, count: int, with_t: bool) -> str:
    name, lattice, reference, role = own[["dataset", "lattice", "reference", "role"]].iloc[0]
    words = (
        f"{'' if reference == 'none' else f'{reference} reference, '}{'control, ' if role == 'none' else ''}{lattice}"
    )
    if with_t:
        words += f"; t = {own.loc[own['quantity'] != CORRECT, 't'].iloc[0]}"
    room = {1: 30, 2: 30, 3: 30, 4: 21}.get(count, 17)
    return f"{style.shortened(name, room)}\n{style.wrapped(words, (WIDTH * 72 - 40) / max(count, 2) - 12)}"


def _accuracy(axes: Axes, correct: pd.DataFrame) -> None:
    """The share of correct images by bin: means with intervals, and a dot per seed."""
    if correct.empty:
        marks.note(axes, "not measured")
    else:
        black = dict.fromkeys(PANELS, style.BLACK)
        common: dict[str, Any] = {"data": correct, "x": "bin", "y": "value", "hue": "panel", "order": BINS}
        common |= {"hue_order": list(PANELS), "palette": black, "legend": False, "ax": axes}
        if correct["run"].nunique() > 1:
            seeds = common | {"palette": dict.fromkeys(PANELS, style.GREY)}
            sns.stripplot(**seeds, dodge=True, jitter=False, size=3.4, zorder=1)
        sns.pointplot(
            **common, dodge=0.53, errorbar=_interval, linestyle="", markersize=3.5, err_kws={"linewidth": 1.0},
            markers=[marker for _, marker in PANELS.values()],
        )  # fmt: skip
    axes.set_xticks(range(len(BINS)), BINS)
    axes.set(xlim=(-0.6, len(BINS) - 0.4), ylim=(-0.04, 1.08), xlabel="", ylabel="")


def _interval(values: pd.Series) -> tuple[float, float]:
    """95% Student t interval of a share."""
    low, high = np.clip(t_interval(values.to_numpy())[1:], 0, 1)
    return float(low), float(high)


def finding(data: pd.DataFrame) -> str:
    """When each label is obeyed at common and at rare positions in each dataset, as a sentence."""
    if data.empty:
        return NOTHING
    parts = []
    for name, own in data[data["quantity"] != CORRECT].groupby("dataset", sort=False):
        rare, other = _axes(own)
        times = {
            (panel, kind): half_time_in_words(own[(own["panel"] == panel) & (own["bin"] == kind)])
            for panel in PANELS
            for kind in BINS
        }
        by_bin = ", ".join(f"{kind} {times[rare, kind]}" for kind in BINS)
        crossed = f"common {other} {times['rare', 'common']}, rare {other} {times['rare', 'rare']}"
        parts.append(f"{name}, {rare} at {by_bin}, rare {rare} with {crossed}")
    return f"Step at which the use of a label reaches one half, geometric mean over seeds: {rows.listed(parts, 1)}."

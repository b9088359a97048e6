"""Labels at common and at rare positions: does a common y help a rare x?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bumpscope.judge.controls import first_of_pairs, in_words
from bumpscope.judge.coupling import EFFECTS, effect_timestep
from bumpscope.judge.intervals import t_interval
from bumpscope.judge.learning_curves import half_time_in_words, middle
from bumpscope.judge.onsets import LEVEL
from bumpscope.probe.frequency import ALL
from bumpscope.show import marks, style
from bumpscope.store.results import Results
from bumpscope.worlds.bumps import BINS

CAPTION = (
    "Use of a label at one diffusion timestep t: by how much a wrong label makes the estimate of the clean image "
    "worse, over how much it would for a model that draws what it is told (0: the label is not looked at, 1: obeyed). "
    "Positions of each axis are parted into common, middle and rare ones, a third of the ranks each; where an axis is "
    "not skewed these are the same positions, equally frequent: a control. First row: use of x by the bin of x; "
    "second: use of y by the bin of y; third: use of x at rare x, apart by the bin of y (y and x swapped where y "
    "alone is skewed). If a common y helped a rare x, its curve would rise first where both axes are skewed; where y "
    "is not skewed all its bins are alike. Last row: share of images right at the last checkpoint, at seen centres, "
    "by bin, with 95% Student t intervals over seeds, cut at 0 and 1, and a dot for each seed. Thick lines: mean over "
    "seeds; thin lines: each seed. Of a dataset and the one with its axes swapped only the first is shown."
)
TOPIC = "Imbalance"
WIDTH = style.DOUBLE
LIMIT = 5
NONE = "No skewed dataset has been probed at common and rare positions (probe.frequency_bins)."
COLUMNS = ["dataset", "reference", "role", "run", "seed", "step", "t", "quantity", "bin_x", "bin_y", "value"]
# Curves that coincide lie on top of each other: the later the thinner, so that all are seen.
WIDTHS = {"common": 2.4, "middle": 1.6, "rare": 1.0}
LOOKS: dict[str, style.Look] = {
    "common": {"color": style.BLUE, "linestyle": "-"},
    "middle": {"color": style.GREY, "linestyle": "--"},
    "rare": {"color": style.VERMILLION, "linestyle": "-."},
}
# What the four rows show.
BY_X, BY_Y, CROSSED, ACCURACY = "use by x", "use by y", "use at rare", "correct"
CORRECT = "correct"
MARKERS = {BY_X: "o", BY_Y: "s", CROSSED: "D"}


@style.apply()
def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """Use of labels and accuracy by frequency bin: a column a dataset, skewed ones first, then their controls.

    Returns:
        The figure, and columns dataset, reference, role (x, y, both or none: which axes are skewed), run, seed, step, t
        (-1 for the accuracy), quantity (use_x, use_y or correct), bin_x, bin_y, value.
    """
    data = _measured(results)
    if data.empty:
        return style.without_data(NONE), data
    data, names, note = style.of_first(data, LIMIT, "datasets")
    figure = Figure(figsize=(WIDTH, 6.9), layout="constrained")
    grid = figure.subplots(4, len(names), squeeze=False, sharey="row")
    use = data[data["quantity"] != CORRECT]
    for column, name in enumerate(names):
        own = data[data["dataset"] == name]
        rare = _rare_axis(own)
        for row, what in enumerate((BY_X, BY_Y, CROSSED)):
            panel = grid[row, column]
            _curves(panel, own, what)
            style.log_step_axis(panel, use["step"].to_numpy(), label=row == 2)
            panel.tick_params(labelbottom=row == 2)
        other = "y" if rare == "x" else "x"
        grid[2, column].set_title(f"{rare} at rare {rare}, by {other}", fontsize=style.FONT_SIZE)
        _accuracy(grid[3, column], own)
        room = 30 if len(names) < 4 else 21 if len(names) == 4 else 17
        words = style.wrapped(
            _kind(own, in_words(results.of_dataset(name))), (WIDTH * 72 - 40) / max(len(names), 2) - 12
        )
        grid[0, column].set_title(f"{style.shortened(name, room)}\n{words}", fontsize=style.FONT_SIZE)
    labels = ("use of x, by bin of x", "use of y, by bin of y", "use at rare positions", "correct at the end")
    for panel, label in zip(grid[:, 0], labels, strict=True):
        panel.set_ylabel(label)
    handles = [Line2D([], [], linewidth=WIDTHS[name], **LOOKS[name]) for name in BINS]
    handles += [Line2D([], [], linestyle="", marker=marker, markersize=4, color="black") for marker in MARKERS.values()]
    texts = [*BINS, "by bin of x", "by bin of y", "rare, by bin of the other"]
    figure.legend(handles, texts, loc="outside lower left", ncols=6, handlelength=2.6, columnspacing=1.2)
    style.heading(figure, finding(data), note)
    return figure, data


def _kind(own: pd.DataFrame, words: str) -> str:
    reference = own["reference"].iloc[0]
    control = "control, " if own["role"].iloc[0] == "none" else ""
    return f"{'' if reference == 'none' else f'{reference} reference, '}{control}{words}"


def _rare_axis(own: pd.DataFrame) -> str:
    """The axis whose rare positions are told apart by the other axis."""
    return "y" if own["role"].iloc[0] == "y" else "x"


def _measured(results: Results) -> pd.DataFrame:
    rows = results.select("{quantity}/t={t}/ema/x={bin_x},y={bin_y}")
    rows = rows[rows["quantity"].isin(["use_x", "use_y"]) & (rows["step"] > 0)]
    names = _in_order(results, set(rows["dataset"]))
    if not names:
        return pd.DataFrame(columns=COLUMNS)
    times = set(rows["t"])
    shared = effect_timestep(results.metrics_like(EFFECTS))
    t = shared if shared in times else middle(times)
    correct = results.select("outcome/correct/seen/x={bin_x},y={bin_y}").assign(quantity=CORRECT, t=-1)
    correct = correct[correct["step"] == correct.groupby("dataset")["step"].transform("max")]
    found = pd.concat([rows[rows["t"] == t], correct], ignore_index=True)
    first = results.by_dataset
    found = found[found["dataset"].isin(names)]
    found = found.assign(
        reference=found["dataset"].map(first["reference"]), role=found["dataset"].map(first["skew_axis"])
    )
    place = found["dataset"].map({name: place for place, name in enumerate(names)})
    found = found.assign(place=place).sort_values("place", kind="stable", ignore_index=True)[COLUMNS]
    return found[_drawn(found)].reset_index(drop=True)


def _drawn(data: pd.DataFrame) -> pd.Series:
    """Which rows a panel shows: of all pairs of bins those of one axis alone, and those at rare positions."""
    x, y, used = data["bin_x"], data["bin_y"], data["quantity"]
    by_x, by_y = (y == ALL) & x.isin(BINS), (x == ALL) & y.isin(BINS)
    rare_y = data["role"] == "y"
    crossed = (rare_y & (y == "rare") & x.isin(BINS)) | (~rare_y & (x == "rare") & y.isin(BINS))
    crossed &= (used == CORRECT) | (used == rare_y.map({True: "use_y", False: "use_x"}))
    return (by_x & (used != "use_y")) | (by_y & (used != "use_x")) | crossed


def _in_order(results: Results, probed: set[str]) -> list[str]:
    """Datasets to show: skewed on one axis, skewed on both, the controls without skew; references after each."""
    first = results.by_dataset
    table = results.coupling
    if table is None:
        skewed = list(first.index[first["skew_axis"].isin(["x", "y"])])
        others = list(first.index[first["skew_axis"] == "both"])
    else:
        compared = first_of_pairs(table[table["kind"] != "lattice"]).drop_duplicates("dataset")
        skewed = list(compared["dataset"])
        others = [name for column in ("null_x", "null_y", "matched") for name in compared[column].dropna()]
    names = [str(name) for name in dict.fromkeys([*skewed, *others]) if name in probed]
    order = {"x": 0, "y": 0, "both": 1, "none": 2}
    kinds, references = first["skew_axis"].to_dict(), first["reference"].to_dict()
    names.sort(key=lambda name: (references[name] != "none", order[kinds[name]]))
    return names if any(kinds[name] != "none" for name in names) else []


def _chosen(own: pd.DataFrame, what: str, name: str, quantity: str | None = None) -> pd.DataFrame:
    """The rows of one bin: of x, of y, or of the other axis at rare positions."""
    rare = _rare_axis(own)
    used = "y" if what == BY_Y or (what == CROSSED and rare == "y") else "x"
    wanted = {BY_X: (name, ALL), BY_Y: (ALL, name), CROSSED: ("rare", name) if rare == "x" else (name, "rare")}[what]
    rows = own[own["quantity"] == (quantity or f"use_{used}")]
    return rows[(rows["bin_x"] == wanted[0]) & (rows["bin_y"] == wanted[1])]


def _curves(axes: Axes, own: pd.DataFrame, what: str) -> None:
    axes.axhline(LEVEL, color=style.BLACK, linewidth=0.7, linestyle=(0, (6, 3)), zorder=1)
    empty = True
    for name in BINS:
        rows = _chosen(own, what, name)
        marks.seed_lines(axes, rows, LOOKS[name], WIDTHS[name])
        empty &= rows.empty
    if empty:
        axes.text(0.5, 0.6, "no such bin", transform=axes.transAxes, ha="center", color=style.GREY)


def _accuracy(axes: Axes, own: pd.DataFrame) -> None:
    correct = own[own["quantity"] == CORRECT]
    for number, (what, marker) in enumerate(MARKERS.items()):
        for place, name in enumerate(BINS):
            values = _chosen(correct, what, name, CORRECT)["value"].to_numpy(dtype=float)
            if len(values) == 0:
                continue
            x, colour = place + 0.24 * (number - 1), LOOKS[name]["color"]
            mean, low, high = t_interval(values)
            if len(values) > 1:
                dots = {"s": 3, "color": colour, "alpha": 0.5, "linewidths": 0}
                axes.scatter(np.full(len(values), x + 0.09), values, **dots)
                axes.plot([x, x], np.clip([low, high], 0, 1), color=colour, linewidth=1.0)
            axes.plot([x], [mean], marker=marker, color=colour, markersize=3.5)
    if correct.empty:
        axes.text(1, 0.5, "not measured", ha="center", color=style.GREY)
    axes.set_xticks(range(len(BINS)), BINS)
    axes.set_xlim(-0.6, len(BINS) - 0.4)
    axes.set_ylim(-0.04, 1.08)


def finding(data: pd.DataFrame) -> str:
    """When each label is obeyed at common and at rare positions in each dataset, as a sentence."""
    if data.empty:
        return NONE
    parts = []
    for name, own in data.groupby("dataset", sort=False):
        rare = _rare_axis(own)
        other = "y" if rare == "x" else "x"
        along = BY_Y if rare == "y" else BY_X
        by_bin = ", ".join(f"{kind} {half_time_in_words(_chosen(own, along, kind))}" for kind in BINS)
        crossed = [half_time_in_words(_chosen(own, CROSSED, kind)) for kind in ("common", "rare")]
        parts.append(
            f"{name}: {rare} at {by_bin}; rare {rare} with common {other} {crossed[0]}, with rare {other} {crossed[1]}"
        )
    text = "Step at which the use of a label reaches one half, geometric mean over seeds"
    return f"{text}. {'. '.join(parts[:3])}" + (f". And {len(parts) - 3} more datasets." if len(parts) > 3 else ".")

"""How x and y are learnt where the data favour one of them, beside datasets that favour neither."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bumpscope.judge.controls import first_of_pairs, in_words
from bumpscope.judge.coupling import EFFECTS, effect_timestep
from bumpscope.judge.learning_curves import half_time_in_words
from bumpscope.judge.onsets import LEVEL
from bumpscope.show import marks, style
from bumpscope.store.results import Results

CAPTION = (
    "Use of the x label and of the y label by the averaged weights, at one diffusion timestep t (0: none, 1: like the "
    "Bayes-optimal denoiser that knows it), in each dataset with unequal spacing or with one axis skewed. Pale lines "
    "behind: the x curve of the balanced dataset that stands for x and the y curve of the one that stands for y, "
    "which is where the curves would lie if each axis were learnt at its own pace. Thick lines: mean over seeds; thin "
    "lines: each seed. Times are compared at one half (dashed line). The axis is logarithmic, so the untrained "
    "network is not shown; of a dataset and the one with its axes swapped only the first is. Reference models, whose "
    "coupling is known by construction, come last."
)
TOPIC = "Imbalance"
WIDTH = style.DOUBLE
LIMIT = 9
NONE = "No imbalanced dataset has learning curves of x and y."
COLUMNS = ["dataset", "reference", "source", "role", "axis", "run", "seed", "step", "t", "value"]
LOOKS: dict[str, style.Look] = {
    "x": {"color": style.BLUE, "linestyle": "-"},
    "y": {"color": style.ORANGE, "linestyle": "--"},
}
MUTED: dict[str, style.Look] = {
    "x": {"color": style.PALE_BLUE, "linestyle": "-", "marker": "", "zorder": 1.5},
    "y": {"color": style.PALE_ORANGE, "linestyle": "--", "marker": "", "zorder": 1.5},
}


@style.apply()
def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """Learning curves of x and y with those of the nulls, a panel an imbalanced dataset.

    Returns:
        The figure, and columns dataset (the imbalanced one), reference, source (the dataset whose curve it is), role
        (own or balanced), axis, run, seed, step, t, value.
    """
    data = _curves(results)
    if data.empty:
        return style.without_data(NONE), data
    data, names, note = style.of_first(data, LIMIT, "imbalanced datasets")
    figure, axes = style.panels(len(names), 3, 1.75, WIDTH, sharex=True, sharey=True)
    for number, (panel, name) in enumerate(zip(axes, names, strict=True)):
        own = data[data["dataset"] == name]
        _panel(panel, own)
        reference = own["reference"].iloc[0]
        kind = "" if reference == "none" else f"{reference} reference; "
        panel.set_title(f"{style.shortened(name, 30)}\n{kind}{in_words(results.of_dataset(name))}")
        panel.label_outer()
        below = number + min(len(names), 3) >= len(names)  # nothing beneath it
        panel.tick_params(labelbottom=below)
        style.log_step_axis(panel, data["step"].to_numpy(), label=below)
        if style.is_first_column(panel):
            panel.set_ylabel(f"effect at t = {data['t'].iloc[0]}")
    handles = [Line2D([], [], **look) for looks in (LOOKS, MUTED) for look in looks.values()]
    labels = ["x", "y", "x of its null", "y of its null"]
    figure.legend(handles, labels, loc="outside lower left", ncols=4, handlelength=3)
    style.heading(figure, finding(data), note)
    return figure, data


def _curves(results: Results) -> pd.DataFrame:
    table, t = results.coupling, effect_timestep(results.metrics_like(EFFECTS))
    if table is None or t is None:
        return pd.DataFrame(columns=COLUMNS)
    effects = results.select("effect_{axis}/t={t}/ema")
    effects = effects[(effects["t"] == t) & effects["axis"].isin(list(LOOKS)) & (effects["step"] > 0)]
    compared = first_of_pairs(table).drop_duplicates("dataset")
    compared = compared.sort_values("reference", key=lambda kinds: kinds != "none", kind="stable")
    parts = []
    for row in compared.to_dict("records"):
        own = [(axis, row["dataset"], "own") for axis in LOOKS]
        if not effects["dataset"].eq(row["dataset"]).any():
            continue
        for axis, source, role in [*own, ("x", row["null_x"], "balanced"), ("y", row["null_y"], "balanced")]:
            rows = effects[(effects["dataset"] == source) & (effects["axis"] == axis)]
            names = {"dataset": row["dataset"], "reference": row["reference"], "role": role}
            parts.append(rows.rename(columns={"dataset": "source"}).assign(**names))
    return pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)


def _panel(axes: Axes, own: pd.DataFrame) -> None:
    axes.axhline(LEVEL, color=style.BLACK, linewidth=0.7, linestyle=(0, (6, 3)), zorder=1)
    missing = []
    for axis in LOOKS:
        null = own[(own["role"] == "balanced") & (own["axis"] == axis)]
        marks.seed_lines(axes, null, MUTED[axis], 2.4)
        missing += [axis] if null.empty else []
    for axis, look in LOOKS.items():
        marks.seed_lines(axes, own[(own["role"] == "own") & (own["axis"] == axis)], look)
    if missing:
        text = f"no null for {' and '.join(missing)}"
        axes.text(
            0.98, 0.04, text, transform=axes.transAxes, ha="right", color=style.GREY, fontsize=style.FONT_SIZE - 1
        )


def finding(data: pd.DataFrame) -> str:
    """When x and y reach one half in each dataset and in its nulls, as a sentence."""
    if data.empty:
        return NONE
    parts = []
    for name, own in data.groupby("dataset", sort=False):
        texts = [f"{axis} {half_time_in_words(rows)}" for axis, rows in own[own["role"] == "own"].groupby("axis")]
        nulls = [f"{axis} {half_time_in_words(rows)}" for axis, rows in own[own["role"] == "balanced"].groupby("axis")]
        reference = own["reference"].iloc[0]
        kind = "" if reference == "none" else f" ({reference} reference)"
        parts.append(f"{name}{kind}: {', '.join(texts)}" + (f" (nulls: {', '.join(nulls)})" if nulls else ""))
    return f"Step at which an effect reaches one half, geometric mean over seeds: {style.listed(parts, 3)}."

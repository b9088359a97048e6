"""How x and y are learnt where the data favour one of them."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bumpscope.judge.controls import IMBALANCES, first_of_pairs, in_words, judged
from bumpscope.judge.learning_curves import half_time_in_words
from bumpscope.judge.onsets import RESOLUTION, RESOLUTION_LEVEL
from bumpscope.show import marks, rows, style
from bumpscope.store.results import Results

CAPTION = (
    "How well the x and the y label are known in imbalanced datasets, px, at one timestep t; up is better. Pale: x "
    "and y of their nulls, each axis' pace if learnt alone. Thick: mean over seeds; thin: each seed. Dashed: 3 px, "
    "where times are compared. Reference models come last; of swapped pairs the first is shown."
)
TOPIC = "Imbalance"
WIDTH = style.DOUBLE
READS = ("metrics", "coupling", "runs")
COLUMNS = {
    "dataset": "",
    "lattice": "spacing and skew in words",
    "reference": "none, or a model of known coupling",
    "source": "the dataset whose curve it is",
    "role": "own or nulls",  # not null, which readers of CSV take for an empty cell
    "axis": "x or y",
    "run": "",
    "seed": "",
    "step": "",
    "t": "",
    "value": "resolution, px",
}
TEXT = ("source",)  # a name also where it looks like a number
NOTHING = "No imbalanced dataset has learning curves of x and y."
LIMIT = 9
OWN: dict[str, style.Look] = {
    "x": {"color": style.BLUE, "linestyle": "-"},
    "y": {"color": style.ORANGE, "linestyle": "--"},
}
NULL: dict[str, style.Look] = {
    "x": {"color": style.PALE_BLUE, "linestyle": "-"},
    "y": {"color": style.PALE_ORANGE, "linestyle": "--"},
}


def select(results: Results) -> pd.DataFrame:
    """Resolution of each imbalanced dataset and of its two nulls, after step 0."""
    known = rows.measured(results, RESOLUTION, "factor", "t", factor=list(OWN), bin=None)
    if known.empty or not results.has("coupling"):
        return pd.DataFrame(columns=list(COLUMNS))
    known = known[known["step"] > 0].rename(columns={"factor": "axis"})
    compared = judged(first_of_pairs(results.table("coupling", measure=RESOLUTION))).dropna(subset="t")
    compared = compared[compared["dataset"].isin(known["dataset"]) & compared["kind"].isin(IMBALANCES)]
    compared = compared.sort_values("reference", key=lambda kinds: kinds != "none", kind="stable")
    parts = [pd.DataFrame(columns=list(COLUMNS))]
    for row in compared.to_dict("records"):
        name = str(row["dataset"])
        about = {"dataset": name, "lattice": in_words(results.of_dataset(name)), "reference": row["reference"]}
        own = [(axis, name, "own") for axis in OWN]
        for axis, source, role in [*own, ("x", row["null_x"], "nulls"), ("y", row["null_y"], "nulls")]:
            found = known[(known["dataset"] == source) & (known["axis"] == axis) & (known["t"] == row["t"])]
            parts.append(found.rename(columns={"dataset": "source"}).assign(role=role, **about)[[*COLUMNS]])
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """Learning curves of x and y over those of their nulls, a panel an imbalanced dataset."""
    if data.empty:
        return style.without_data(NOTHING)
    names, note = rows.first(data["dataset"], LIMIT, "imbalanced datasets")
    figure, axes = style.panels(len(names), 3, 1.75, WIDTH, sharex=True, sharey=True)
    for number, (panel, name) in enumerate(zip(axes, names, strict=True)):
        own = data[data["dataset"] == name]
        panel.axhline(RESOLUTION_LEVEL, **style.LEVEL)
        null = own[own["role"] == "nulls"]
        marks.curves(panel, null, "axis", NULL, 2.4, marker="", zorder=1.5)
        marks.curves(panel, own[own["role"] == "own"], "axis", OWN)
        missing = [axis for axis in OWN if not (null["axis"] == axis).any()]
        if missing:
            marks.note(panel, f"no null for {' and '.join(missing)}", 0.98, 0.04, ha="right", va="bottom", fontsize=7)
        reference, lattice = own[["reference", "lattice"]].iloc[0]
        kind = "" if reference == "none" else f"{reference} reference\n"
        panel.set_title(f"{style.shortened(name, 30)}\n{kind}{lattice}")
        below = number + min(len(names), 3) >= len(names)  # nothing beneath it
        style.log_step_axis(panel, data["step"].to_numpy(), label=below)
        panel.tick_params(labelbottom=below)
        labelled = style.is_first_column(panel) or data["t"].nunique() > 1
        panel.set_ylabel(f"resolution, px, t = {own['t'].iloc[0]}" if labelled else "")
    # Small numbers, which are good, are up; the axes are shared.
    axes[0].set_yscale("log")
    axes[0].set_ylim(data["value"].max() * 1.2, data["value"].min() / 1.2)
    style.plain_logarithm(axes[0].yaxis)
    looks = OWN | {f"{axis} of its null": look for axis, look in NULL.items()}
    marks.look_legend(figure, looks, ncols=4, handlelength=3)
    style.heading(figure, note)
    return figure


def finding(data: pd.DataFrame) -> str:
    """When x and y reach the level in each dataset and in its nulls, as a sentence."""
    if data.empty:
        return NOTHING
    parts = []
    for name, own in data.groupby("dataset", sort=False):
        reference = own["reference"].iloc[0]
        text = f"{name}{'' if reference == 'none' else f' ({reference} reference)'}: {_times(own, 'own')}"
        nulls = _times(own, "nulls")
        parts.append(f"{text} (nulls: {nulls})" if nulls else text)
    level = f"{RESOLUTION_LEVEL:g} px"
    return f"Step at which the resolution reaches {level}, geometric mean over seeds: {rows.listed(parts, 2)}."


def _times(own: pd.DataFrame, role: str) -> str:
    of_role = own[own["role"] == role]
    return ", ".join(f"{axis} {half_time_in_words(curve, RESOLUTION)}" for axis, curve in of_role.groupby("axis"))

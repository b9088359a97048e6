"""How two factors, such as x and y, are learnt where the data favour one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from bumpscope.judge.controls import IMBALANCES, first_of_pairs, in_words, judged, lattice_of
from bumpscope.judge.learning_curves import half_time_in_words
from bumpscope.judge.onsets import RESOLUTION, RESOLUTION_LEVEL
from bumpscope.judge.unlike import levels
from bumpscope.show import marks, rows, style
from bumpscope.store.names import two_of
from bumpscope.store.results import Results
from bumpscope.worlds.named import world_of

CAPTION = (
    "How well two labels, such as x and y, are known where coupling is judged, at one timestep t; up is better. "
    "Pale: the same of their nulls, each one's pace if learnt alone. Thick: mean over seeds; thin: each seed. "
    "Dashed: the level at which times are compared. Reference models come last; of swapped pairs the first is shown."
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
    "pair": "the two factors",
    "axis": "which of them",
    "run": "",
    "seed": "",
    "step": "",
    "t": "",
    "value": "resolution, px, or ln of a logarithmic factor",
    "compared_at": "resolution at which times are compared",
}
TEXT = ("source",)  # a name also where it looks like a number
NOTHING = "No imbalanced dataset has learning curves of two factors."
LIMIT = 9
# Of the factors, the first, the second and a third.
OWN: tuple[style.Look, ...] = (
    {"color": style.BLUE, "linestyle": "-"},
    {"color": style.ORANGE, "linestyle": "--"},
    {"color": style.GREEN, "linestyle": "-."},
)
NULL: tuple[style.Look, ...] = (
    {"color": style.PALE_BLUE, "linestyle": "-"},
    {"color": style.PALE_ORANGE, "linestyle": "--"},
    {"color": style.PALE_GREEN, "linestyle": "-."},
)


def select(results: Results) -> pd.DataFrame:
    """Resolution of each imbalanced dataset and of its two nulls, after step 0."""
    known = rows.measured(results, RESOLUTION, "factor", "t", bin=None)
    if known.empty or not results.has("coupling"):
        return pd.DataFrame(columns=list(COLUMNS))
    known = known[known["step"] > 0].rename(columns={"factor": "axis"})
    compared = judged(first_of_pairs(results.table("coupling", measure=RESOLUTION))).dropna(subset="t")
    compared = compared[compared["dataset"].isin(known["dataset"])]
    compared = compared.sort_values("reference", key=lambda kinds: kinds != "none", kind="stable")
    parts = [pd.DataFrame(columns=list(COLUMNS))]
    for row in compared.to_dict("records"):
        name = str(row["dataset"])
        run = results.of_dataset(name)
        pair, level = _compared(str(row["kind"]), run)
        about = {"dataset": name, "lattice": in_words(run), "reference": row["reference"], "pair": " and ".join(pair)}
        nulls = zip(pair, (row["null_x"], row["null_y"]), strict=True)
        for axis, source, role in [*((axis, name, "own") for axis in pair), *((*null, "nulls") for null in nulls)]:
            found = known[(known["dataset"] == source) & (known["axis"] == axis) & (known["t"] == row["t"])]
            found = found.rename(columns={"dataset": "source"}).assign(role=role, compared_at=level[axis], **about)
            parts.append(found[[*COLUMNS]])
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def _compared(kind: str, run: Mapping[Any, Any]) -> tuple[tuple[str, str], dict[str, float]]:
    """The two factors of a kind of imbalance, and the level of each."""
    if kind in IMBALANCES:
        return ("x", "y"), dict.fromkeys("xy", RESOLUTION_LEVEL)
    return two_of(kind), levels(world_of(lattice_of(run)))


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """Learning curves of two factors over those of their nulls, a panel a dataset and pair of factors.

    Where levels differ, curves are drawn in units of their level.
    """
    if data.empty:
        return style.without_data(NOTHING)
    data = data.assign(panel=data["dataset"] + "\n" + data["pair"])
    one_pair = data["pair"].nunique() == 1
    panels, note = rows.first(data["panel"], LIMIT, "imbalanced datasets" if one_pair else "pairs of factors")
    alike = data["compared_at"].nunique() == 1
    data = data if alike else data.assign(value=data["value"] / data["compared_at"])
    figure, axes = style.panels(len(panels), 3, 1.75, WIDTH, sharex=True, sharey=True)
    factors = list(dict.fromkeys(name for pair in data["pair"].unique() for name in pair.split(" and ")))
    looks, pale = (dict(zip(factors, itertools.cycle(each), strict=False)) for each in (OWN, NULL))
    for number, (panel, name) in enumerate(zip(axes, panels, strict=True)):
        own = data[data["panel"] == name]
        pair = own["pair"].iloc[0].split(" and ")
        panel.axhline(own["compared_at"].iloc[0] if alike else 1.0, **style.LEVEL)
        null = own[own["role"] == "nulls"]
        marks.curves(panel, null, "axis", pale, 2.4, marker="", zorder=1.5)
        marks.curves(panel, own[own["role"] == "own"], "axis", looks)
        missing = [axis for axis in pair if not (null["axis"] == axis).any()]
        if missing:
            marks.note(panel, f"no null for {' and '.join(missing)}", 0.98, 0.04, ha="right", va="bottom", fontsize=7)
        reference, lattice, dataset = own[["reference", "lattice", "dataset"]].iloc[0]
        about = style.shortened(dataset, 30) + ("" if one_pair else f", {' and '.join(pair)}")
        kind = "" if reference == "none" else f"{reference} reference\n"
        panel.set_title(f"{about}\n{kind}{lattice}")
        below = number + min(len(panels), 3) >= len(panels)  # nothing beneath it
        style.log_step_axis(panel, data["step"].to_numpy(), label=below)
        panel.tick_params(labelbottom=below)
        labelled = style.is_first_column(panel) or data["t"].nunique() > 1
        unit = "px" if alike else "of its level"
        panel.set_ylabel(f"resolution, {unit}, t = {own['t'].iloc[0]}" if labelled else "")
    # Small numbers, which are good, are up; the axes are shared.
    axes[0].set_yscale("log")
    axes[0].set_ylim(data["value"].max() * 1.2, data["value"].min() / 1.2)
    style.plain_logarithm(axes[0].yaxis)
    entries = looks | {f"{factor} of its null": look for factor, look in pale.items()}
    marks.look_legend(figure, entries, ncols=4, handlelength=3)
    style.heading(figure, note)
    return figure


def finding(data: pd.DataFrame) -> str:
    """When both factors reach the level in each dataset and in its nulls, as a sentence."""
    if data.empty:
        return NOTHING
    parts = []
    for (name, pair), own in data.groupby(["dataset", "pair"], sort=False):
        reference = own["reference"].iloc[0]
        about = [] if pair == "x and y" else [str(pair)]
        about += [] if reference == "none" else [f"{reference} reference"]
        text = f"{name}{' (' + ', '.join(about) + ')' if about else ''}: {_times(own, 'own')}"
        nulls = _times(own, "nulls")
        parts.append(f"{text} (nulls: {nulls})" if nulls else text)
    level = f"{data['compared_at'].iloc[0]:g} px" if data["compared_at"].nunique() == 1 else "its level"
    return f"Step at which the resolution reaches {level}, geometric mean over seeds: {rows.listed(parts, 2)}."


def _times(own: pd.DataFrame, role: str) -> str:
    # Crossings are looked for at the level of x and y.
    of_role = own[own["role"] == role]
    of_role = of_role.assign(value=of_role["value"] / of_role["compared_at"] * RESOLUTION_LEVEL)
    return ", ".join(f"{axis} {half_time_in_words(curve, RESOLUTION)}" for axis, curve in of_role.groupby("axis"))

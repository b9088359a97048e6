"""Latent and behaviour phases of every run."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bumpscope.judge.histories import counted_without_return
from bumpscope.show import marks, rows, style
from bumpscope.store.results import Results

CAPTION = (
    "Verdicts at each checkpoint (ticks). Latents: A no structure, B a manifold in disorder, C an "
    "ordered one, blind: one in disorder would not be seen. Behaviour: A several bumps or none, B one in the wrong "
    "place, C one in the right place. ?: between these, as where latents are partly ordered."
)
TOPIC = "Phases"
WIDTH = style.DOUBLE
READS = ("phases", "runs")
COLUMNS = rows.CHECKPOINT | {"kind": "latent or behaviour", "phase": "A, B, C, ? or blind"}
NOTHING = "No run has phases."
LIMIT = 36
ROOMY = 0.26  # inches a run above which its strips have room for words
KINDS = {"latent_phase": "latent", "behaviour_phase": "behaviour"}


def select(results: Results) -> pd.DataFrame:
    """Both verdicts at every checkpoint of every run."""
    found = rows.of_each_run(results, "phases", ["step", *KINDS], judged=True)
    long = found.rename(columns=KINDS).melt([*rows.CHECKPOINT], list(KINDS.values()), "kind", "phase")
    order = {run: place for place, run in enumerate(found["run"].unique())}
    long = long.sort_values("run", key=lambda names: names.map(order), kind="stable", ignore_index=True)
    return long.fillna({"phase": "?"})[[*COLUMNS]]


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """Two strips per run, latent above behaviour."""
    if data.empty:
        return style.without_data(NOTHING)
    data, left_out = rows.over_training(data)
    names, note = rows.first(data["run"], LIMIT, "runs")
    per_run = float(np.clip((style.TALLEST - 1.4) / len(names), 0.21, 0.36))
    roomy = per_run >= ROOMY
    figure, (axes,) = style.panels(1, 1, 0.6 + per_run * len(names), WIDTH)
    drawn: list[tuple[float, float, float, str]] = []
    ticks = {}
    for row, name in enumerate(names):
        own = data[data["run"] == name].sort_values("step")
        for height, kind in ((row, "latent"), (row + 0.37, "behaviour")):
            strip = own[own["kind"] == kind]
            stretches = marks.phase_strip(axes, height, 0.35, strip["step"], strip["phase"])
            drawn += [(start, end, height, phase) for start, end, phase in stretches]
            ticks[height] = kind if roomy else ""
        axes.annotate(
            f"{own['dataset'].iloc[0]}, seed {own['seed'].iloc[0]}", (0, row + 0.18),
            (-46 if roomy else -4, 0),  # left of the names of the two strips
            xycoords=axes.get_yaxis_transform(), textcoords="offset points", ha="right", va="center",
        )  # fmt: skip
    axes.set_yticks(list(ticks), list(ticks.values()), fontsize=6.5)
    axes.set_ylim(len(names) - 0.4, -0.3)
    marks.strip_axes(axes, data.loc[data["run"].isin(names), "step"], drawn)
    if roomy:
        marks.name_stretches(axes, drawn)
    marks.phase_legend(figure)
    style.heading(figure, note, left_out)
    return figure


def finding(data: pd.DataFrame) -> str:
    """In how many runs the phases come in order, as a sentence."""
    if data.empty:
        return NOTHING
    of_kinds = {kind: counted_without_return(data[data["kind"] == kind]) for kind in KINDS.values()}
    counts = [f"{kind} phases in {count} runs" for kind, count in of_kinds.items()]
    return f"A, then B, then C with no return: {' and '.join(counts)}."

"""Latent and behaviour phases of every run."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bumpscope.judge.histories import without_return
from bumpscope.show import marks, style
from bumpscope.store.results import Results

CAPTION = (
    "Two verdicts at each checkpoint (ticks along the axis), made by rules that never see each other's evidence. "
    "Latent phase, from geometry: A no structure, B a two-dimensional manifold in disorder, C an ordered one. "
    "Behaviour phase, from outcomes: A several bumps or none, B one bump in the wrong place, C one bump in the "
    "right place. Of each run's two strips the upper one is latent. Hatched: no verdict. A verdict is drawn from "
    "halfway to the checkpoint before to halfway to the one after."
)
TOPIC = "Phases"
WIDTH = style.DOUBLE
LIMIT = 36
ROOMY = 0.26  # inches a run above which its strips have room for words
KINDS = {"latent_phase": "latent", "behaviour_phase": "behaviour"}


@style.apply()
def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """A strip a run and kind of phase, latent above behaviour.

    Returns:
        The figure, and columns run, dataset, seed, step, kind (latent or behaviour), phase.
    """
    available = {run.run: run for run in results.having("phases")}
    shown, note = style.capped(list(available), LIMIT, "runs")
    parts = []
    for run in map(available.__getitem__, shown):
        table = results.table(run.run, "phases", ["step", *KINDS])
        long = table.melt("step", var_name="kind", value_name="phase").replace({"kind": KINDS})
        parts.append(long.assign(run=run.run, dataset=run.dataset, seed=run.seed))
    columns = ["run", "dataset", "seed", "step", "kind", "phase"]
    if not parts:
        return style.without_data("No run has phases."), pd.DataFrame(columns=columns)
    data = pd.concat(parts, ignore_index=True)[columns].fillna({"phase": "?"})

    per_run = float(np.clip((style.TALLEST - 1.4) / len(shown), 0.21, 0.36))
    roomy = per_run >= ROOMY
    figure, (axes,) = style.panels(1, 1, 0.6 + per_run * len(shown), WIDTH)
    drawn: list[tuple[float, float, float, str]] = []
    for row, name in enumerate(shown):
        for offset, kind in enumerate(KINDS.values()):
            strip = data[(data["run"] == name) & (data["kind"] == kind)].sort_values("step")
            height = row + 0.37 * offset
            for start, end, phase in marks.phase_strip(axes, height, 0.35, strip["step"], strip["phase"]):
                drawn.append((start, end, height, phase))
        axes.annotate(
            f"{available[name].dataset}, seed {available[name].seed}",
            (0, row + 0.18),
            (-46 if roomy else -4, 0),  # left of the names of the two strips
            xycoords=axes.get_yaxis_transform(),
            textcoords="offset points",
            ha="right",
            va="center",
        )
    places = [row + 0.37 * offset for row in range(len(shown)) for offset in (0, 1)]
    axes.set_yticks(places, list(KINDS.values()) * len(shown) if roomy else [""] * len(places), fontsize=6.5)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(shown) - 0.4, -0.3)
    steps = np.unique(data["step"])
    style.step_axis(axes, steps)
    axes.set_xticks(steps, minor=True)
    axes.tick_params(axis="x", which="minor", length=2)
    axes.set_xlim(min(start for start, *_ in drawn), max(end for _, end, *_ in drawn))
    if roomy:
        marks.name_stretches(axes, drawn)
    marks.phase_legend(figure)
    style.heading(figure, finding(data), note)
    return figure, data


def finding(data: pd.DataFrame) -> str:
    """In how many runs the phases come in order, as a sentence."""
    if data.empty:
        return "No run has phases."
    counts = []
    for kind in KINDS.values():
        strips = data[data["kind"] == kind].sort_values("step").groupby("run")["phase"].apply(list)
        counts.append(f"{kind} phases in {sum(map(without_return, strips))} of {len(strips)} runs")
    return f"A, then B, then C with no return, of the runs shown: {' and '.join(counts)}."

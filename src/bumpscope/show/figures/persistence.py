"""Holes in the latents: persistence diagrams before and after training, beside those of the images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bumpscope.config.model import IMAGE_LAYER
from bumpscope.judge.controls import lattice_of
from bumpscope.measure.betti import betti_numbers, expected_betti
from bumpscope.measure.topology import LEAST_GAP, LEAST_GAP_RATIO, LEAST_PERSISTENCE, LEAST_RATIO
from bumpscope.show import marks, rows, style
from bumpscope.store.judged_place import judged_place
from bumpscope.store.results import Results, in_network_order
from bumpscope.store.run import Run
from bumpscope.worlds.named import world_of

CAPTION = (
    "Features of clouds of latents: the radius at which each appears (birth) and fills (death), in median distances; "
    "dotted: still open. H0 pieces, H1 loops, H2 voids. Filled: counted; hollow: noise; lines: the rule. A sheet has "
    "Betti numbers 1, 0, 0 in every phase, a torus 1, 2, 1. Last panels: the images, where a torus must be found."
)
TOPIC = "Representation"
WIDTH = style.DOUBLE
READS = ("topology", "phases", "runs")
COLUMNS = {
    "run": "",
    "boundary": "plane, cylinder or torus",
    "step": "",
    **rows.PLACE,
    "dimension": "0, 1 or 2",
    "birth": "median distances",
    "death": "median distances; inf where open",
    "significant": "whether it counts",
}
NOTHING = "No run has persistence diagrams."
# By what the factors close to; a plane is open.
TRUTH = {"plane": (1, 0, 0), "cylinder": (1, 1, 0), "torus": (1, 2, 1)}
SHAPES = {"plane": "a sheet", "cylinder": "a cylinder", "torus": "a torus"}
LOOKS: dict[int, style.Look] = {
    0: {"color": style.GREY, "marker": "o", "linestyle": "-"},
    1: {"color": style.VERMILLION, "marker": "^", "linestyle": "--"},
    2: {"color": style.BLUE, "marker": "s", "linestyle": "-."},
}


def select(results: Results) -> pd.DataFrame:
    """Bars of the first run with each boundary.

    Where the latent verdict was read, at the first and the last checkpoint; at the last one also those of the last
    place in the network, and of the images.
    """
    parts = []
    for boundary in TRUTH:
        run = next((run for run in results if run.has("topology") and _boundary(run) == boundary), None)
        if run is not None:
            parts.append(_bars(run).assign(run=run.name, boundary=boundary)[[*COLUMNS]])
    if not parts:
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.concat(parts, ignore_index=True)


def _boundary(run: Run) -> str | None:
    """What two factors close to, by their periods; None for more factors."""
    factors = world_of(lattice_of(run.info)).factors
    expected = expected_betti(factors)
    return next((name for name, betti in TRUTH.items() if betti == expected and len(factors) == 2), None)


def _bars(run: Run) -> pd.DataFrame:
    bars = run.table("topology")
    first, last = bars["step"].min(), bars["step"].max()
    images = bars["layer"] == IMAGE_LAYER
    latents = bars[bars["step"].isin([first, last]) & ~images]
    place = judged_place(run, zip(latents["layer"], latents["t"], strict=True))
    if place is None:
        return bars[images & (bars["step"] == last)]
    judged = (latents["layer"] == place[0]) & (latents["t"] == place[1])
    output = (latents["layer"] == in_network_order(latents["layer"])[-1]) & (latents["step"] == last) & ~judged
    output &= latents["t"] == latents.loc[output, "t"].min()
    return pd.concat([latents[judged], latents[output], bars[images & (bars["step"] == last)]])


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """A diagram per place and checkpoint, a row per run."""
    if data.empty:
        return style.without_data(NOTHING)
    diagrams = list(data.groupby(["run", "layer", "t", "step"], sort=False))
    per_row = max(len(own.groupby(["layer", "t", "step"])) for _, own in data.groupby("run"))
    figure, axes = style.panels(len(diagrams), per_row, 2.6, WIDTH)
    finite = data.loc[np.isfinite(data["death"]), "death"]
    top = 1.15 * max(finite.max() if len(finite) else 0.0, 0.7)
    for panel, ((name, layer, t, step), bars) in zip(axes, diagrams, strict=True):
        _diagram(panel, bars, top)
        place = "images" if layer == IMAGE_LAYER else f"{layer}, t = {t}"
        # The run's name has the whole row for itself.
        head = name if style.is_first_column(panel) else ""
        panel.set_title(f"{head}\n{place}\nstep {step}\nBetti {_numbers(betti_numbers(bars))}\n{_truth(bars)}")
        panel.set_xlabel("birth, median distances")
        panel.set_ylabel("death, median distances" if style.is_first_column(panel) else "")
    rules = {k: f"longer than {LEAST_PERSISTENCE[k]:g}, death > {LEAST_RATIO[k]:g} birth" for k in (1, 2)}
    names = ["H0 pieces", f"H1 loops: {rules[1]}", f"H2 voids: {rules[2]}"]
    looks = {
        name: {**look, "markersize": 4.5, "linewidth": 0.8} for name, look in zip(names, LOOKS.values(), strict=True)
    }
    marks.look_legend(figure, looks, ncols=3, handlelength=3)
    return figure


def rule_border(dimension: int, birth: np.ndarray) -> np.ndarray:
    """The death above which a loop (1) or void (2) born at ``birth`` counts, in the units of ``birth``."""
    return np.maximum(birth + LEAST_PERSISTENCE[dimension], LEAST_RATIO[dimension] * birth)


def piece_border(bars: pd.DataFrame) -> float:
    """The death above which a piece counts if it is large enough: it depends on how far apart points usually are."""
    deaths = bars.loc[(bars["dimension"] == 0) & np.isfinite(bars["death"]), "death"]
    return max(LEAST_GAP, LEAST_GAP_RATIO * float(deaths.median())) if len(deaths) else LEAST_GAP


def _diagram(axes: Axes, bars: pd.DataFrame, top: float) -> None:
    axes.plot([0, top], [0, top], color=style.BLACK, linewidth=0.6)
    axes.axhline(top, color=style.GREY, linewidth=0.8, linestyle=":")
    births = np.linspace(0, top, 200)
    for dimension in (1, 2):
        line = {key: LOOKS[dimension][key] for key in ("color", "linestyle")}
        axes.plot(births, rule_border(dimension, births), linewidth=0.8, **line)
    # Pieces are all born at 0, so their rule is one point of the axis; above the top it cannot be met.
    axes.plot([0, 0.03 * top], [piece_border(bars)] * 2, color=LOOKS[0]["color"], linewidth=1.6)
    for (kind, significant), own in bars.groupby(["dimension", "significant"]):
        look = LOOKS[int(str(kind))]
        face: dict[str, Any] = {"facecolors": "none", "edgecolors": look["color"], "linewidths": 0.4, "s": 9}
        if significant:
            face = {"facecolors": look["color"], "edgecolors": style.BLACK, "linewidths": 0.6, "s": 24}
        axes.scatter(own["birth"], own["death"].clip(upper=top), marker=look["marker"], zorder=3, clip_on=False, **face)
    axes.text(1, top, " open", transform=axes.get_yaxis_transform(), va="center", fontsize=6.5, color=style.GREY)
    limit = float(bars["birth"].max()) * 1.1
    axes.set(xlim=(-0.02 * top, max(limit, 0.5 * top)), ylim=(0, 1.03 * top))


def _numbers(values: tuple[int, ...]) -> str:
    return ", ".join(str(value) for value in values)


def _truth(bars: pd.DataFrame) -> str:
    boundary = bars["boundary"].iloc[0]
    return f"{SHAPES[boundary]} has {_numbers(TRUTH[boundary])}"


def finding(data: pd.DataFrame) -> str:
    """Betti numbers at the last checkpoint of each run against the truth, as a sentence."""
    if data.empty:
        return NOTHING
    parts = []
    for run, bars in data[data["step"] == data.groupby("run")["step"].transform("max")].groupby("run", sort=False):
        numbers = [
            f"{_numbers(betti_numbers(at))} in {layer if layer != IMAGE_LAYER else 'the images'}"
            for (layer, _), at in bars.groupby(["layer", "t"], sort=False)
        ]
        parts.append(f"{run} {', '.join(numbers)} ({_truth(bars)})")
    return f"Betti numbers at the last checkpoint: {rows.listed(parts)}."

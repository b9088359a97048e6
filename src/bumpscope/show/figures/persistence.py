"""Holes in the latents: persistence diagrams before and after training, beside those of the images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bumpscope.config.model import IMAGE_LAYER
from bumpscope.measure.betti import betti_numbers
from bumpscope.measure.topology import LEAST_GAP, LEAST_GAP_RATIO, LEAST_PERSISTENCE, LEAST_RATIO
from bumpscope.show import style
from bumpscope.store.judged_place import judged_place
from bumpscope.store.results import Results, in_network_order

CAPTION = (
    "Each mark is a feature of the cloud of latents: the radius at which it appears (birth) and at which it fills"
    " (death), in units of the median distance between points; those still open at the largest radius looked at "
    "lie on the dotted line at the top. H0: separate pieces, H1: loops, H2: enclosed voids. Filled: counted as a "
    "feature; hollow: taken for noise. Lines in the marks' colours: the rule, above which a loop or a void "
    "counts; a piece must also hold a few points, and a loop come before the widest gap in their lengths. Betti "
    "numbers count the filled marks; a sheet has 1, 0, 0 and a torus 1, 2, 1. On a plane these are the same in every "
    "phase, so only a torus shows that the method can see: the "
    "last panel of a row is the generated images themselves, the control in which a torus must be found."
)
TOPIC = "Representation"
WIDTH = style.DOUBLE
TRUTH = {"plane": (1, 0, 0), "torus": (1, 2, 1)}
RULE_DASHES: dict[int, Any] = {0: "-", 1: "--", 2: "-."}
MARKS = {0: ("o", style.GREY), 1: ("^", style.VERMILLION), 2: ("s", style.BLUE)}


@style.apply()
def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """Diagrams of the first run with each boundary, a row a run: where the latent verdict was read, at the first and
    the last checkpoint; at the last also the network's last place that was read, and the images.

    Returns:
        The figure, and columns run, boundary, step, layer, t, dimension, birth, death, significant.
    """
    columns = ["run", "boundary", "step", "layer", "t", "dimension", "birth", "death", "significant"]
    parts = []
    with_bars = results.having("topology")
    for boundary in TRUTH:
        for run in [run for run in with_bars if run.boundary == boundary][:1]:
            bars = results.table(run.run, "topology")
            ends = bars[bars["step"].isin([bars["step"].min(), bars["step"].max()])]
            images = ends[(ends["layer"] == IMAGE_LAYER) & (ends["step"] == ends["step"].max())]
            ends = ends[ends["layer"] != IMAGE_LAYER]
            judged = _one_place(results, run.run, ends)
            parts += [part.assign(run=run.run, boundary=boundary)[columns] for part in (judged, _last(ends), images)]
    if not parts or all(part.empty for part in parts):
        return style.without_data("No run has persistence diagrams."), pd.DataFrame(columns=columns)
    data = pd.concat(parts, ignore_index=True).drop_duplicates(ignore_index=True)
    diagrams = list(data.groupby(["run", "layer", "t", "step"], sort=False))
    per_row = max(len(own.groupby(["layer", "t", "step"])) for _, own in data.groupby("run"))
    figure, axes = style.panels(len(diagrams), per_row, 2.6, WIDTH)
    finite = data[np.isfinite(data["death"])]
    top = 1.15 * max(finite["death"].max() if len(finite) else 0.0, 0.7)
    for axis, ((name, layer, t, step), bars) in zip(axes, diagrams, strict=True):
        _diagram(axis, bars, top)
        found, truth = betti_numbers(bars), TRUTH[bars["boundary"].iloc[0]]
        place = "images" if layer == IMAGE_LAYER else f"{layer}, t = {t}"
        # The run's name has the whole row for itself.
        head = name if style.is_first_column(axis) else ""
        numbers = f"Betti {_numbers(found)}\na {_shape(bars)} has {_numbers(truth)}"
        axis.set_title(f"{head}\n{place}\nstep {step}\n{numbers}")
    handles = [
        Line2D([], [], linestyle=RULE_DASHES[k], marker=mark, markersize=4.5, color=colour, linewidth=0.8)
        for k, (mark, colour) in MARKS.items()
    ]
    rules = {k: f"longer than {LEAST_PERSISTENCE[k]:g}, death > {LEAST_RATIO[k]:g} birth" for k in (1, 2)}
    names = ["H0 pieces", f"H1 loops: {rules[1]}", f"H2 voids: {rules[2]}"]
    figure.legend(handles, names, loc="outside lower left", ncols=3, handlelength=3)
    style.heading(figure, finding(data))
    return figure, data


def _one_place(results: Results, run: str, bars: pd.DataFrame) -> pd.DataFrame:
    """The bars where the last latent verdict was read, else those of the first layer at its noisiest timestep."""
    place = judged_place(results, run, zip(bars["layer"], bars["t"], strict=True))
    return bars if place is None else bars[(bars["layer"] == place[0]) & (bars["t"] == place[1])]


def _last(bars: pd.DataFrame) -> pd.DataFrame:
    """The bars of the last checkpoint at the network's last layer that was read, at its cleanest timestep."""
    if bars.empty:
        return bars
    chosen = bars[(bars["layer"] == in_network_order(bars["layer"])[-1]) & (bars["step"] == bars["step"].max())]
    return chosen[chosen["t"] == chosen["t"].min()]


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
        look: style.Look = {"color": MARKS[dimension][1], "linestyle": RULE_DASHES[dimension]}
        axes.plot(births, rule_border(dimension, births), linewidth=0.8, **look)
    # Pieces are all born at 0, so their rule is one point of the axis; above the top it cannot be met.
    axes.plot([0, 0.03 * top], [piece_border(bars)] * 2, color=MARKS[0][1], linewidth=1.6)
    for dimension, (mark, colour) in MARKS.items():
        own = bars[bars["dimension"] == dimension]
        for significant in (False, True):
            rows = own[own["significant"] == significant]
            axes.scatter(
                rows["birth"],
                rows["death"].clip(upper=top),
                marker=mark,
                s=26 if significant else 7,
                facecolors=colour if significant else "none",
                edgecolors=colour if not significant else style.BLACK,
                linewidths=0.6 if significant else 0.4,
                zorder=3,
                clip_on=False,
            )
    axes.text(1, top, " open", transform=axes.get_yaxis_transform(), va="center", fontsize=6.5, color=style.GREY)
    limit = float(bars["birth"].max()) * 1.1 if len(bars) else top
    axes.set(xlim=(-0.02 * top, max(limit, 0.5 * top)), ylim=(0, 1.03 * top))
    axes.set_xlabel("birth, median distances")
    if style.is_first_column(axes):
        axes.set_ylabel("death, median distances")


def _numbers(values: tuple[int, ...]) -> str:
    return ", ".join(str(value) for value in values)


def _shape(bars: pd.DataFrame) -> str:
    return "torus" if bars["boundary"].iloc[0] == "torus" else "sheet"


def finding(data: pd.DataFrame) -> str:
    """Betti numbers against the truth, first and last checkpoint of each run, as a sentence."""
    if data.empty:
        return "No run has persistence diagrams."
    parts = []
    for run, bars in data.groupby("run", sort=False):
        numbers = [
            f"{_numbers(betti_numbers(at))} in {layer if layer != IMAGE_LAYER else 'the images'} at step {step}"
            for (layer, _, step), at in bars.groupby(["layer", "t", "step"], sort=False)
        ]
        parts.append(f"{run} {', '.join(numbers)} (a {_shape(bars)} has {_numbers(TRUTH[bars['boundary'].iloc[0]])})")
    return f"Betti numbers: {style.listed(parts)}."

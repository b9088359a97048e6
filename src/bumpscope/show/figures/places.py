"""Where a two-dimensional manifold in disorder lives: latent phases at every layer and timestep that was read."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bumpscope.config.model import IMAGE_LAYER
from bumpscope.judge.histories import without_return
from bumpscope.measure.metrics import PHASES
from bumpscope.show import marks, style
from bumpscope.store.results import Results, in_network_order

CAPTION = (
    "The latent verdict (A no structure, B a two-dimensional manifold in disorder, C an ordered one; hatched: none) at "
    "each layer and sampler's timestep t, by the same rule, a strip a seed. Images: the rule on the generated images "
    "themselves, without any network: where activations at small t show what images show, they need not have learnt "
    "it. Behaviour: the verdict from outcomes. A verdict is drawn from halfway to the checkpoint before to halfway to "
    "the one after. Shown is the dataset that was read at the most places."
)
TOPIC = "Representation"
WIDTH = style.SINGLE
MOST_PLACES = 12
BEHAVIOUR, IMAGES = "behaviour", "images"
LETTERS = {value: letter for letter, value in PHASES.items()}


@style.apply()
def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """A group of strips a place, a strip a seed; images and behaviour last.

    Returns:
        The figure, and columns run, dataset, seed, place, step, phase.
    """
    columns = ["run", "dataset", "seed", "place", "step", "phase"]
    latent = _with_open(results, "latent_phase/{layer}/t={t}")
    if latent.empty:
        return style.without_data("No run has latent phases at a layer."), pd.DataFrame(columns=columns)
    counts = latent.groupby("dataset", sort=False)["place"].nunique()
    name = str(counts.idxmax())
    behaviour = _with_open(results, "behaviour_phase")
    data = pd.concat([latent, behaviour], ignore_index=True)
    data = data[data["dataset"] == name][columns]
    read = [place for place in latent.loc[latent["dataset"] == name, "place"].unique() if place != IMAGES]
    shown, note = style.capped(read, MOST_PLACES, "places")
    rows = [place for place in [*shown, IMAGES, BEHAVIOUR] if place in set(data["place"])]
    data = data[data["place"].isin(rows)].reset_index(drop=True)
    seeds = sorted(data["seed"].unique())

    per_seed = min(0.1, ((style.TALLEST - 1.6) / len(rows) - 0.16) / len(seeds))
    figure, (axes,) = style.panels(1, 1, 0.9 + len(rows) * (0.16 + per_seed * len(seeds)), WIDTH)
    height = 0.85 / len(seeds)
    drawn: list[tuple[float, float, str]] = []
    for row, place in enumerate(rows):
        for number, seed in enumerate(seeds):
            strip = data[(data["place"] == place) & (data["seed"] == seed)].sort_values("step")
            if len(strip):
                middle = row + height * (number + 0.5)
                drawn += marks.phase_strip(axes, middle, 0.9 * height, strip["step"], strip["phase"])
    axes.set_yticks([row + 0.425 for row in range(len(rows))], rows)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows), -0.15)
    steps = np.unique(data["step"])
    style.step_axis(axes, steps)
    axes.set_xticks(steps, minor=True)
    axes.tick_params(axis="x", which="minor", length=2)
    axes.set_xlim(min(start for start, *_ in drawn), max(end for _, end, _ in drawn))
    marks.phase_legend(figure)
    style.heading(figure, finding(data), note)
    return figure, data


def _with_open(results: Results, pattern: str) -> pd.DataFrame:
    """Verdicts as letters with the place they were read at, in the network's order and from noisy to clean.

    An open verdict has no value among the metrics; it is a step of the run at which the others have one.
    """
    rows = results.select(pattern)
    if rows.empty:
        return rows.assign(place="", phase="")
    if "layer" in rows:
        order = in_network_order(rows["layer"])
        rows = rows.sort_values(["layer", "t"], key=lambda c: c.map(order.index) if c.name == "layer" else -c)
        names = rows["layer"] + ", t = " + rows["t"].astype(str)
        rows = rows.assign(place=names.where(rows["layer"] != IMAGE_LAYER, IMAGES))
    else:
        rows = rows.assign(place=BEHAVIOUR)
    probed = results.select("outcome/correct/all")[["run", "step"]]
    # All runs of a dataset are read at the same places, also where none of a run's verdicts is decided.
    of_place = (
        rows[["dataset", "place"]].drop_duplicates().merge(results.runs[["run", "dataset", "seed"]], on="dataset")
    )
    verdicts = rows.assign(phase=rows["value"].map(LETTERS))[["run", "place", "step", "phase"]]
    return of_place.merge(probed, on="run").merge(verdicts, how="left").fillna({"phase": "?"})


def finding(data: pd.DataFrame) -> str:
    """In how many runs the phases come in order at each place, as a sentence."""
    if data.empty:
        return "No run has latent phases at a layer."
    parts = []
    for place, own in data.groupby("place", sort=False):
        strips = own.sort_values("step").groupby("run")["phase"].apply(list)
        parts.append(f"{place} {sum(map(without_return, strips))} of {len(strips)}")
    return f"{data['dataset'].iloc[0]}: runs that pass A, then B, then C with no return: {', '.join(parts)}."

"""Latent phases by two rules: from geometry, and as the paper reads UMAPs."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bumpscope.judge.histories import counted_without_return
from bumpscope.show import marks, rows, style
from bumpscope.store.results import Results, in_network_order

CAPTION = (
    "Latent verdict by two rules, a strip per seed: from geometry; and from UMAPs and linear regression. A no "
    "structure, B a manifold in disorder, C an ordered one; hatched: none of them; grey: a sheet in disorder would "
    "not be seen. Last: other weights and shared noise at the first place. Shown: the dataset read at most places."
)
TOPIC = "Phases"
WIDTH = style.DOUBLE
READS = ("phases", "runs")
COLUMNS = rows.RUN | {"place": "layer and t, with weights and noise where they are not the judged ones", "step": ""}
COLUMNS |= {"rule": "geometry or umap", "phase": "A, B, C, ? or blind"}
NOTHING = "No run has phases read from UMAPs."
MOST_PLACES = 12
RULES = {"geometry": "by geometry", "umap": "as the paper reads UMAPs"}
OTHERWISE, SHARED = {"raw": "raw weights", "ema": "averaged weights"}, "shared noise"
VERDICTS = ["latent_phase", "latent_phase_umap", "latent_phase_umap_shared"]


def select(results: Results) -> pd.DataFrame:
    """The verdicts of both rules at each place, of the dataset that was read at the most places."""
    columns = ["step", "weights", "layer", "t", *VERDICTS]
    found = rows.of_each_run(results, "phases", columns, weights=["raw", "ema"])
    found = found.dropna(subset="latent_phase_umap")
    if found.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    order = in_network_order(found["layer"])
    found = found.sort_values(
        ["layer", "t"], key=lambda keys: keys.map(order.index) if keys.name == "layer" else -keys, kind="stable"
    )
    own = found["weights"] == found["run"].map({run.name: run.weights for run in results})
    name = found["layer"] + ", t = " + found["t"].astype(str)
    found["place"] = name.where(own, found["weights"].map(OTHERWISE))
    shared = found[own & found["latent_phase_umap_shared"].notna()].assign(place=SHARED)
    by_rule = {"geometry": "latent_phase", "umap": "latent_phase_umap"}
    parts = [
        part.assign(rule=rule, phase=part[verdict])
        for part in (found[own], found[~own])
        for rule, verdict in by_rule.items()
    ]
    # Geometry gives clouds of shared noise no verdict.
    parts += [shared.assign(rule="umap", phase=shared["latent_phase_umap_shared"])]
    data = pd.concat(parts, ignore_index=True)
    most = str(data.groupby("dataset", sort=False)["place"].nunique().idxmax())
    return data.loc[data["dataset"] == most, [*COLUMNS]].reset_index(drop=True)


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """Two columns of strips, a group per place, a strip per seed."""
    if data.empty:
        return style.without_data(NOTHING)
    places, note = rows.first(data["place"], MOST_PLACES, "places")
    height = marks.groups_height(len(places), data["seed"].nunique())
    figure, panels = style.panels(2, 2, height, WIDTH, sharey=True)
    for axes, (rule, title) in zip(panels, RULES.items(), strict=True):
        marks.phase_groups(axes, data[data["rule"] == rule], places, data["step"])
        axes.set_title(title)
    marks.phase_legend(figure)
    style.heading(figure, note)
    return figure


def finding(data: pd.DataFrame) -> str:
    """In how many runs either rule sees a manifold in disorder, and the phases in order, as a sentence."""
    if data.empty:
        return NOTHING
    parts = []
    for place, own in data.dropna(subset="phase").groupby("place", sort=False):
        told = []
        for rule in RULES:
            verdicts = own[own["rule"] == rule]
            if len(verdicts):
                told.append(f"{rule} {counted_without_return(verdicts)}")
        parts.append(f"{place}: {', '.join(told)}")
    return f"{data['dataset'].iloc[0]}: runs that pass A, then B, then C with no return. {rows.listed(parts, 6)}."

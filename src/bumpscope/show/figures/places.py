"""Where a manifold in disorder lives: latent phases at every layer and timestep."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bumpscope.config.model import IMAGE_LAYER
from bumpscope.judge.histories import counted_without_return
from bumpscope.measure.metrics import PHASES
from bumpscope.show import marks, rows, style
from bumpscope.store.results import Results, in_network_order

CAPTION = (
    "Latent verdict (A no structure, B a manifold in disorder, C an ordered one, ? between these, blind: one in "
    "disorder would not be seen) at each layer and timestep t, a strip per seed; ticks: checkpoints. Images: the same "
    "rule without a network, a control. Behaviour: verdict from outcomes. Shown: the dataset read at most places."
)
TOPIC = "Representation"
WIDTH = style.SINGLE
READS = ("metrics",)
COLUMNS = rows.RUN | {"place": "layer and t, images, or behaviour", "step": "", "phase": "A, B, C, ? or blind"}
NOTHING = "No run has latent phases at a layer."
MOST_PLACES = 12
BEHAVIOUR, IMAGES = "behaviour", "images"
LETTERS = {value: letter for letter, value in PHASES.items()}


def select(results: Results) -> pd.DataFrame:
    """The verdicts at each place and from behaviour, of the dataset that was read at the most places."""
    columns = [*rows.CHECKPOINT, "quantity", "layer", "t", "value"]
    found = pd.DataFrame(columns=columns)
    if results.has("metrics"):
        found = results.table("metrics", columns, quantity=["latent_phase", "behaviour_phase"])
    latent = found[found["layer"].notna()].astype({"t": int})
    if latent.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    order = in_network_order(latent["layer"])
    latent = latent.sort_values(
        ["layer", "t"], key=lambda keys: keys.map(order.index) if keys.name == "layer" else -keys, kind="stable"
    )
    names = latent["layer"] + ", t = " + latent["t"].astype(str)
    latent = latent.assign(place=names.where(latent["layer"] != IMAGE_LAYER, IMAGES))
    behaviour = found[found["quantity"] == "behaviour_phase"].assign(place=BEHAVIOUR)
    most = str(latent.groupby("dataset", sort=False)["place"].nunique().idxmax())
    data = pd.concat([latent, behaviour], ignore_index=True)
    data = data[data["dataset"] == most].reset_index(drop=True)
    return data.assign(phase=data["value"].map(LETTERS).fillna("?"))[[*COLUMNS]]


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """A group of strips per place, a strip per seed; images and behaviour last."""
    if data.empty:
        return style.without_data(NOTHING)
    last = [place for place in (IMAGES, BEHAVIOUR) if (data["place"] == place).any()]
    shown, note = rows.first(data.loc[~data["place"].isin(last), "place"], MOST_PLACES, "places")
    places = [*shown, *last]
    height = marks.groups_height(len(places), data["seed"].nunique())
    figure, (axes,) = style.panels(1, 1, height, WIDTH)
    marks.phase_groups(axes, data, places, data["step"])
    marks.phase_legend(figure)
    style.heading(figure, note)
    return figure


def finding(data: pd.DataFrame) -> str:
    """In how many runs the phases come in order at each place, as a sentence."""
    if data.empty:
        return NOTHING
    parts = []
    for place, own in data.groupby("place", sort=False):
        parts.append(f"{place} {counted_without_return(own)}")
    return f"{data['dataset'].iloc[0]}: runs that pass A, then B, then C with no return: {rows.listed(parts, 6)}."

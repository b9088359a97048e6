"""Where a two-dimensional manifold in disorder lives: latent phases at every layer and timestep that was read."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bumpscope.config.model import IMAGE_LAYER
from bumpscope.judge.histories import without_return
from bumpscope.measure.metrics import PHASES
from bumpscope.show import marks, rows, style
from bumpscope.store.results import Results, in_network_order

CAPTION = (
    "Latent verdict (A no structure, B a manifold in disorder, C an ordered one, ? between these, blind: one in "
    "disorder would not be seen) at each layer and timestep t, a strip per seed; ticks: checkpoints. Images: the same "
    "rule on the generated images, without a network; activations that only match it need not have learnt anything. "
    "Behaviour: verdict from outcomes. Shown: the dataset read at the most places."
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
    places, seeds = [*shown, *last], sorted(data["seed"].unique())
    per_seed = min(0.1, ((style.TALLEST - 1.6) / len(places) - 0.16) / len(seeds))
    figure, (axes,) = style.panels(1, 1, 0.9 + len(places) * (0.16 + per_seed * len(seeds)), WIDTH)
    height = 0.85 / len(seeds)
    drawn: list[tuple[float, float, str]] = []
    for row, place in enumerate(places):
        for number, seed in enumerate(seeds):
            strip = data[(data["place"] == place) & (data["seed"] == seed)].sort_values("step")
            if len(strip):
                middle = row + height * (number + 0.5)
                drawn += marks.phase_strip(axes, middle, 0.9 * height, strip["step"], strip["phase"])
    axes.set_yticks([row + 0.425 for row in range(len(places))], places)
    axes.set_ylim(len(places), -0.15)
    marks.strip_axes(axes, data["step"], drawn)
    marks.phase_legend(figure)
    style.heading(figure, finding(data), note)
    return figure


def finding(data: pd.DataFrame) -> str:
    """In how many runs the phases come in order at each place, as a sentence."""
    if data.empty:
        return NOTHING
    parts = []
    for place, own in data.groupby("place", sort=False):
        strips = own.sort_values("step").groupby("run")["phase"].apply(list)
        parts.append(f"{place} {sum(map(without_return, strips))} of {len(strips)}")
    return f"{data['dataset'].iloc[0]}: runs that pass A, then B, then C with no return: {rows.listed(parts, 6)}."

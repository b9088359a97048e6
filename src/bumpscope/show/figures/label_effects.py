"""How much of the requested centre the denoiser uses, and its other errors."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bumpscope.judge.learning_curves import middle
from bumpscope.show import marks, rows, style
from bumpscope.store.results import Results

CAPTION = (
    "Left: use of each label, such as x, and of two together (0: none; 1: Bayes-optimal) at one timestep t, with "
    "the share of correct images. Middle, right: residual error and excess error at every t, relative to the best "
    "denoiser without labels (dashed). Thick: mean over seeds; thin: each seed."
)
TOPIC = "Behaviour"
WIDTH = style.DOUBLE
READS = ("metrics",)
NOTHING = "No label effect has been measured."
LIMIT = 6
CORRECT = "correct"
EFFECTS: dict[str, style.Look] = {
    **{f"effect_{name}": look for name, look in style.EFFECTS.items()},
    CORRECT: {"color": style.BLACK, "linestyle": "-."},
}
ERRORS = {"residual": "residual error", "excess": "excess error"}
COLUMNS = rows.CHECKPOINT | {
    "t": "−1 for the share of correct images",
    "quantity": ", ".join([*EFFECTS, *ERRORS]),
    "value": "",
}
# Looks of the timesteps, none of them an effect's.
TIMES: tuple[style.Look, ...] = (
    {"color": style.GREEN, "linestyle": "-"},
    {"color": style.VERMILLION, "linestyle": "--"},
    {"color": style.SKY, "linestyle": "-."},
    {"color": style.GREY, "linestyle": ":"},
)


def select(results: Results) -> pd.DataFrame:
    """Effects at the middle timestep, errors at every timestep, and the share of correct images."""
    where = {"bin": None}
    effects = rows.measured(results, "effect", "factor", "t", **where)
    effects = effects.assign(quantity="effect_" + effects["factor"].astype(str))
    errors = rows.measured(results, list(ERRORS), "t", **where)
    found = pd.concat([effects, errors], ignore_index=True)[[*COLUMNS]]
    if found.empty:
        return found
    # Of the effects one timestep is drawn, of the errors all.
    middles = found["dataset"].map({name: middle(own["t"]) for name, own in found.groupby("dataset")})
    found = found[found["quantity"].isin([*ERRORS]) | (found["quantity"].map(_is_effect) & (found["t"] == middles))]
    accuracy = rows.correct_images(results).assign(quantity=CORRECT, t=-1)
    accuracy = accuracy[accuracy["dataset"].isin(found["dataset"])]
    return pd.concat([found, accuracy[[*COLUMNS]]], ignore_index=True)


def _is_effect(quantity: str) -> bool:
    return quantity.startswith("effect_")


def _looks(data: pd.DataFrame) -> dict[str, style.Look]:
    """Looks of the effects, which are named after the factors of a world, and of the correct images."""
    named = [str(quantity) for quantity in data["quantity"].unique() if _is_effect(str(quantity))]
    looks = marks.effect_looks(name.removeprefix("effect_") for name in named)
    return {f"effect_{name}": look for name, look in looks.items()} | {CORRECT: EFFECTS[CORRECT]}


def _words(effect: str) -> str:
    return "correct images" if effect == CORRECT else f"effect {effect.removeprefix('effect_').replace('_', ' ')}"


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """Effects with accuracy, residual and excess: a row per dataset."""
    if data.empty:
        return style.without_data(NOTHING)
    data, left_out = rows.over_training(data)
    names, note = rows.first(data["dataset"], LIMIT, "datasets")
    effects = _looks(data)
    times = [f"t = {t}" for t in sorted(data.loc[data["quantity"].isin([*ERRORS]), "t"].unique())]
    looks = dict(zip(times, itertools.cycle(TIMES), strict=False))
    height = 1.75 if len(names) <= 4 else 1.25
    figure, axes = style.panels(3 * len(names), 3, height, WIDTH, sharex="row", sharey="col")
    for row, (name, panels) in enumerate(zip(names, np.reshape(np.array(axes), (-1, 3)), strict=True)):
        own = data[data["dataset"] == name]
        marks.curves(panels[0], own, "quantity", effects)
        panels[0].axhline(0, color=style.GREY, linewidth=0.5, zorder=1)
        panels[0].set_title(style.shortened(style.spaced(name)))
        panels[0].set_ylabel(f"effect (t = {effect_timestep(own)}),\nor share")
        for panel, (quantity, text) in zip(panels[1:], ERRORS.items(), strict=True):
            errors = own[own["quantity"] == quantity]
            ends = marks.curves(panel, errors.assign(time="t = " + errors["t"].astype(str)), "time", looks)
            panel.axhline(1, **style.LEVEL)
            panel.set_title(text)
            panel.set_yscale("log")
        marks.label_ends(panels[2], ends, gap=0.14)
        for panel in panels:
            style.step_axis(panel, own["step"].to_numpy(), label=row == len(names) - 1)
    for panel in axes[1:3]:
        style.plain_logarithm(panel.yaxis)
    marks.look_legend(figure, {_words(name): look for name, look in effects.items()}, ncols=4, handlelength=3)
    style.heading(figure, note, left_out)
    return figure


def effect_timestep(own: pd.DataFrame) -> int:
    """The timestep at which the effects of a dataset are drawn; without any the middle one of its errors."""
    effects = own.loc[own["quantity"].map(_is_effect).astype(bool) & (own["t"] >= 0), "t"]
    return int(effects.iloc[0]) if len(effects) else middle(own.loc[own["t"] >= 0, "t"])


def finding(data: pd.DataFrame) -> str:
    """Effects and errors at the last checkpoint of each dataset, as a sentence."""
    if data.empty:
        return NOTHING
    parts = []
    for name, own in data.groupby("dataset", sort=False):
        t = effect_timestep(own)
        at_t = own[own["t"] == t]
        last = int(at_t["step"].max())
        mean = at_t[at_t["step"] == last].groupby("quantity")["value"].mean()
        words = {name: _words(name).removeprefix("effect ") for name in _looks(own) if name != CORRECT}
        words = words | {"effect_xy": "x and y", "residual": "residual", "excess": "excess"}
        values = [f"{word} {round(mean[key], 2) + 0.0:.2f}" for key, word in words.items() if key in mean]
        parts.append(f"{name} at step {last}, t = {t}: {', '.join(values)}")
    return f"Label effects and errors, mean over seeds: {rows.listed(parts, 1)}."

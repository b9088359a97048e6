"""How much of the requested centre the denoiser uses, and what is left of its error."""

from __future__ import annotations

import itertools

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bumpscope.judge.learning_curves import middle
from bumpscope.show import marks, style
from bumpscope.store.results import Results

CAPTION = (
    "Left: label effects of the averaged weights at one diffusion timestep t: how much of the x label, of the y "
    "label and of what needs both at once the estimate of the clean image uses (0: none, 1: like the Bayes-"
    "optimal denoiser that knows it), with the share of generated images with one bump in the right place. Middle"
    " and right: the label-independent residual and the whole excess error at every t, both relative to the error"
    " of the best denoiser that knows no label (dashed line at 1). Thick lines: mean over seeds; thin lines: each"
    " seed."
)
TOPIC = "Behaviour"
WIDTH = style.DOUBLE
LIMIT = 6
ACCURACY = "correct"
EFFECTS: dict[str, tuple[str, style.Look]] = {
    "effect_x": ("effect x", {"color": style.BLUE, "linestyle": "-"}),
    "effect_y": ("effect y", {"color": style.ORANGE, "linestyle": "--"}),
    "effect_xy": ("effect xy", {"color": style.PURPLE, "linestyle": ":"}),
    ACCURACY: ("correct images", {"color": style.BLACK, "linestyle": "-."}),
}
ERRORS = {"residual": "residual error", "excess": "excess error"}
# Looks of the timesteps, none of them an effect's.
TIMES: tuple[style.Look, ...] = (
    {"color": style.GREEN, "linestyle": "-"},
    {"color": style.VERMILLION, "linestyle": "--"},
    {"color": style.SKY, "linestyle": "-."},
    {"color": style.GREY, "linestyle": ":"},
)


@style.apply()
def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """Effects with accuracy, residual and excess: a row a dataset; effects at the middle of the timesteps probed.

    Returns:
        The figure, and columns run, dataset, seed, step, t, quantity, value; t is -1 for the accuracy.
    """
    rows = results.select("{quantity}/t={t}/ema")
    rows = rows[rows["quantity"].isin([*EFFECTS, *ERRORS])]
    accuracy = results.select("outcome/correct/seen").assign(quantity=ACCURACY, t=-1)
    columns = ["run", "dataset", "seed", "step", "t", "quantity", "value"]
    if rows.empty:
        return style.without_data("No label effect has been measured."), pd.DataFrame(columns=columns)
    present = [name for name in results.datasets if name in set(rows["dataset"])]
    names, note = style.capped(present, LIMIT, "datasets")
    data = pd.concat([rows, accuracy], ignore_index=True)[columns]
    data = data[data["dataset"].isin(names)]
    # Of the effects one timestep is drawn, of the errors all.
    middles = data["dataset"].map({name: middle_timestep(own) for name, own in data.groupby("dataset")})
    data = data[~data["quantity"].isin(EFFECTS) | data["t"].isin([-1]) | (data["t"] == middles)].reset_index(drop=True)
    height = 1.75 if len(names) <= 4 else 1.25
    figure, axes = style.panels(3 * len(names), 3, height, WIDTH, sharex="row", sharey="col")
    looks = dict(zip(sorted(rows["t"].unique()), itertools.cycle(TIMES), strict=False))
    for row, name in enumerate(names):
        own = data[data["dataset"] == name]
        left, *others = axes[3 * row : 3 * row + 3]
        last_row = row == len(names) - 1
        _effects(left, own)
        left.set_title(style.shortened(name))
        left.set_ylabel(f"effect (t = {middle_timestep(own)}),\nor share")
        style.step_axis(left, own["step"].to_numpy(), label=last_row)
        for panel, (quantity, text) in zip(others, ERRORS.items(), strict=True):
            ends = _errors(panel, own[own["quantity"] == quantity], looks)
            panel.set_title(text)
            style.step_axis(panel, own["step"].to_numpy(), label=last_row)
            if quantity == list(ERRORS)[-1]:
                marks.label_ends(panel, ends, gap=0.14)
    for panel in axes[1:3]:
        style.plain_logarithm(panel.yaxis)
    handles = [Line2D([], [], **look) for _, look in EFFECTS.values()]
    figure.legend(handles, [text for text, _ in EFFECTS.values()], loc="outside lower left", ncols=4, handlelength=3)
    style.heading(figure, finding(data), note)
    return figure, data


def middle_timestep(data: pd.DataFrame) -> int:
    """The middle one of the timesteps at which effects were measured (the lower of two)."""
    return middle(data.loc[data["quantity"].isin(["effect_x", "effect_y", *ERRORS]), "t"])


def _effects(axes: Axes, own: pd.DataFrame) -> None:
    for quantity, (_, look) in EFFECTS.items():
        marks.seed_lines(axes, own[(own["quantity"] == quantity) & own["t"].isin([middle_timestep(own), -1])], look)
    axes.axhline(0, color=style.GREY, linewidth=0.5, zorder=1)


def _errors(axes: Axes, rows: pd.DataFrame, looks: dict[int, style.Look]) -> list[tuple[float, str, style.Look]]:
    """Draw an error at every timestep; returns where the lines end, for their names."""
    axes.axhline(1, color=style.BLACK, linewidth=0.7, linestyle=(0, (6, 3)), zorder=1)
    axes.set_yscale("log")
    return [(marks.seed_lines(axes, rows[rows["t"] == t], look), f"t = {t}", look) for t, look in looks.items()]


def finding(data: pd.DataFrame) -> str:
    """Effects and errors at the last checkpoint of each dataset, as a sentence."""
    if data.empty:
        return "No label effect has been measured."
    parts = []
    for name, own in data.groupby("dataset", sort=False):
        t = middle_timestep(own)
        at_t = own[own["t"] == t]
        last = int(at_t["step"].max())
        mean = at_t[at_t["step"] == last].groupby("quantity")["value"].mean()
        texts = {"effect_x": "x", "effect_y": "y", "effect_xy": "x and y", "residual": "residual", "excess": "excess"}
        values = [f"{text} {mean[key]:.2f}" for key, text in texts.items() if key in mean]
        parts.append(f"{name} at step {last}, t = {t}: {', '.join(values)}")
    return f"Label effects and errors, mean over seeds: {style.listed(parts, 2)}."

"""Combinations that must be shown before the others are drawn right."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bumpscope.judge.combinations import RIGHT
from bumpscope.judge.leaderboard import ENDS, RANDOM, known_k_star
from bumpscope.judge.wording import with_interval
from bumpscope.show import rows, style
from bumpscope.store.results import Results

CAPTION = (
    "Above: share of withheld combinations drawn right after the last step, against the number K of those shown, with "
    "95% intervals over seeds. Beneath: K*, where an arm reaches 0.9 (dashed); arrow: at most, or at least. N: "
    "positions an axis. Random order: combinations are not evenly spaced. Who factorises needs a multiple of N, who "
    "memorises N²."
)
TOPIC = "Behaviour"
WIDTH = style.DOUBLE
READS = ("combinations", "leaderboard")
PANEL = ["image_size", "training_steps", "design", "positions"]
COLUMNS = {
    "arm": "",
    "design": "even, or in random order",
    "positions": "N",
    "image_size": "px",
    "training_steps": "",
    "shown": "K",
    "heldout": "share of withheld combinations that are right",
    "heldout_low": "95% interval",
    "heldout_high": "",
    "k_star": "K*",
    "low": "95% interval",
    "high": "",
    "bound": "at most, at least, or empty",
    "runs": "at this K",
}
NOTHING = "No dataset shows as many combinations in each row (shown: {each: ...})."
MARKERS = "osD^vPX<>*phdH"
MOST_ARMS, MOST_PANELS = len(MARKERS), 4
APART = 1.12  # factor between the places of the first arm and the last on the axis of K
ARROWS = {"at most": ("←", -7), "at least": ("→", 7)}  # and points aside of the mark
UPPER, A_ROW = 2.0, 0.17  # inches


def select(results: Results) -> pd.DataFrame:
    """Table ``combinations``, with K* of each arm and N."""
    if not (results.has("combinations") and results.has("leaderboard")):
        return pd.DataFrame(columns=list(COLUMNS))
    keys = ["arm", *PANEL]
    found = results.leaderboard[[*keys, "k_star", "low", "high", "bound"]].drop_duplicates(keys)
    return results.combinations.merge(found, on=keys)[[*COLUMNS]]


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """Curves of all arms over K, and K* under them: a column for each N."""
    if data.empty:
        return style.without_data(NOTHING)
    names, note = rows.first(data.sort_values("k_star", kind="stable")["arm"], MOST_ARMS, "arms")
    places, more = rows.first(data[PANEL].itertuples(index=False, name=None), MOST_PANELS, "lattices")
    looks = {
        name: {**look, "marker": marker}
        for (name, look), marker in zip(style.line_styles(names).items(), MARKERS, strict=False)
    }
    below = A_ROW * len(names) + 0.1
    figure = Figure(figsize=(WIDTH, UPPER + below + 1.0), layout="constrained")
    grid: Any = {"squeeze": False, "height_ratios": [UPPER, below]}
    panels = figure.subplots(2, len(places), sharex="col", sharey="row", **grid)
    for (upper, lower), place in zip(panels.T, places, strict=True):
        own = data[(data[PANEL] == list(place)).all(axis=1) & data["arm"].isin(names)]
        n = int(place[-1])
        _curves(upper, own, looks)
        _thresholds(lower, own, looks)
        upper.set(title=_title(data, place), xscale="log", xlim=(0.8 * n, 1.25 * n**2), ylim=(-0.04, 1.04))
        ticks = np.unique([n, *own["shown"], n**2])
        named = {n: f"{n}\nN", n**2: f"{n**2}\nN²"}
        lower.set_xticks(ticks, [named.get(tick, str(tick)) for tick in ticks])
        lower.minorticks_off()
        lower.set_xlabel("K, combinations shown")
        for axes in (upper, lower):
            axes.vlines(
                [n, n**2], 0, 1, color=style.RULE, linewidth=0.8, zorder=0, transform=axes.get_xaxis_transform()
            )
    panels[0, 0].set_ylabel("withheld combinations right")
    # Of the import path of a denoiser from elsewhere only the class.
    panels[1, 0].set_yticks(range(len(names)), [name.rpartition(":")[2] for name in names])
    panels[1, 0].set_ylim(len(names) - 0.4, -0.6)
    panels[1, 0].set_ylabel("K*")
    style.heading(figure, note, more)
    return figure


def _title(data: pd.DataFrame, place: tuple[Any, ...]) -> str:
    """N, and what else tells this lattice from the others."""
    told = [f"N = {place[-1]}"]
    told += ["random order"] if place[2] == RANDOM else []
    told += [f"{place[0]} px"] if data["image_size"].nunique() > 1 else []
    told += [f"{place[1]} steps"] if data["training_steps"].nunique() > 1 else []
    return ", ".join(told)


def _curves(axes: Axes, own: pd.DataFrame, looks: dict[str, style.Look]) -> None:
    """The share right of each arm over K."""
    axes.axhline(RIGHT, **style.LEVEL)
    here = [name for name in looks if (own["arm"] == name).any()]
    for place, name in zip(np.linspace(-0.5, 0.5, len(here)) if len(here) > 1 else [0.0], here, strict=True):
        look, arm = looks[name], own[own["arm"] == name].sort_values("shown")
        at = arm["shown"] * APART**place
        marked = {"color": look["color"], "marker": look["marker"], "markersize": 4, "markeredgewidth": 0}
        sns.lineplot(
            x=at, y=arm["heldout"], ax=axes, estimator=None, linestyle=look["linestyle"], linewidth=1.1, **marked
        )
        axes.vlines(at, arm["heldout_low"], arm["heldout_high"], color=look["color"], linewidth=0.9)
    axes.set(xlabel="", ylabel="")


def _thresholds(axes: Axes, own: pd.DataFrame, looks: dict[str, style.Look]) -> None:
    """K* of each arm with its interval, a row an arm; an arrow where only a bound is known."""
    known = {row["arm"]: row for row in own.drop_duplicates("arm").to_dict("records")}
    for number, (name, look) in enumerate(looks.items()):
        axes.axhline(number, color=style.RULE, linewidth=0.4, zorder=0)
        if name not in known:
            continue
        row = known[name]
        axes.plot([row["low"], row["high"]], [number, number], color=look["color"], linewidth=1.6)
        at = (known_k_star(row), number)
        axes.plot(*at, color=look["color"], marker=look["marker"], markersize=5, markeredgewidth=0)
        if str(row["bound"]) in ARROWS:
            arrow, aside = ARROWS[str(row["bound"])]
            axes.annotate(arrow, at, (aside, 0), textcoords="offset points", ha="center", va="center")


def finding(data: pd.DataFrame) -> str:
    """K* of each arm on the lattice that most arms were trained on, as a sentence."""
    if data.empty:
        return NOTHING
    own = data.drop_duplicates(["arm", *PANEL])
    places = list(own[PANEL].itertuples(index=False, name=None))
    place = max(dict.fromkeys(places), key=places.count)
    own = own[(own[PANEL] == list(place)).all(axis=1)].sort_values("k_star", kind="stable")
    parts = [f"{row['arm']} {_k_star(row)}" for row in own.to_dict("records")]
    return f"{_title(data, place)}, K* of {place[-1] ** 2} combinations: {rows.listed(parts, 12)}."


def _k_star(row: dict[Any, Any]) -> str:
    if row["bound"] in ENDS:
        return f"{row['bound']} {known_k_star(row):.0f}"
    ends = (row["low"], row["high"])
    return with_interval(row["k_star"], *ends) if all(map(math.isfinite, ends)) else f"{row['k_star']:.0f}"

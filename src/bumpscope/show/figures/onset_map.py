"""When x and y are learnt, over the spacing of the data on either axis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from bumpscope.judge.controls import SHARED, datasets
from bumpscope.judge.onsets import RESOLUTION
from bumpscope.show import rows, style
from bumpscope.store.results import Results

CAPTION = (
    "Left, middle: step at which the x and the y label are known to 3 px, geometric mean over seeds, by lattice "
    "spacing. Right: own gap ln tau_x/tau_y, negative where x is first; in brackets where its 90% interval includes "
    "0. Hatched: not timed; white: not trained; black frames: balanced. The datasets differ only in spacing."
)
TOPIC = "Imbalance"
WIDTH = style.DOUBLE
READS = ("onsets", "runs")
COLUMNS = {
    "dataset": "",
    "dx": "px",
    "dy": "px",
    "tau_x": "step; empty where not timed",
    "tau_y": "step",
    "own_gap": "ln tau_x/tau_y",
    "own_gap_low": "90% interval",
    "own_gap_high": "",
    "runs": "timed",
    "censored": "that never reach 3 px",
}
NOTHING = "No two datasets on a plane, without skew, that differ in their spacing alone have times."
LIMIT = 6
PANELS = {"tau_x": "step at 3 px, x", "tau_y": "step at 3 px, y", "own_gap": "ln tau_x/tau_y"}


def select(results: Results) -> pd.DataFrame:
    """Times of the datasets that differ in their spacing alone; of several such families that with the most cells."""
    nothing = pd.DataFrame(columns=list(COLUMNS))
    if not results.has("onsets") or results.runs.empty:
        return nothing
    onsets, table = results.table("onsets", measure=RESOLUTION), datasets(results.runs)
    plain = (table["boundary"] == "plane") & (table["skew_axis"] == "none") & (table["holdout"] == "none")
    plain &= (table["shown"] == "all") & (table["stripes"] == 0)
    plain &= (table["reference"] == "none") & table.index.isin(onsets["dataset"])
    length = table["image_size"] - 2 * table["margin"]
    plain &= ~np.isclose(table["dx"], length) & ~np.isclose(table["dy"], length)  # one position has no pace
    table = table.assign(t=onsets.set_index("dataset")["t"])
    families = [family for _, family in table[plain].groupby([*SHARED, "t"], sort=False)]
    if not families:
        return nothing
    cells = [len(family.drop_duplicates(["dx", "dy"])) for family in families]
    # Of several datasets in one cell the one with the most seeds.
    chosen = families[int(np.argmax(cells))].sort_values(
        "seeds", ascending=False, key=lambda s: s.map(len), kind="stable"
    )
    chosen = chosen.drop_duplicates(["dx", "dy"])[["dx", "dy"]].reset_index(names="dataset")
    found = chosen.merge(onsets, on="dataset").sort_values(["dx", "dy"], ignore_index=True)[[*COLUMNS]]
    return found if len(found) > 1 and found[["tau_x", "tau_y"]].notna().any().all() else nothing


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """Maps of both times and of their ratio over dx (across) and dy (up)."""
    if data.empty:
        return style.without_data(NOTHING)
    dx, note_x = rows.first(sorted(data["dx"].unique()), LIMIT, "spacings dx")
    dy, note_y = rows.first(sorted(data["dy"].unique()), LIMIT, "spacings dy")
    data = data[data["dx"].isin(dx) & data["dy"].isin(dy)].reset_index(drop=True)
    # The cells are squares, so that the height follows from the width.
    figure = Figure(figsize=(WIDTH, np.clip(2.1 * len(dy) / len(dx), 1.2, 3.2) + 1.5), layout="constrained")
    axes = figure.subplots(1, 3)
    for panel, (name, title) in zip(axes, PANELS.items(), strict=True):
        _map(panel, data, name, dx, dy)
        panel.set(title=title, xlabel="dx, px", ylabel="dy, px" if name == "tau_x" else "")
    times = figure.colorbar(axes[1].collections[0], ax=list(axes[:2]), location="bottom", fraction=0.08, aspect=30)
    times.set_label("optimiser step (log scale)")
    style.plain_logarithm(times.ax.xaxis)
    gaps = figure.colorbar(axes[2].collections[0], ax=axes[2], location="bottom", fraction=0.08, aspect=15)
    gaps.set_label("← x first     y first →")
    for bar in (times, gaps):
        bar.outline.set_linewidth(0.5)
    if data["tau_x"].isna().any():
        hatched = Patch(facecolor="white", edgecolor=style.GREY, hatch="////")
        figure.legend([hatched], ["not timed"], loc="outside lower left")
    style.heading(figure, note_x, note_y)
    return figure


def _map(axes: Axes, data: pd.DataFrame, name: str, dx: list[float], dy: list[float]) -> None:
    cells = data.assign(text=[_text(row, name, short=len(dx) > 4) for row in data.to_dict("records")])
    if name == "own_gap":  # a gap that may be none has no colour, or noise would look like an effect
        cells["own_gap"] = cells["own_gap"].where(_clear(data) | cells["own_gap"].isna(), 0.0)
    values, texts = (
        cells.pivot(index="dy", columns="dx", values=column).reindex(index=dy[::-1], columns=dx)
        for column in (name, "text")
    )
    sns.heatmap(
        values.astype(float), annot=texts.fillna(""), fmt="", square=True, cbar=False, ax=axes, **_colours(data, name),
        annot_kws={"fontsize": style.FONT_SIZE - 1 if len(dx) <= 4 else style.SMALLEST},
        xticklabels=[f"{value:.3g}" for value in dx], yticklabels=[f"{value:.3g}" for value in dy[::-1]],
    )  # fmt: skip
    axes.tick_params(length=0, rotation=0)
    axes.spines[:].set_visible(True)
    for row in data.to_dict("records"):
        corner = (dx.index(row["dx"]), len(dy) - 1 - dy.index(row["dy"]))
        if math.isnan(row[name]):
            axes.add_patch(Rectangle(corner, 1, 1, facecolor="white", edgecolor=style.GREY, hatch="////", linewidth=0))
        if math.isclose(row["dx"], row["dy"]):
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="black", linewidth=1.2, zorder=3))


def _colours(data: pd.DataFrame, name: str) -> dict[str, Any]:
    """Colours of a map: gaps from their largest to its negative; both times on one scale."""
    if name == "own_gap":
        widest = max(data.loc[_clear(data), "own_gap"].abs().max(), math.log(1.1)) if _clear(data).any() else 1.0
        return {"cmap": "PuOr", "norm": Normalize(-widest, widest)}
    times = data[["tau_x", "tau_y"]].to_numpy()
    low, high = np.nanmin(times), np.nanmax(times)
    # At least a factor of two from end to end, or small differences would look like large ones.
    beyond = max(1.02, math.sqrt(2 * low / high))
    return {"cmap": "viridis", "norm": LogNorm(low / beyond, high * beyond)}


def _clear(data: pd.DataFrame) -> pd.Series:
    """Whether the interval of each gap excludes 0."""
    return (data["own_gap_low"] > 0) | (data["own_gap_high"] < 0)


def _text(row: dict, name: str, short: bool = False) -> str:
    if math.isnan(row[name]):
        return ""
    if name != "own_gap":
        return f"{row[name]:.0f}"
    text = f"{round(row['own_gap'], 2) + 0.0:+.2f}".replace("-", "−")
    text = text.replace("0.", ".", 1) if short and abs(row["own_gap"]) < 0.995 else text
    return text if row["own_gap_low"] > 0 or row["own_gap_high"] < 0 else f"({text})"


def finding(data: pd.DataFrame) -> str:
    """The earliest and the latest time, and the largest gap, as a sentence."""
    timed = data.dropna(subset=["tau_x", "tau_y"])
    if timed.empty:
        return NOTHING
    times = timed.melt(["dx", "dy"], ["tau_x", "tau_y"], "axis", "tau")
    ends = []
    for place in (times["tau"].argmin(), times["tau"].argmax()):
        row = times.iloc[place]
        ends.append(f"{row['tau']:.0f} ({row['axis'][-1]}, dx {row['dx']:.3g}, dy {row['dy']:.3g})")
    clear = timed[_clear(timed)]
    text = f"Resolution reaches 3 px between step {ends[0]} and {ends[1]}. "
    text += f"Of {len(timed)} datasets {len(clear)} have an own gap whose interval excludes 0"
    if clear.empty:
        return f"{text}."
    row = clear.iloc[clear["own_gap"].abs().argmax()]
    return f"{text}, at most {row['own_gap']:+.2f} (ln tau_x/tau_y; dx {row['dx']:.3g}, dy {row['dy']:.3g})."

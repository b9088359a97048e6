"""When x and y are learnt, over the spacing of the data on either axis."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch, Rectangle

from bumpscope.judge.controls import SHARED, datasets
from bumpscope.show import style
from bumpscope.store.results import Results

CAPTION = (
    "Step at which the use of the x label (left) and of the y label (middle) reaches one half, geometric mean over "
    "seeds, for each pair of lattice spacings dx and dy; both panels share one logarithmic scale of colour, a factor "
    "of two or more wide. Right: the gap ln tau_x/tau_y, negative where x is learnt first; in brackets where its 90% "
    "interval over seeds includes 0 or where one seed gives none. Hatched: trained, but no seed's crossings could be "
    "timed; white: not trained. Black frames: balanced datasets. Only datasets that differ in nothing but their "
    "spacing are shown: on a plane, without skew and withheld block, of the model under study; of several such "
    "families the one with the most pairs."
)
TOPIC = "Imbalance"
WIDTH = style.DOUBLE
LIMIT = 6
NONE = "No two datasets on a plane, without skew, that differ in their spacing alone have times to half."
COLUMNS = ["dataset", "dx", "dy", "tau_x", "tau_y", "gap", "gap_low", "gap_high", "runs", "censored"]
PANELS = {"tau_x": "step at one half, x", "tau_y": "step at one half, y", "gap": "ln tau_x/tau_y"}


@style.apply()
def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """Maps of both times and of their ratio over dx (across) and dy (up).

    Returns:
        The figure, and columns of table onsets for the datasets shown, with their dx and dy; the times are empty where
        none could be taken.
    """
    data = _family(results)
    if len(data) < 2 or data["tau_x"].isna().all():
        return style.without_data(NONE), data.iloc[:0]
    dx, note_x = style.capped(sorted(data["dx"].unique()), LIMIT, "spacings dx")
    dy, note_y = style.capped(sorted(data["dy"].unique()), LIMIT, "spacings dy")
    data = data[data["dx"].isin(dx) & data["dy"].isin(dy)].reset_index(drop=True)
    # The cells are squares, so that the height follows from the width.
    height = np.clip(2.1 * len(dy) / len(dx), 1.2, 3.2)
    figure = Figure(figsize=(WIDTH, height + 1.5), layout="constrained")
    axes = figure.subplots(1, 3)
    times = data[["tau_x", "tau_y"]].to_numpy()
    low, high = np.nanmin(times), np.nanmax(times)
    # At least a factor of two from end to end, or small differences would look like large ones.
    beyond = max(1.02, math.sqrt(2 * low / high))
    shared = LogNorm(low / beyond, high * beyond)
    widest = max(data["gap"].abs().max(), math.log(1.1)) if data["gap"].notna().any() else 1.0
    for panel, (name, title) in zip(axes, PANELS.items(), strict=True):
        colours, norm = (
            (colormaps["PuOr"], Normalize(-widest, widest)) if name == "gap" else (colormaps["viridis"], shared)
        )
        image = _map(panel, data, name, dx, dy, colours, norm)
        panel.set_title(title)
        panel.set_xlabel("dx, px")
        if name == "tau_x":
            panel.set_ylabel("dy, px")
        if name != "tau_x":
            beside = list(axes[:2]) if name == "tau_y" else panel
            aspect = 30 if name == "tau_y" else 15
            bar = figure.colorbar(image, ax=beside, location="bottom", fraction=0.08, aspect=aspect)
            bar.outline.set_linewidth(0.5)
            if name == "tau_y":
                style.plain_logarithm(bar.ax.xaxis)
            bar.set_label("optimiser step (log scale)" if name == "tau_y" else "← x first     y first →")
    if data["tau_x"].isna().any():
        hatched = Patch(facecolor="white", edgecolor=style.GREY, hatch="////")
        figure.legend([hatched], ["not timed"], loc="outside lower left")
    style.heading(figure, finding(data), note_x, note_y)
    return figure, data


def _family(results: Results) -> pd.DataFrame:
    """The datasets that differ in their spacing alone; of several such families that with the most cells."""
    onsets = results.onsets
    if onsets is None or results.runs.empty:
        return pd.DataFrame(columns=COLUMNS)
    table = datasets(results.runs)
    plain = (table["boundary"] == "plane") & (table["skew_axis"] == "none") & ~table["withheld"]
    plain &= (table["reference"] == "none") & table.index.isin(onsets.loc[onsets["measure"] == "effects", "dataset"])
    families = [family for _, family in table[plain].groupby(SHARED, sort=False)]
    if not families:
        return pd.DataFrame(columns=COLUMNS)
    cells = [len(family.drop_duplicates(["dx", "dy"])) for family in families]
    # Of several datasets in one cell the one with the most seeds.
    chosen = families[int(np.argmax(cells))].sort_values("seeds", ascending=False, kind="stable")
    chosen = chosen.drop_duplicates(["dx", "dy"])[["dx", "dy"]].reset_index(names="dataset")
    found = chosen.merge(onsets[onsets["measure"] == "effects"], on="dataset")
    return found.sort_values(["dx", "dy"], ignore_index=True)[COLUMNS]


def _map(
    axes: Axes, data: pd.DataFrame, name: str, dx: list[float], dy: list[float], colours: Colormap, norm: Normalize
) -> AxesImage:
    grid = data.pivot(index="dy", columns="dx", values=name).reindex(index=dy, columns=dx).to_numpy(dtype=float)
    image = axes.imshow(np.ma.masked_invalid(grid), origin="lower", cmap=colours, norm=norm)
    size = style.FONT_SIZE - 1 if len(dx) <= 4 else style.SMALLEST
    for row in data.to_dict("records"):
        x, y, value = dx.index(row["dx"]), dy.index(row["dy"]), row[name]
        corner = (x - 0.5, y - 0.5)
        if math.isnan(value):
            axes.add_patch(Rectangle(corner, 1, 1, facecolor="white", edgecolor=style.GREY, hatch="////", linewidth=0))
        else:
            red, green, blue, _ = colours(norm(value))
            dark = 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.45
            axes.text(
                x,
                y,
                _text(row, name, short=len(dx) > 4),
                ha="center",
                va="center",
                fontsize=size,
                color="white" if dark else "black",
            )
        if math.isclose(row["dx"], row["dy"]):
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="black", linewidth=1.2, zorder=3))
    axes.set_xticks(range(len(dx)), [f"{value:.3g}" for value in dx])
    axes.set_yticks(range(len(dy)), [f"{value:.3g}" for value in dy])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(True)
    return image


def _text(row: dict, name: str, short: bool = False) -> str:
    if name != "gap":
        return f"{row[name]:.0f}"
    text = f"{round(row['gap'], 2) + 0.0:+.2f}".replace("-", "−")
    text = text.replace("0.", ".", 1) if short and abs(row["gap"]) < 0.995 else text
    return text if row["gap_low"] > 0 or row["gap_high"] < 0 else f"({text})"


def finding(data: pd.DataFrame) -> str:
    """The earliest and the latest time, and the largest gap, as a sentence."""
    timed = data.dropna(subset=["tau_x", "tau_y"])
    if len(data) < 2 or timed.empty:
        return NONE
    # By axis and spacings, so that the ends can be named.
    times = timed.melt(["dx", "dy"], ["tau_x", "tau_y"], "axis", "tau")
    ends = []
    for place in (times["tau"].argmin(), times["tau"].argmax()):
        row = times.iloc[place]
        ends.append(f"{row['tau']:.0f} ({row['axis'][-1]} at dx {row['dx']:.3g}, dy {row['dy']:.3g})")
    row = timed.iloc[timed["gap"].abs().argmax()]
    clear = ((timed["gap_low"] > 0) | (timed["gap_high"] < 0)).sum()
    return (
        f"Effects reach one half between step {ends[0]} and step {ends[1]}; {len(timed)} of {len(data)} datasets are "
        f"timed. The largest gap ln tau_x/tau_y is {row['gap']:+.2f} at dx {row['dx']:.3g}, dy {row['dy']:.3g}; in "
        f"{clear} of {len(timed)} its 90% interval excludes 0."
    )

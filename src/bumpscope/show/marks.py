"""Marks that figures share: curves with their seeds, intervals, names at the ends of lines, strips of phases."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from bumpscope.show import rows as tables
from bumpscope.show import style
from bumpscope.show.style import Look

# Of effects: of factors, and of pairs of factors.
MAIN: list[Look] = [style.EFFECTS["x"], style.EFFECTS["y"], {"color": style.GREEN, "linestyle": (0, (5, 1, 1, 1))}]
PAIR: list[Look] = [
    style.EFFECTS["xy"],
    {"color": style.VERMILLION, "linestyle": ":"},
    {"color": style.SKY, "linestyle": ":"},
]


def effect_looks(names: Iterable[str]) -> dict[str, Look]:
    """Looks of the effects of factors and of pairs of factors, such as x and x_size."""
    alone, pairs = tables.alone_and_paired(names)
    return dict(zip(alone, itertools.cycle(MAIN), strict=False)) | dict(zip(pairs, itertools.cycle(PAIR), strict=False))


def curves(
    axes: Axes,
    rows: pd.DataFrame,
    by: str,
    looks: Mapping[str, Look],
    width: float | Mapping[str, float] = 1.5,
    marker: str = "o",
    zorder: float = 2,
) -> list[tuple[float, str, Look]]:
    """Curves of columns run, step and value: a thick line for the mean over runs and a thin one for each of several.

    Args:
        by: column that tells the curves apart.
        looks: colour and dashes of each of its values; others are not drawn, and the last is on top.
        width: points, of all curves or of each.
        marker: at the checkpoints of the mean; empty for none.

    Returns:
        Where the mean of each curve ends, its name and its look, as :func:`label_ends` takes them.
    """
    names = [name for name in looks if (rows[by] == name).any()]
    widths = dict(width) if isinstance(width, Mapping) else dict.fromkeys(names, width)
    ends = []
    for name in names:
        own, look = rows[rows[by] == name], looks[name]
        drawn = own.dropna(subset="value").sort_values("step", kind="stable")
        # Drawn directly: a figure has a hundred of these, and seaborn takes a tenth of a second for each.
        if drawn["run"].nunique() > 1:
            for _, run in drawn.groupby("run"):
                thin: Look = {"linewidth": 0.35 * widths[name], "alpha": 0.55, "zorder": zorder}
                axes.plot(run["step"], run["value"], **look, **thin)
        mean = drawn.groupby("step")["value"].mean()
        axes.plot(
            mean.index, mean, **look, linewidth=widths[name], marker=marker, markersize=2 * widths[name],
            markeredgewidth=0, zorder=zorder,
        )  # fmt: skip
        ends.append((float(own.loc[own["step"] == own["step"].max(), "value"].mean()), name, look))
    return ends


def look_legend(figure: Figure, looks: Mapping[str, Look], **keywords: Any) -> None:
    """What lines and marks stand for, below the panels: label -> look."""
    handles = [Line2D([], [], **look) for look in looks.values()]
    figure.legend(handles, list(looks), loc="outside lower left", **keywords)


def mark(look: Look, **keywords: Any) -> Look:
    """The look of a mark without a line, for a legend."""
    return {"linestyle": "", "markersize": 4.5, **look, **keywords}


def note(axes: Axes, text: str, x: float = 0.5, y: float = 0.5, **keywords: Any) -> None:
    """Grey words in a panel, at fractions of it."""
    look: Any = {"ha": "center", "va": "center", "color": style.GREY, "transform": axes.transAxes}
    axes.text(x, y, text, **{**look, **keywords})


def interval(
    axes: Axes,
    place: float,
    ends: tuple[float, float, float],
    limits: tuple[float, float],
    look: Look,
    filled: bool = True,
    vertical: bool = True,
    shift: float = 0.0,
) -> None:
    """An estimate with its interval; an arrow at the edge where either lies beyond the limits of the axis.

    Args:
        place: on the other axis.
        ends: estimate, low, high; without an estimate nothing is drawn, without ends the estimate alone.
        limits: of the axis of the estimate.
        look: colour and marker.
        filled: whether the marker is filled.
        vertical: whether the estimate runs along the vertical axis.
        shift: points by which everything stands aside of ``place``.
    """
    estimate, low, high = ends
    if not np.isfinite(estimate):
        return
    figure = cast("Figure", axes.figure)
    right, up = (shift / 72, 0.0) if vertical else (0.0, -shift / 72)
    moved = axes.transData + ScaledTranslation(right, up, figure.dpi_scale_trans)

    def draw(values: Sequence[float] | np.ndarray, **keywords: Any) -> None:
        places = np.full(len(values), place)
        axes.plot(*((places, values) if vertical else (values, places)), transform=moved, **keywords)

    colour = look["color"]
    if np.isfinite([low, high]).all():
        draw(np.clip([low, high], *limits), color=colour, linewidth=1.3, solid_capstyle="butt", zorder=3)
    arrows = ("v", "^") if vertical else ("<", ">")
    beyond = (min(low, estimate) < limits[0], max(high, estimate) > limits[1])  # comparisons with NaN are false
    for edge, arrow, outside in zip(limits, arrows, beyond, strict=True):
        if outside:
            draw([edge], color=colour, marker=arrow, markersize=5, clip_on=False, zorder=5)
    if limits[0] <= estimate <= limits[1]:
        face = colour if filled else "white"
        draw([estimate], marker=look["marker"], color=colour, markersize=4.5, markerfacecolor=face, zorder=4)
    else:  # the arrow stands for an estimate: write it beside
        edge = limits[0] if estimate < limits[0] else limits[1]
        at, inwards = ((place, edge), (shift + 5, 0)) if vertical else ((edge, place), (0, 5 - shift))
        axes.annotate(
            f"{estimate:.2g}", at, inwards, textcoords="offset points", color=colour, fontsize=style.FONT_SIZE - 1.5,
            va="center" if vertical else "bottom", ha="left" if vertical or edge == limits[0] else "right",
        )  # fmt: skip


def gap_limits(gaps: pd.Series, least: float) -> tuple[float, float]:
    """Limits of an axis of gaps, as wide on both sides: every estimate is seen, whatever its interval.

    Args:
        least: a third of what is seen at least, without the margin.
    """
    widest = gaps.abs().max()
    reach = 1.3 * max(3 * least, 0.0 if np.isnan(widest) else float(widest))
    return -reach, reach


def label_ends(axes: Axes, entries: Sequence[tuple[float, str, Look]], gap: float = 0.1) -> None:
    """Name lines at the right edge of a panel, pushed apart where they would overlap.

    Each name comes with a piece of its line, so that it is known by its dashes where colour is lost.

    Args:
        entries: (y in data units, text, colour and dashes) a line; call it after the limits are set.
        gap: least distance between two labels, as a fraction of the panel's height.
    """
    named = [(_height(axes, y), text, look) for y, text, look in entries if np.isfinite(y)]
    named.sort(key=lambda entry: entry[0])
    heights = spread([entry[0] for entry in named], gap)
    for height, (_, text, look) in zip(heights, named, strict=True):
        piece = {"arrowstyle": "-", "linewidth": 1.3, "shrinkA": 2, "shrinkB": 3, "relpos": (0, 0.5), **look}
        axes.annotate(
            text,
            (1.0, height),
            (26, 0),
            xycoords=axes.transAxes,
            textcoords="offset points",
            annotation_clip=False,
            arrowprops=piece,
            color=look["color"],
            va="center",
            fontsize=style.FONT_SIZE - 0.5,
        )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Increasing heights moved up or down as little as needed to lie ``gap`` apart, within 0 to 1 where they fit.

    Neighbours that are too close form a block, which is centred on the mean of where its members belong.
    """
    blocks: list[list[float]] = []
    for height in heights:
        blocks.append([height])
        while len(blocks) > 1 and _bottom(blocks[-1], gap) < _bottom(blocks[-2], gap) + gap * len(blocks[-2]):
            last = blocks.pop()
            blocks[-1] += last
    return [_bottom(block, gap) + gap * k for block in blocks for k in range(len(block))]


def _bottom(block: list[float], gap: float) -> float:
    length = gap * (len(block) - 1)
    return max(0.0, min(float(np.mean(block)) - length / 2, 1.0 - length))


def _height(axes: Axes, y: float) -> float:
    """Height of a value in a panel, as a fraction of it."""
    point = (axes.transScale + axes.transLimits).transform((axes.get_xlim()[0], y))
    return float(np.clip(point[1], 0, 1))


def scaled_frame(axes: Axes, middle: tuple[float, float], half: float) -> None:
    """A square view without axes, ``half`` to each side of ``middle``, above a bar that gives its scale."""
    x, y = middle
    axes.set(xlim=(x - half, x + half), ylim=(y - 1.25 * half, y + half), xticks=[], yticks=[])
    axes.set_box_aspect(1.125)
    axes.spines[["left", "bottom"]].set_visible(False)
    length = round_number(0.5 * half)
    left, bottom = x - 0.95 * half, y - 1.17 * half
    axes.plot([left, left + length], [bottom, bottom], color=style.BLACK, linewidth=1.2, solid_capstyle="butt")
    axes.text(left + length + 0.06 * half, bottom, f"{length:g}", va="center", fontsize=style.FONT_SIZE - 1.5)


def round_number(value: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is not above ``value``."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(max(digit * power for digit in (1, 2, 5) if digit * power <= value * (1 + 1e-9)))


def segments(steps: np.ndarray, phases: list[str]) -> list[tuple[float, float, str]]:
    """Stretches (start, end, phase) of equal verdicts; borders lie halfway between checkpoints."""
    steps = np.asarray(steps, dtype=float)
    halfway = (steps[1:] + steps[:-1]) / 2
    # A single checkpoint has no neighbours, and still must be seen.
    borders = np.concatenate([[steps[0]], halfway, [steps[-1]]]) if len(steps) > 1 else steps[0] + np.array([-0.5, 0.5])
    merged: list[tuple[float, float, str]] = []
    for start, end, phase in zip(borders[:-1], borders[1:], phases, strict=True):
        if merged and merged[-1][2] == phase:
            merged[-1] = (merged[-1][0], float(end), phase)
        else:
            merged.append((float(start), float(end), phase))
    return merged


def phase_strip(
    axes: Axes, middle: float, height: float, steps: pd.Series, phases: pd.Series
) -> list[tuple[float, float, str]]:
    """Draw the verdicts of a run as a strip along the steps; returns its stretches (start, end, phase)."""
    stretches = segments(steps.to_numpy(), phases.tolist())
    for start, end, phase in stretches:
        axes.barh(
            middle,
            end - start,
            left=start,
            height=height,
            facecolor=style.PHASES[phase],
            edgecolor=style.GREY,
            linewidth=0.4,
            hatch=_hatch(phase),
        )
    return stretches


def groups_height(places: int, seeds: int) -> float:
    """Height of a figure, inches, with :func:`phase_groups` of this many places and seeds."""
    per_seed = min(0.1, ((style.TALLEST - 1.6) / places - 0.16) / seeds)
    return 0.9 + places * (0.16 + per_seed * seeds)


def phase_groups(axes: Axes, verdicts: pd.DataFrame, places: Sequence[str], steps: pd.Series) -> None:
    """A group of strips for each place, a strip for each seed.

    Args:
        verdicts: columns place, seed, step, phase (empty where it was not judged).
        steps: all checkpoints.
    """
    seeds = sorted(verdicts["seed"].unique())
    height = 0.85 / max(len(seeds), 1)
    drawn: list[tuple[float, float, str]] = []
    for row, place in enumerate(places):
        here = verdicts[(verdicts["place"] == place) & verdicts["phase"].notna()]
        if here.empty:
            note(axes, "not judged", 0.5, row + 0.425, transform=axes.get_yaxis_transform())
        for number, seed in enumerate(seeds):
            strip = here[here["seed"] == seed].sort_values("step")
            if len(strip):
                drawn += phase_strip(axes, row + height * (number + 0.5), 0.9 * height, strip["step"], strip["phase"])
    axes.set_yticks([row + 0.425 for row in range(len(places))], places)
    axes.set_ylim(len(places), -0.15)
    strip_axes(axes, steps, drawn)


def name_stretches(axes: Axes, drawn: list[tuple[float, float, float, str]]) -> None:
    """Write the phase into every stretch (start, end, height, phase) that has room for it."""
    across = axes.transData + axes.transAxes.inverted()
    for start, end, height, phase in drawn:
        left, right = across.transform([(start, height), (end, height)])[:, 0]
        if right - left > (0.02 if len(phase) == 1 else 0.055):
            place, _ = across.inverted().transform(((left + right) / 2, 0.0))
            # On hatching a letter needs a ground of its own.
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8} if phase == "?" else None
            axes.text(
                place, height, phase, ha="center", va="center_baseline", fontsize=style.FONT_SIZE - 1.5,
                color="white" if phase in ("B", "C") else "black", bbox=box,
            )  # fmt: skip


def strip_axes(axes: Axes, steps: pd.Series, drawn: Sequence[tuple]) -> None:
    """The axes of strips: checkpoints as small ticks below, no ticks at the left, no room beside the strips.

    Args:
        drawn: stretches that begin with their start and end.
    """
    checkpoints = np.unique(steps)
    axes.tick_params(axis="y", length=0)
    style.step_axis(axes, checkpoints)
    axes.set_xticks(checkpoints, minor=True)
    axes.tick_params(axis="x", which="minor", length=2)
    if drawn:
        axes.set_xlim(min(stretch[0] for stretch in drawn), max(stretch[1] for stretch in drawn))


def phase_legend(figure: Figure) -> None:
    """What the colours of the phases stand for, below the panels."""
    handles = [
        Patch(facecolor=colour, edgecolor=style.GREY, hatch=_hatch(phase)) for phase, colour in style.PHASES.items()
    ]
    names = ["A", "B", "C", "? between phases", "blind to disorder"]
    columns = 5 if figure.get_figwidth() > style.SINGLE else 3
    figure.legend(handles, names, loc="outside lower left", ncols=columns, columnspacing=1.0, handlelength=1.3)


def _hatch(phase: str) -> str | None:
    return "////" if phase == "?" else None

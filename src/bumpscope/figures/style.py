"""One look for all figures: legible at print size, told apart without colour, the same bytes every time."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import matplotlib
import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Patch
from matplotlib.textpath import text_to_path
from matplotlib.transforms import ScaledTranslation

from bumpscope.files import atomic_path

Look = dict[str, Any]  # color and linestyle, as matplotlib names them
Item = TypeVar("Item")

WIDTH = 7.2  # inches; two columns of a journal page
DPI = 200
FONT_SIZE = 8
# Okabe and Ito (2008), told apart by the colour-blind.
BLACK, BLUE, ORANGE, GREEN = "#000000", "#0072B2", "#E69F00", "#009E73"
PURPLE, VERMILLION, SKY, GREY = "#CC79A7", "#D55E00", "#56B4E9", "#767676"
# From light to dark as behaviour improves, so that they stay in order when printed in grey. The phases share the
# colours of the behaviours that the paper pairs them with.
OUTCOMES = {"none": "#e8e8e8", "multiple": "#f2c14e", "misplaced": "#c4602d", "correct": "#12305e"}
PHASES = {"A": OUTCOMES["multiple"], "B": OUTCOMES["misplaced"], "C": OUTCOMES["correct"], "?": "#ffffff"}
# The denoiser under study, and the reference models of known coupling: colour and marker.
MODELS: dict[str, Look] = {
    "none": {"color": BLUE, "marker": "o"},
    "factorised": {"color": GREEN, "marker": "v"},
    "gated": {"color": VERMILLION, "marker": "s"},
}
MODEL_NAMES = {"none": "model under study", "factorised": "factorised reference", "gated": "gated reference (coupled)"}
_CYCLE = (BLUE, ORANGE, GREEN, PURPLE, VERMILLION, SKY, BLACK)
_DASHES = ("-", "--", "-.", ":")

_SETTINGS: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, hence the same on every machine
    "font.size": FONT_SIZE,
    "axes.titlesize": FONT_SIZE + 0.5,
    "axes.titlelocation": "left",
    "axes.labelsize": FONT_SIZE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.labelsize": FONT_SIZE - 0.5,
    "ytick.labelsize": FONT_SIZE - 0.5,
    "legend.fontsize": FONT_SIZE - 0.5,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "figure.facecolor": "white",
    "hatch.linewidth": 0.5,
    "image.interpolation": "nearest",
    "pdf.fonttype": 42,
}


@contextmanager
def apply() -> Iterator[None]:
    """The settings under which figures are drawn and saved; also a decorator."""
    with matplotlib.rc_context(_SETTINGS):
        yield


def save(figure: Figure, path_pdf: str | Path, path_png: str | Path) -> None:
    """Write a figure as PDF and PNG; the same figure gives the same bytes, since neither carries a date."""
    kinds = (("pdf", path_pdf, {"CreationDate": None}), ("png", path_png, {"Software": None}))
    with apply():
        FigureCanvasAgg(figure)
        for kind, path, metadata in kinds:
            # In memory first: on a full disk matplotlib stumbles over its own half-written PDF and tells that instead.
            drawn = io.BytesIO()
            figure.savefig(drawn, format=kind, dpi=DPI, metadata=metadata)
            with atomic_path(path) as temporary:
                temporary.write_bytes(drawn.getbuffer())


def panels(count: int, columns: int, row_height: float, **keywords: Any) -> tuple[Figure, list[Axes]]:
    """A figure of ``count`` panels, row by row, at most ``columns`` in a row; ``row_height`` in inches."""
    rows = -(-count // columns)
    columns = -(-count // rows)  # no fewer panels in the last row than need be
    figure = Figure(figsize=(WIDTH, rows * row_height + 0.7), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, **keywords).ravel())
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def heading(figure: Figure, *lines: str) -> None:
    """Lines of text above the panels, wrapped to the figure's width; empty ones are left out."""
    width = (0.96 * figure.get_figwidth()) * 72
    text = "\n".join(wrapped(line, width) for line in lines if line)
    figure.suptitle(text, x=0.01, ha="left", fontsize=FONT_SIZE)


def wrapped(text: str, width: float) -> str:
    """Text in lines of at most ``width`` points, broken at spaces alone, so that names stay whole."""
    font = FontProperties(family=_SETTINGS["font.family"], size=FONT_SIZE)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_to_path.get_text_width_height_descent(longer, font, ismath=False)[0] > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def shortened(name: str, limit: int = 22) -> str:
    """A name that fits above a narrow panel."""
    return name if len(name) <= limit else f"{name[: limit - 1]}…"


def without_data(reason: str) -> Figure:
    """A figure that says why there is nothing to see."""
    figure = Figure(figsize=(0.75 * WIDTH, 1.2))
    figure.text(0.5, 0.5, wrapped(reason, 0.7 * WIDTH * 72), ha="center", va="center", fontsize=FONT_SIZE)
    return figure


def capped(names: Sequence[Item], limit: int, what: str) -> tuple[list[Item], str]:
    """The first ``limit`` names, and a sentence that says so where some are left out."""
    shown = list(names)[:limit]
    return shown, "" if len(shown) == len(names) else f"Shown: the first {limit} of {len(names)} {what}."


def listed(parts: Sequence[str], limit: int = 4) -> str:
    """A part of a sentence for each dataset, separated by semicolons; those beyond ``limit`` are counted."""
    rest = len(parts) - limit
    return "; ".join(parts[:limit]) + (f"; and {rest} more datasets" if rest > 0 else "")


def line_styles(names: Sequence[str]) -> dict[str, Look]:
    """Colour and dashes for each name; neighbours differ in both."""
    return {
        name: {"color": _CYCLE[k % len(_CYCLE)], "linestyle": _DASHES[k % len(_DASHES)]} for k, name in enumerate(names)
    }


def is_last_row(axes: Axes) -> bool:
    """Whether a panel stands in the last row of its figure."""
    place = axes.get_subplotspec()
    return place is None or place.is_last_row()


def is_first_column(axes: Axes) -> bool:
    """Whether a panel stands in the first column of its figure."""
    place = axes.get_subplotspec()
    return place is None or place.is_first_col()


def step_axis(axes: Axes, steps: Sequence[float] | np.ndarray, label: bool = True, ticks: int = 5) -> None:
    """A horizontal axis of optimiser steps, with about ``ticks`` numbers where it is linear.

    It is linear where the checkpoints are spread over it, and logarithmic (linear up to the first checkpoint after
    step 0) where most of them would crowd near the left end.
    """
    steps = np.unique(np.asarray(steps, dtype=float))
    positive = steps[steps > 0]
    crowded = len(positive) > 2 and positive[-1] > 5 * np.median(positive)
    if crowded:
        first, last = positive[0], positive[-1]
        axes.set_xscale("symlog", linthresh=first, linscale=0.4)
        decades = 10.0 ** np.arange(np.ceil(np.log10(first)), np.floor(np.log10(last)) + 1)
        axes.set_xticks([0.0, *decades] if steps[0] == 0 else decades)
        axes.set_xlim(-0.2 * first if steps[0] == 0 else 0.9 * first, 1.15 * last)
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(ticker.NullLocator())
    elif len(steps) == 1:
        axes.set_xticks(steps)
    else:
        axes.locator_params(axis="x", nbins=ticks)
    if label:
        axes.set_xlabel("optimiser step (log scale)" if crowded else "optimiser step")


def log_step_axis(axes: Axes, steps: Sequence[float] | np.ndarray, label: bool = True) -> None:
    """A logarithmic axis of optimiser steps, as onsets are interpolated; step 0 has no place on it."""
    positive = np.asarray(steps, dtype=float)
    positive = positive[positive > 0]
    axes.set_xscale("log")
    axes.set_xlim(0.9 * positive.min(), 1.1 * positive.max())
    plain_logarithm(axes.xaxis)
    if label:
        axes.set_xlabel("optimiser step (log scale)")


def seed_lines(axes: Axes, rows: pd.DataFrame, look: Look, width: float = 1.5) -> None:
    """Curves of columns run, step, value: a thick line for the mean over runs and a thin one for each of several."""
    if rows.empty:
        return
    if rows["run"].nunique() > 1:
        for _, run in rows.groupby("run"):
            axes.plot(run["step"], run["value"], **{**look, "linewidth": 0.35 * width, "alpha": 0.55})
    mean = rows.groupby("step")["value"].mean()
    axes.plot(mean.index, mean, **{"linewidth": width, "marker": "o", "markersize": 1.3 * width, **look})


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
    else:  # the arrow stands for an estimate, which must be told
        edge = limits[0] if estimate < limits[0] else limits[1]
        at, inwards = ((place, edge), (shift + 5, 0)) if vertical else ((edge, place), (0, 5 - shift))
        axes.annotate(
            f"{estimate:.2g}", at, inwards, textcoords="offset points", color=colour, fontsize=FONT_SIZE - 1.5,
            va="center" if vertical else "bottom", ha="left" if vertical or edge == limits[0] else "right",
        )  # fmt: skip


def plain_logarithm(axis: Axis) -> None:
    """Round numbers written out along a logarithmic axis; call it after the limits are set."""
    low, high = axis.get_view_interval()
    if high / low > 15:
        axis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 500 else (1.0,)))
    else:
        axis.set_major_locator(ticker.MaxNLocator(6, steps=[1, 2, 5, 10]))
        axis.set_minor_locator(ticker.NullLocator())
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(ticker.NullFormatter())


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
            fontsize=FONT_SIZE - 0.5,
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
            facecolor=PHASES[phase],
            edgecolor=GREY,
            linewidth=0.4,
            hatch=_hatch(phase),
        )
    return stretches


def phase_legend(figure: Figure) -> None:
    """What the colours of the phases stand for, below the panels."""
    handles = [Patch(facecolor=colour, edgecolor=GREY, hatch=_hatch(phase)) for phase, colour in PHASES.items()]
    figure.legend(handles, ["A", "B", "C", "no verdict"], loc="outside lower left", ncols=4)


def _hatch(phase: str) -> str | None:
    return "////" if phase == "?" else None

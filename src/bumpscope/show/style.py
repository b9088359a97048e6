"""The look of all figures: legible at print size and without colour, and the same bytes every time."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style, ticker
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from bumpscope.store.files import atomic_path

Look = dict[str, Any]  # color and linestyle, as matplotlib names them

# Widths, inches, at which a figure is printed without scaling: one or two columns of a journal page. Each figure's
# module says in WIDTH which of them it needs; with little to show it may be narrower.
SINGLE, DOUBLE = 3.4, 7.0
TALLEST = 9.2  # inches; a page with room for the caption
DPI = 200  # of the PNG
RASTER_DPI = 300  # of dense scatters and of images inside the PDF, whose lines and text are vectors
FONT_SIZE = 8
SMALLEST = 6.0  # points; nothing in a figure is set smaller
# Okabe and Ito (2008): distinct for the colour-blind.
BLACK, BLUE, ORANGE, GREEN = "#000000", "#0072B2", "#E69F00", "#009E73"
PURPLE, VERMILLION, SKY, GREY = "#CC79A7", "#D55E00", "#56B4E9", "#767676"
BAND, RULE, SHADE = "#dddddd", "#d0d0d0", "#00000080"  # behind lines; between rows; around white lines
PALE_BLUE, PALE_ORANGE, PALE_GREEN = "#a9cbe3", "#f3d9a4", "#a6dcc9"
# From light to dark as behaviour improves, so that they stay in order when printed in grey. The phases share the
# colours of the behaviours that the paper pairs them with.
OUTCOMES = {"none": "#e8e8e8", "multiple": "#f2c14e", "misplaced": "#c4602d", "correct": "#12305e"}
PHASES = {"A": OUTCOMES["multiple"], "B": OUTCOMES["misplaced"], "C": OUTCOMES["correct"]}
PHASES |= {"?": "#ffffff", "blind": "#9e9e9e"}
# Effects of labels.
EFFECTS: dict[str, Look] = {
    "x": {"color": BLUE, "linestyle": "-"},
    "y": {"color": ORANGE, "linestyle": "--"},
    "xy": {"color": PURPLE, "linestyle": ":"},
}
# The denoiser under study, and the reference models of known coupling: colour and marker.
MODELS: dict[str, Look] = {
    "none": {"color": BLUE, "marker": "o"},
    "factorised": {"color": GREEN, "marker": "v"},
    "gated": {"color": VERMILLION, "marker": "s"},
    "equal_resolution": {"color": PURPLE, "marker": "D"},
    "own_resolution": {"color": SKY, "marker": "^"},
}
# A ring around the requested centre, on dark images.
REQUEST: Look = {
    "color": ORANGE, "marker": "o", "markersize": 5.5, "markerfacecolor": "none", "markeredgewidth": 0.8,
}  # fmt: skip
# A line at a level that curves are read against.
LEVEL: Look = {"color": BLACK, "linewidth": 0.7, "linestyle": (0, (6, 3)), "zorder": 1}
MODEL_NAMES = {
    "none": "model under study",
    "factorised": "factorised reference",
    "gated": "gated reference (coupled in effect)",
    "equal_resolution": "reference of equal resolution (coupled in px)",
    "own_resolution": "reference of own resolution (factorised in px)",
}
# Seven colours and six dashes, ordered so that of 14 lines those with like dashes differ most in their greys.
_CYCLE = (BLUE, ORANGE, VERMILLION, BLACK, PURPLE, SKY, GREEN)
_DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (8, 2, 3, 2)))

# Over seaborn's style "ticks".
_SETTINGS: Any = {
    "text.color": BLACK,
    "axes.labelcolor": BLACK,
    "axes.edgecolor": BLACK,
    "xtick.color": BLACK,
    "ytick.color": BLACK,
    "patch.force_edgecolor": False,
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


# What seaborn's style "ticks" changes, written out, since importing seaborn takes longer than drawing most figures.
TICKS = {
    "axes.axisbelow": True,
    "axes.edgecolor": ".15",
    "axes.labelcolor": ".15",
    "font.sans-serif": ["Arial", "DejaVu Sans", "Liberation Sans", "Bitstream Vera Sans", "sans-serif"],
    "grid.color": ".8",
    "lines.solid_capstyle": "round",
    "patch.edgecolor": "w",
    "patch.force_edgecolor": True,
    "text.color": ".15",
    "xtick.color": ".15",
    "ytick.color": ".15",
}


@contextmanager
def apply() -> Iterator[None]:
    """The settings under which figures are drawn and saved; also a decorator."""
    # From the defaults on, so that a user's own matplotlibrc changes no figure.
    with style.context(["default", TICKS, _SETTINGS]):
        yield


def save(figure: Figure, path_pdf: str | Path, path_png: str | Path) -> None:
    """Write a figure as PDF and PNG; the same figure gives the same bytes, since neither carries a date.

    It is laid out once, for both: that is what takes longest in a figure of many panels.
    """
    kinds = (
        ("pdf", path_pdf, RASTER_DPI, {"CreationDate": None}),
        ("png", path_png, DPI, {"Software": None}),
    )
    with apply():
        FigureCanvasAgg(figure)
        figure.set_dpi(DPI)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for kind, path, dpi, metadata in kinds:
            # In memory first: on a full disk matplotlib stumbles over its own half-written PDF and tells that instead.
            drawn = io.BytesIO()
            figure.savefig(drawn, format=kind, dpi=dpi, metadata=metadata)
            with atomic_path(path) as temporary:
                temporary.write_bytes(drawn.getbuffer())


def panels(
    count: int, columns: int, row_height: float, width: float = DOUBLE, **keywords: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of ``count`` panels, at most ``columns`` in a row; ``row_height`` and ``width`` in inches."""
    rows = -(-count // columns)
    columns = -(-count // rows)  # no fewer panels in the last row than need be
    figure = Figure(figsize=(width, rows * row_height + 0.7), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, **keywords).ravel())
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def heading(figure: Figure, *lines: str) -> None:
    """Lines of text above the panels, wrapped to the figure's width; empty ones are left out."""
    if not any(lines):
        return
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


def spaced(name: str) -> str:
    """The name of a cell of the sweep, such as dx0p5_dy2, as `x 0.5 px, y 2 px`; any other name as it is."""
    cell = re.fullmatch(r"(torus_)?dx(\d[\dp]*)_dy(\d[\dp]*)(?:_(.+))?", name)
    if cell is None:
        return name
    x, y = (float(cell[axis].replace("p", ".")) for axis in (2, 3))
    return ", ".join(filter(None, [cell[1] and "torus", f"x {x:.3g} px, y {y:.3g} px", cell[4]]))


def without_data(reason: str) -> Figure:
    """A figure that says why there is nothing to see."""
    figure = Figure(figsize=(SINGLE, 1.0))
    figure.text(0.5, 0.5, wrapped(reason, 0.94 * SINGLE * 72), ha="center", va="center", fontsize=FONT_SIZE)
    return figure


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


def request_colours(torus: bool) -> str:
    """Name of the colours of a requested coordinate; on a torus they meet at both ends."""
    return "twilight_shifted" if torus else "viridis"


def plain_logarithm(axis: Axis) -> None:
    """Round numbers written out along a logarithmic axis; call it after the limits are set."""
    low, high = sorted(axis.get_view_interval())
    if high / low > 4:
        axis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 500 else (1.0,)))
    else:
        axis.set_major_locator(ticker.MaxNLocator(6, steps=[1, 2, 5, 10]))
        axis.set_minor_locator(ticker.NullLocator())
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(ticker.NullFormatter())

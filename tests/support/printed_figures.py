"""What a reader of a printed figure would stumble over, read off the drawn figure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox, BboxBase

from bumpscope.show import style


def written(figure: Figure) -> list[tuple[Text, Bbox]]:
    """All text that is drawn, with its place in pixels.

    An axis has a label for every tick that it might need, also beyond its limits; only those it draws count.
    """
    canvas = FigureCanvasAgg(figure)
    with style.apply():  # ticks come into being where they are drawn
        canvas.draw()
    renderer = canvas.get_renderer()
    hidden = set()
    for axis in figure.findobj(Axis):
        drawn = {id(tick) for tick in axis._update_ticks()} if axis.get_visible() and axis.axes.axison else set()
        for tick in [*axis.majorTicks, *axis.minorTicks]:
            if id(tick) not in drawn:
                hidden |= {id(tick.label1), id(tick.label2)}
        if not drawn and not axis.axes.axison:
            hidden |= {id(axis.label), id(axis.offsetText)}
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [(text, text.get_window_extent(renderer)) for text in texts if id(text) not in hidden]


def too_small(texts: Sequence[tuple[Text, Bbox]], least: float) -> list[str]:
    """Texts that are set smaller than ``least`` points."""
    return [f"{text.get_text()!r} {text.get_fontsize():g} pt" for text, _ in texts if text.get_fontsize() < least]


def outside(texts: Sequence[tuple[Text, Bbox]], page: BboxBase) -> list[str]:
    """Texts that run over the edge of the page by more than a pixel."""
    return [
        repr(text.get_text())
        for text, box in texts
        if box.x0 < -1 or box.y0 < -1 or box.x1 > page.x1 + 1 or box.y1 > page.y1 + 1
    ]


def overlapping(texts: Sequence[tuple[Text, Bbox]], share: float = 0.1) -> list[str]:
    """Pairs of texts of which one covers more than ``share`` of the other's area."""
    pairs = []
    for (one, box), (other, other_box) in combinations(texts, 2):
        common = Bbox.intersection(box, other_box)
        if common is None:
            continue
        smaller = min(box.width * box.height, other_box.width * other_box.height)
        if smaller > 0 and common.width * common.height > share * smaller:
            pairs.append(f"{one.get_text()!r} and {other.get_text()!r}")
    return pairs

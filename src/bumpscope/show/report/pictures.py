"""The figures as the report shows them: which there are, in which order, and with which claim."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pandas as pd
from PIL import Image

from bumpscope.judge import claims
from bumpscope.show import gallery
from bumpscope.show.failures import why_not_drawn
from bumpscope.store.files import CURE, FileError, first_line
from bumpscope.store.schemas import TABLES

# Pixels of a figure to one of the page: two columns of print fill the width, and all letters are of one size.
SHARPNESS = 1.5


@dataclass(frozen=True)
class Picture:
    """A figure on the page: ``image``, a data URI, or the line ``absent``, which says why there is none."""

    name: str
    title: str
    caption: str
    finding: str = ""
    image: str = ""
    absent: str = ""
    width: int = 0
    height: int = 0


def figure_names() -> list[str]:
    """The names of all figures: those of claims in their order, then the others by topic."""
    modules = {name: gallery.figure(name) for name in gallery.names()}
    others = sorted(modules, key=lambda name: (gallery.TOPICS.index(modules[name].TOPIC), name))
    return [
        name for name in dict.fromkeys([*(name for _, name in _named(claims.modules())), *others]) if name in modules
    ]


def placed(of: Iterable[str]) -> dict[str, str]:
    """Figure -> the one of these claims that it is shown with; others that name it link to it.

    That is the first claim that names it as its most telling figure, or else the first that names it.
    """
    named = _named(of)
    telling = [(claim, name) for claim, name in named if claims.modules()[claim].FIGURES[0] == name]
    places: dict[str, str] = {}
    for claim, name in [*telling, *named]:
        places.setdefault(name, claim)
    return places


def _named(of: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of a claim, one of these, and a figure that it names."""
    modules = claims.modules()
    return [(claim, name) for claim in of if claim in modules for name in modules[claim].FIGURES]


def picture(name: str, folder: Path) -> Picture:
    """A figure from the files NAME.png and NAME.csv, if they are there and have something to show."""
    module = gallery.figure(name)
    image, table = folder / f"{name}.png", folder / f"{name}.csv"
    title = gallery.title(module)

    def without(reason: str) -> Picture:
        return Picture(name, title, module.CAPTION, absent=reason)

    if not (image.exists() and table.exists()):
        return without("This figure has not been drawn.")
    if reason := why_not_drawn(table):
        return without(f"This figure could not be drawn ({reason}); logs/figures/{name}.log has more.")
    content, (width, height) = _whole(image)
    finding = _finding(module, table)
    if finding == module.NOTHING:
        return without(finding)
    uri = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    size = round(width / SHARPNESS), round(height / SHARPNESS)
    return Picture(name, title, module.CAPTION, finding, uri, "", *size)


def _whole(picture: Path) -> tuple[bytes, tuple[int, int]]:
    """The bytes of a picture, once they are known to be whole, and its size; each part of a PNG has a checksum."""
    content = picture.read_bytes()
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            image.load()
            size = image.size
    except (OSError, SyntaxError, ValueError) as error:
        raise FileError(f"{picture}: is not a readable picture ({first_line(error)}); {CURE}") from None
    return content, size


def _finding(module: ModuleType, path: Path) -> str:
    """The sentence of a figure, from the data behind it."""
    try:
        return str(module.finding(read_data(path, getattr(module, "TEXT", ()))))
    except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise FileError(f"{path}: is not the data behind its figure ({first_line(error)}); {CURE}") from error


def read_data(path: Path, text: Iterable[str] = ()) -> pd.DataFrame:
    """The data behind a figure.

    A dataset may be called NA or 1: only empty cells are missing, and columns that are text in any table of the package
    stay text, as do those named in ``text``.
    """
    known = {column.name for table in TABLES.values() for column in table.columns if column.kind == "text"}
    return pd.read_csv(path, dtype=dict.fromkeys([*known, *text], "str"), keep_default_na=False, na_values=[""])

"""docs/figures.md: every figure with its caption and its columns, from the modules that draw them."""

from __future__ import annotations

import importlib
import inspect
import re
from types import ModuleType

from bumpscope.show import animation, gallery, style

_INTRODUCTION = f"""\
# Figures

Made from `src/bumpscope/show/figures/` by `make reference`. Each figure is three files under `figures/` of the output
folder: NAME.pdf (vector), NAME.png ({style.DPI} dpi) and NAME.csv, which holds what is drawn. The same tables give the
same bytes. `snakemake figures --cores 2` makes just these and the animation, from the tables that are there: it trains,
probes and aggregates nothing again, and takes well under a minute for the default experiment.

## In a paper

- A figure is made for the width it states, one column of a journal page ({style.SINGLE:g} in) or two
  ({style.DOUBLE:g} in). Include it unscaled (`\\includegraphics{{figures/places.pdf}}`, no `width=`); then its text is
  {style.SMALLEST:g} to {style.FONT_SIZE + 0.5:g} pt. None is higher than {style.TALLEST:g} in. With nothing to show, a
  figure is one column wide and says why.
- The PDF has lines and text as such, with TrueType fonts (type 42) embedded. Dense points, generated images and scales
  of colour are pixels inside it, {style.RASTER_DPI} an inch.
- Colours are those of Okabe and Ito, and `viridis` for positions. Tests measure that colours that stand together
  differ for readers with protanopia, deuteranopia and tritanopia and in grey, or else that dashes or marks do.
- The sentence at the top is made from the numbers of the CSV, as is the one in the report. Captions are below, to be
  copied.
- To draw it another way, start from the CSV: `pandas.read_csv("results/figures/behaviour_mix.csv")`.

## Change the look

`src/bumpscope/show/style.py` has fonts, sizes, colours, markers and widths of all figures, `show/marks.py` beside it
how curves, intervals and phases are drawn; after an edit the next run draws them anew and writes the report again. What
one figure shows is in its own module; how to add one is in [extending.md](extending.md).

## Snakemake's own report

`snakemake --report report.zip` (or `report.html`), with the same `--configfile` and `--config` as the run, gathers the
claims, the report and all figures by topic with these captions, and adds the rules' code and run times. It needs no
network: what it needs comes with Snakemake. The zip is to be unpacked; its `report.html` opens the files beside it.
"""


def figures_page() -> str:
    """The page as Markdown."""
    modules = [importlib.import_module(f"bumpscope.show.figures.{name}") for name in gallery.names()]
    parts = [_INTRODUCTION.rstrip()]
    for topic in gallery.TOPICS:
        parts.append(f"## {topic}")
        parts += [_section(module) for module in modules if topic == module.TOPIC]
        if topic == animation.TOPIC:
            title = (animation.__doc__ or "").splitlines()[0]
            parts += [f"### `manifold.gif`\n\n{title}\n\n{animation.CAPTION}"]
    return "\n\n".join(parts) + "\n"


def _section(module: ModuleType) -> str:
    name = module.__name__.rpartition(".")[2]
    title = (module.__doc__ or "").splitlines()[0]
    columns = "two columns" if style.DOUBLE == module.WIDTH else "one column"
    return f"### `{name}`\n\n{title}\n\n{module.CAPTION}\n\nWidth: {columns}. Table: {_columns(module)}"


def _columns(module: ModuleType) -> str:
    """What ``draw`` says that it returns beside the figure."""
    told = inspect.getdoc(module.draw) or ""
    returns = " ".join(told.partition("Returns:")[2].split())
    found = re.sub(r"^The figure, and (columns )?", "", returns)
    if not found:
        raise ValueError(f"{module.__name__}.draw: its docstring has no Returns section")
    return found.replace("_", "\\_")

"""docs/figures.md: every figure with its caption and its columns, from the modules that draw them."""

from __future__ import annotations

import textwrap
from types import ModuleType

from bumpscope.show import animation, gallery, style

_INTRODUCTION = f"""\
# Figures

Made from `src/bumpscope/show/figures/` by `make reference`. A figure is three files under `figures/` of the output
folder: NAME.pdf (vector), NAME.png ({style.DPI} dpi) and NAME.csv (what is drawn). The same tables give the same bytes.
`snakemake figures --cores 2` draws them anew from the existing tables.

## In a paper

- Include a PDF unscaled. One column is {style.SINGLE:g} in wide, two are {style.DOUBLE:g} in; text is then
  {style.SMALLEST:g} to {style.FONT_SIZE + 0.5:g} pt. None is higher than {style.TALLEST:g} in. Without data a figure is
  one column wide and says why.
- Fonts are embedded as TrueType (type 42). Dense points, images and scales of colour are pixels, {style.RASTER_DPI} an
  inch.
- Colours are those of Okabe and Ito, and `viridis` for positions. Tests measure that they differ for the colour-blind
  and in grey, or that dashes or marks do.
- Findings are not in the pictures: `finding` computes them from the CSV, and the report shows them.

## In a notebook

`select` reads the tables, `draw` draws any frame with these columns, and `finding` says in a sentence what it shows:

```python
import bumpscope
from bumpscope.show.figures import behaviour_mix

data = behaviour_mix.select(bumpscope.open("results"))
figure = behaviour_mix.draw(data[data["dataset"] == "balanced"])
figure.savefig("balanced.pdf")
```

Fonts, sizes and colours are in `src/bumpscope/show/style.py`, shared marks in `marks.py` beside it. How to add a figure
is in [extending.md](extending.md).

## Snakemake's own report

`snakemake --report report.zip` (or `report.html`), with the same `--configfile` and `--config` as the run, gathers the
claims, the report and all figures by topic with these captions, and adds the rules' code and run times. It needs no
network. Unpack the zip; its `report.html` opens the files beside it.

## Columns

In all figures `run`, `dataset` and `seed` name a run, `step` is the optimiser step of a checkpoint, `layer` and `t` are
the place in the network and the diffusion timestep, `sample` is a generated image, and `value` is what is drawn.
"""


def figures_page() -> str:
    """The page as Markdown."""
    modules = [gallery.figure(name) for name in gallery.names()]
    parts = [_INTRODUCTION.rstrip()]
    for topic in gallery.TOPICS:
        parts.append(f"## {topic}")
        parts += [_section(module) for module in modules if topic == module.TOPIC]
        if topic == animation.TOPIC:
            parts.append("### `manifold.gif`\n\n" + _wrapped(_about(animation)))
    return "\n\n".join(parts) + "\n"


def _section(module: ModuleType) -> str:
    name = module.__name__.rpartition(".")[2]
    width = "two columns" if module.WIDTH == style.DOUBLE else "one column"
    columns = [f"`{column}`" + (f" ({meaning})" if meaning else "") for column, meaning in module.COLUMNS.items()]
    return f"### `{name}`\n\n{_wrapped(_about(module))}\n\n" + _wrapped(
        f"Width: {width}. Columns: {', '.join(columns)}."
    )


def _about(module: ModuleType) -> str:
    """Title and caption; a title that is a question needs no full stop."""
    title = gallery.title(module)
    return f"{title}{'' if title.endswith('?') else '.'} {module.CAPTION}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)

"""Imbalanced cells spelt out in one section, and the datasets it stands for: each cell with its controls."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field

from bumpscope.config.controls import (
    BALANCED,
    COUNT_TOLERANCE,
    NULLS,
    ONE_DIMENSIONAL,
    Pattern,
    matched,
    nulls,
    trained,
)
from bumpscope.config.dataset import Common, Dataset, ModelOverride
from bumpscope.config.lattice import centres
from bumpscope.config.model import Reference
from bumpscope.config.section import Section, canonical_json

CELL_LIMIT = 10_000
_CELLS_NAMED = 8

Spacing = Annotated[float, Field(gt=0.0)]
Ratio = Annotated[float, Field(gt=0.0, le=1.0e6)]
# With smaller exponents a dataset is hard to tell from one without skew.
Exponent = Annotated[float, Field(ge=0.01, le=10.0)]


Controls = bool | Literal["balanced", "both"]


def _controls(value: Any) -> Any:
    """Checked here, so that a wrong value gives one error and not one for each alternative."""
    if not (isinstance(value, bool) or value in ("balanced", "both")):
        raise ValueError("true, false, balanced or both")
    return value


class Spacings(Section):
    """A matrix of spacings; a pair with dx = dy is a balanced cell."""

    dx: list[Spacing] = Field([], description="spacings along x, px, each combined with every one of `dy`")
    dy: list[Spacing] = Field([], description="spacings along y, px")


class Ratios(Section):
    """Spacings by their ratio dy/dx, at a fixed number of images."""

    images: int = Field(144, ge=1, le=250_000, description="lattice points of a cell, to within 2 %")
    values: list[Ratio] = Field(
        [],
        description="dy/dx; n_x = round(sqrt(images x ratio)) centres along x and n_y = round(images / n_x) along y",
    )


class Skews(Section):
    """One axis drawn with skewed frequency, on a lattice of equal spacings."""

    spacing: Spacing = Field(1.0, description="dx = dy of these cells, px")
    x: list[Exponent] = Field([], description="exponents of the power law along x, a cell each")
    y: list[Exponent] = Field([], description="exponents of the power law along y, a cell each")


class Sweep(Section):
    """Imbalanced cells. Each becomes a dataset named after what it is: `dx0p5_dy2`, `torus_dx0p5_dy2`,
    `dx1_dy1_skewx1p5`, `dx0p5_dy2_factorised`, with p for the decimal point. With `controls` come the datasets it is
    compared with: the axes swapped (`dx2_dy0p5`) and, for each of the two, the one-dimensional nulls: either axis with
    one position on the other (`dx0p5_dy12`, `dx12_dy2`). Balanced controls, which no claim is judged by, are the square
    lattices at both spacings (`dx0p5_dy0p5`, `dx2_dy2`) and the one with the nearest number of images (`dx1_dy1`; left
    out, with a note in the banner, where that differs by more than 2 %); for a skewed axis both axes skewed
    (`dx1_dy1_skewboth1p5`) and neither. Nothing is trained twice: a dataset is not added if there is one with all its
    seeds and the same lattice, model, diffusion and training (apart from `checkpoints`, `log_every` and `compile`).
    """

    common: Common = Field(
        default_factory=Common,
        description="shared by all cells and controls: any key of a dataset but those that make a cell",
    )
    boundaries: list[Literal["plane", "torus"]] = Field(
        ["plane"], min_length=1, description="every cell on each of these; on a torus the margin is always 0"
    )
    spacings: Spacings = Field(
        Spacings(), description="{dx: [...], dy: [...]}: every dx with every dy, px; equal ones are a balanced cell"
    )
    ratios: Ratios = Field(
        Ratios(), description="{images: ..., values: [...]}: dy/dx at this number of images, to within 2 %"
    )
    skews: Skews = Field(
        Skews(), description="{spacing: ..., x: [...], y: [...]}: exponents for either axis at dx = dy = spacing"
    )
    controls: Annotated[Controls, BeforeValidator(_controls, json_schema_input_type=Controls)] = Field(
        True,
        description="add the controls of each imbalanced cell that are not there yet: true with one-dimensional nulls,"
        " which claims are judged by; balanced with balanced nulls instead; both with both; or false",
    )
    references: list[Reference] = Field(
        ["none"],
        min_length=1,
        description="every cell and control with each of these denoisers; none: that of `denoiser`",
    )

    @property
    def nulls(self) -> tuple[str, ...]:
        """The kinds of nulls that are added."""
        return {True: (ONE_DIMENSIONAL,), False: (), "balanced": (BALANCED,), "both": NULLS}[self.controls]

    def support(self, boundary: str) -> tuple[float, float]:
        """Margin and side of the square that the centres fill, px."""
        margin = 0.0 if boundary == "torus" else self.common.margin_on(boundary)
        return margin, self.common.image_size - 2 * margin

    def count(self) -> int:
        """Cells, without their controls."""
        lattices = len(self.spacings.dx) * len(self.spacings.dy) + len(self.ratios.values)
        return len(self.boundaries) * len(self.references) * (lattices + len(self.skews.x) + len(self.skews.y))

    def cells(self, boundary: str) -> Iterator[Cell]:
        """The cells on one boundary, in the order in which they are spelt out."""
        margin, length = self.support(boundary)
        for dx in self.spacings.dx:
            for dy in self.spacings.dy:
                yield Cell(boundary, margin, length, dx, dy)
        for ratio in self.ratios.values:
            n_x, n_y = ratio_counts(self.ratios.images, ratio)
            yield Cell(boundary, margin, length, length / n_x, length / n_y)
        for axis, exponents in (("x", self.skews.x), ("y", self.skews.y)):
            for alpha in exponents:
                yield Cell(boundary, margin, length, self.skews.spacing, self.skews.spacing, axis, alpha)


def ratio_counts(images: int, ratio: float) -> tuple[int, int]:
    """Centres along x and y of a lattice of about ``images`` points with dy/dx near ``ratio``; 0 where none fits."""
    n_x = round(math.sqrt(images * ratio))
    return n_x, round(images / n_x) if n_x else 0


@dataclass(frozen=True)
class Cell:
    """A lattice of a sweep.

    Attributes:
        margin: px kept free of centres at each edge.
        length: side of the square that the centres fill, px.
    """

    boundary: str
    margin: float
    length: float
    dx: float
    dy: float
    skew_axis: str = "none"
    skew_alpha: float = 0.0

    @property
    def images(self) -> int:
        return centres(self.length, self.dx) * centres(self.length, self.dy)

    def name(self, reference: str) -> str:
        """The name of its dataset; two cells of a sweep never share one."""
        parts = ["torus"] if self.boundary == "torus" else []
        parts += [f"{key}{_spacing_text(getattr(self, key), self.length)}" for key in ("dx", "dy")]
        if self.skew_axis != "none":
            parts.append(f"skew{self.skew_axis}{_decimal(self.skew_alpha, lambda short: short == self.skew_alpha)}")
        return "_".join(parts if reference == "none" else [*parts, reference])

    def dataset(self, common: Common, reference: str) -> Dataset:
        """The cell as the configuration would hold it."""
        shared = {name: getattr(common, name) for name in common.model_fields_set}
        model = common.model or ModelOverride()
        return Dataset.model_validate(
            shared
            | {"margin": self.margin, "dx": self.dx, "dy": self.dy, "boundary": self.boundary}
            | {"skew": {"axis": self.skew_axis, "alpha": self.skew_alpha}}
            | {"model": model.model_copy(update={"reference": reference})}
        )

    def controls(self, kinds: Collection[str]) -> Iterator[Cell]:
        """The controls of an imbalanced cell, with these kinds of nulls; a balanced one has none."""
        pattern = Pattern(self.dx, self.dy, self.skew_axis, self.skew_alpha, self.length)
        if pattern.kind is None or not kinds:
            return
        found = [pattern.swapped]
        for kind in kinds:
            found += [null for each in (pattern, pattern.swapped) for null in nulls(each).get(kind, ())]
        if BALANCED in kinds and (same := matched(pattern)) is not None:
            found.append(same)
        for each in found:
            yield replace(self, **each._asdict())
        side, share = self.nearest_square()
        if BALANCED in kinds and pattern.kind == "lattice" and share <= COUNT_TOLERANCE:
            yield replace(self, dx=self.length / side, dy=self.length / side)

    def nearest_square(self) -> tuple[int, float]:
        """Side of the square lattice with the nearest number of images, and by which share the numbers differ."""
        low = max(1, math.isqrt(self.images))
        side = min((low, low + 1), key=lambda n: abs(n * n - self.images))
        return side, abs(side * side - self.images) / self.images


def _spacing_text(spacing: float, length: float) -> str:
    """The shortest text that still gives the number of centres, in which alone spacings of one support differ."""
    count = centres(length, spacing)
    return _decimal(spacing, lambda short: short > 0 and centres(length, short) == count)


def _decimal(value: float, is_enough: Callable[[float], bool]) -> str:
    """``value`` with four decimals, or more where these are not enough, and p for the point."""
    texts = (f"{value:.{decimals}f}" for decimals in range(4, 25))
    text = next((text for text in texts if is_enough(float(text))), f"{value:.25f}")
    return text.rstrip("0").rstrip(".").replace(".", "p")


class Miscount(NamedTuple):
    """A cell without a square lattice of exactly as many images; ``control`` says whether the nearest is made."""

    name: str
    images: int
    nearest: int
    control: bool


class Expansion(NamedTuple):
    """What a sweep adds to the named datasets.

    Attributes:
        datasets: name -> dataset, in the order of the sweep, each cell before its controls.
        miscounts: cells without a square lattice of exactly as many images.
    """

    datasets: dict[str, Dataset]
    miscounts: list[Miscount]

    def notes(self) -> list[str]:
        """A line on the controls that differ in their number of images, and one on those that are not made."""

        def listed(found: Sequence[Miscount], word: str) -> str:
            shown = [f"{one.name} ({one.images} images; {word} {one.nearest})" for one in found[:_CELLS_NAMED]]
            rest = len(found) - _CELLS_NAMED
            return ", ".join(shown) + (f" and {rest} more cells" if rest > 0 else "")

        made = [one for one in self.miscounts if one.control]
        missing = [one for one in self.miscounts if not one.control]
        lines = [f"Controls with nearly as many images as their cell: {listed(made, 'control')}."] if made else []
        if missing:
            lines.append(f"No control with as many images, to within 2 %, for {listed(missing, 'nearest')}.")
        return lines


def expand(
    sweep: Sweep, named: Mapping[str, Dataset], seeds: Sequence[int], section: Callable[[str, Dataset], Any]
) -> Expansion:
    """The datasets that a sweep adds to the named ones.

    Args:
        seeds: the global ones.
        section: gives a section as it holds for a dataset.
    """

    def settings_of(dataset: Dataset) -> str:
        return trained(*(section(name, dataset) for name in ("model", "diffusion", "training", "denoiser")))

    def seeds_of(dataset: Dataset) -> set[int]:
        return set(seeds if dataset.seeds is None else dataset.seeds)

    there: dict[tuple[Any, ...], list[set[int]]] = {}
    for dataset in named.values():
        there.setdefault((_lattice_key(dataset), settings_of(dataset)), []).append(seeds_of(dataset))
    datasets, miscounts = {}, []
    for reference in sweep.references:
        settings = None
        for boundary in sweep.boundaries:
            for cell in sweep.cells(boundary):
                controls = list(cell.controls(sweep.nulls))
                for each in (cell, *controls):
                    dataset = each.dataset(sweep.common, reference)
                    # All cells with one reference are trained alike.
                    settings = settings or settings_of(dataset)
                    found, wanted = there.setdefault((_lattice_key(dataset), settings), []), seeds_of(dataset)
                    if not any(wanted <= trained for trained in found):
                        found.append(wanted)
                        datasets[each.name(reference)] = dataset
                if (
                    controls
                    and BALANCED in sweep.nulls
                    and cell.skew_axis == "none"
                    and reference == sweep.references[0]
                ):
                    side, share = cell.nearest_square()
                    if share > 0:
                        made = share <= COUNT_TOLERANCE
                        miscounts.append(Miscount(cell.name(reference), cell.images, side * side, made))
    return Expansion(datasets, miscounts)


def _lattice_key(dataset: Dataset) -> tuple[Any, ...]:
    """Equal for equal lattices; spacings count by the number of centres, so that rounding does not separate them."""
    plain = dataset.model_dump(
        include={"image_size", "sigma", "boundary", "polarity", "skew", "holdout", "shown", "stripes"}, mode="json"
    )
    return (canonical_json(plain), dataset.free_margin, *dataset.counts)

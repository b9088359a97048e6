"""What is wrong with a sweep, told once with the path of the sweep and not once for every cell that shares it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from bumpscope.config.checks import FACTORISED_IN_DARK, LATTICE_LIMIT, divides, lattice_faults, section_faults, show
from bumpscope.config.settings import OVERRIDABLE
from bumpscope.config.sweep import CELL_LIMIT, COUNT_TOLERANCE, Cell, Sweep, centres, ratio_counts

if TYPE_CHECKING:
    from bumpscope.config.experiment import Config


def contradictions(config: Config, left_out: Collection[str]) -> list[str]:
    """Faults of values of a sweep that are each well-typed, and of a grid with nothing in it.

    Args:
        left_out: top-level keys with faults of their own, which are not, in part or whole, in ``config``.
    """
    sweep = config.sweep
    lines = list(_lists(sweep))
    if sweep.count() > CELL_LIMIT:
        lines.append(
            f"sweep: holds {sweep.count()} cells; allowed: at most {CELL_LIMIT} with all boundaries and references"
        )
    elif sweep.count():
        lines += [*_shared(config, sections_too=not left_out), *_lattices(sweep)]
    if not lines and not left_out:
        lines += _names(config)
    if not (sweep.count() or config.datasets or lines or {"datasets", "sweep"} & set(left_out)):
        lines.append("datasets: holds {} (mapping); allowed: one dataset or more, or a sweep that makes one")
    return lines


def _lists(sweep: Sweep) -> Iterator[str]:
    """What no list may hold, whatever the lattice."""
    for key in ("boundaries", "references"):
        values = getattr(sweep, key)
        if len(set(values)) < len(values):
            yield f"sweep.{key}: holds {show(values)}; allowed: each once"
    numbers = {
        "spacings.dx": sweep.spacings.dx,
        "spacings.dy": sweep.spacings.dy,
        "ratios.values": sweep.ratios.values,
        "skews.x": sweep.skews.x,
        "skews.y": sweep.skews.y,
    }
    for key, values in numbers.items():
        # As near as this, datasets are taken for the same when controls are looked for.
        if any(math.isclose(a, b, rel_tol=1e-5) for a, b in pairwise(sorted(values))):
            yield f"sweep.{key}: holds {show(values)}; allowed: each once"
    if bool(sweep.spacings.dx) != bool(sweep.spacings.dy):
        both = "spacings along both axes, since every dx goes with every dy"
        yield f"sweep.spacings: holds {show(sweep.spacings.model_dump())}; allowed: {both}"


def _shared(config: Config, sections_too: bool) -> Iterator[str]:
    """Faults of what all cells share."""
    sweep, common = config.sweep, _common(config.sweep)
    if common.seeds is not None and len(set(common.seeds)) < len(common.seeds):
        yield f"sweep.common.seeds: holds {common.seeds}; allowed: each seed once"
    if common.model is not None and common.model.reference is not None:
        said = "no reference here; sweep.references says it"
        yield f"sweep.common.model.reference: holds {show(common.model.reference)}; allowed: {said}"
    if "factorised" in sweep.references and common.polarity == "dark":
        yield f"sweep.references: {FACTORISED_IN_DARK}"
    told: dict[str, None] = {}
    for boundary in sweep.boundaries:
        margin, length = sweep.support(boundary)
        # One centre an axis fits wherever there is a support.
        spacing = length if length > 0 else 1.0
        dataset = Cell(boundary, margin, length, spacing, spacing).dataset(common, "none")
        told |= dict.fromkeys(lattice_faults("sweep.common", dataset))
    yield from told
    if not sections_too:
        return
    sections = {name: config.section(name, dataset) for name in OVERRIDABLE}
    overridden = any(getattr(common, name) is not None for name in OVERRIDABLE)
    for key, fault in section_faults(common.image_size, **sections):
        yield f"{'sweep.common.' if overridden else ''}{key}: {fault}"
    if config.analysis.tolerance > common.image_size:
        at_most = f"at most image_size ({common.image_size} in sweep.common)"
        yield f"analysis.tolerance: holds {config.analysis.tolerance}; allowed: {at_most}"


def _common(sweep: Sweep) -> Any:
    """Its type is made from that of a dataset, which a type checker does not follow."""
    return sweep.common


def _lattices(sweep: Sweep) -> Iterator[str]:
    """Faults of spacings and counts."""
    yield from _ratios(sweep)
    for boundary in sweep.boundaries:
        _, length = sweep.support(boundary)
        if length <= 0:
            continue  # a fault of the margin
        keys: dict[str, Sequence[float]] = {"spacings.dx": sweep.spacings.dx, "spacings.dy": sweep.spacings.dy}
        if sweep.skews.x or sweep.skews.y:
            keys["skews.spacing"] = [sweep.skews.spacing]
        whole = True
        for key, values in keys.items():
            wrong = [spacing for spacing in values if not divides(spacing, length)]
            whole = whole and not wrong
            for spacing in wrong:
                what = "image_size" if boundary == "torus" else "image_size - 2 margin"
                divisor = f"a spacing that divides {what} = {length:g} ({boundary}) into a whole number of centres"
                yield f"sweep.{key}: holds {spacing}; allowed: {divisor}"
        if whole:
            yield from _too_many_points(sweep, boundary, length)


def _too_many_points(sweep: Sweep, boundary: str, length: float) -> Iterator[str]:
    """The largest lattice of each part, where it is too large."""
    parts = []
    dx, dy = (min(values, default=math.inf) for values in (sweep.spacings.dx, sweep.spacings.dy))
    if sweep.spacings.dx and sweep.spacings.dy:
        parts.append((f"spacings.dx, dy: hold {dx}, {dy}", dx, dy, "lattice points"))
        if sweep.controls:
            balanced = "lattice points in its balanced control"
            parts += [(f"spacings.{key}: holds {d}", d, d, balanced) for key, d in (("dx", dx), ("dy", dy))]
    if sweep.skews.x or sweep.skews.y:
        spacing = sweep.skews.spacing
        parts.append((f"skews.spacing: holds {spacing}", spacing, spacing, "lattice points"))
    for told, x, y, what in parts:
        if (points := centres(length, x) * centres(length, y)) > LATTICE_LIMIT:
            yield f"sweep.{told}; allowed: at most {LATTICE_LIMIT} {what} (on a {boundary} {points})"


def _ratios(sweep: Sweep) -> Iterator[str]:
    images, seen = sweep.ratios.images, dict[tuple[int, int], float]()
    for ratio in sweep.ratios.values:
        here = f"sweep.ratios.values: holds {ratio}"
        n_x, n_y = counts = ratio_counts(images, ratio)
        if math.isclose(ratio, 1.0):
            yield f"{here}; allowed: a ratio other than 1, which is balanced (a pair dx = dy of spacings makes that)"
        elif min(counts) < 2:
            enough = f"enough for two centres along each axis at a ratio of {ratio} (these make {n_x} x {n_y})"
            yield f"sweep.ratios.images: holds {images}; allowed: {enough}"
        elif n_x == n_y:
            balanced = f"a ratio that makes lattices of unequal counts (of {images} images {n_x} x {n_y}: balanced)"
            yield f"{here}; allowed: {balanced}"
        elif abs(n_x * n_y - images) > COUNT_TOLERANCE * images:
            near = f"a ratio whose n_x x n_y is within 2 % of {images} images (this makes {n_x} x {n_y} = {n_x * n_y})"
            yield f"{here}; allowed: {near}"
        elif counts in seen:
            other = f"a ratio that makes another lattice than {seen[counts]} does (both make {n_x} x {n_y})"
            yield f"{here}; allowed: {other}"
        elif sweep.controls and max(counts) ** 2 > LATTICE_LIMIT:
            control = f"whose balanced control has at most {LATTICE_LIMIT} lattice points (it has {max(counts) ** 2})"
            yield f"{here}; allowed: a ratio {control}"
        seen.setdefault(counts, ratio)


def _names(config: Config) -> Iterator[str]:
    """Named datasets that have the name of a cell and are something else."""
    made = config.expansion().datasets
    for name in config.datasets:
        if name.lower() in made:
            other = "a name that no cell of the sweep has, or the same settings and all its seeds"
            yield f"datasets.{name}: holds another dataset than the sweep makes under this name; allowed: {other}"

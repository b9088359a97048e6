"""Faults of a sweep, each given once with the path in the sweep and not once for every cell."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from bumpscope.config.checks import LATTICE_LIMIT, NOT_IN_DARK, divides, lattice_faults, repeated, settings_faults
from bumpscope.config.controls import BALANCED, COUNT_TOLERANCE
from bumpscope.config.faults import Fault
from bumpscope.config.lattice import centres
from bumpscope.config.sweep import CELL_LIMIT, Cell, Sweep, ratio_counts

if TYPE_CHECKING:
    from bumpscope.config.experiment import Config


def contradictions(config: Config, left_out: Collection[str]) -> list[str]:
    """Faults of a sweep whose values are each well-typed, and of a grid with nothing in it, a line each.

    Args:
        left_out: top-level keys with faults of their own, which are not, or not wholly, in ``config``.
    """
    sweep = config.sweep
    lines = [fault.line("sweep.") for fault in _lists(sweep)]
    if sweep.count() > CELL_LIMIT:
        allowed = f"at most {CELL_LIMIT} with all boundaries and references"
        lines.append(f"sweep: holds {sweep.count()} cells; allowed: {allowed}")
    elif sweep.count():
        lines += [fault.line("sweep.") for fault in _shared(sweep)]
        lines += settings_faults(config, sweep.common, "sweep.common.") if not left_out else []
        lines += [fault.line("sweep.") for fault in (*_ratios(sweep), *_lattices(sweep))]
    if not lines and not left_out:
        lines += [fault.line("datasets.") for fault in _names(config)]
    if not (sweep.count() or config.datasets or lines or {"datasets", "sweep"} & set(left_out)):
        lines.append(Fault("datasets", {}, "one dataset or more, or a sweep that makes one").line())
    return lines


def _lists(sweep: Sweep) -> Iterator[Fault]:
    """What no list may hold, whatever the lattice."""
    for key in ("boundaries", "references"):
        if repeated(getattr(sweep, key)):
            yield Fault(key, getattr(sweep, key), "each once")
    numbers = {
        "spacings.dx": sweep.spacings.dx,
        "spacings.dy": sweep.spacings.dy,
        "ratios.values": sweep.ratios.values,
        "skews.x": sweep.skews.x,
        "skews.y": sweep.skews.y,
    }
    for key, values in numbers.items():
        # Datasets as close as this count as the same when controls are looked for.
        if any(math.isclose(a, b, rel_tol=1e-5) for a, b in pairwise(sorted(values))):
            yield Fault(key, values, "each once")
    if bool(sweep.spacings.dx) != bool(sweep.spacings.dy):
        allowed = "spacings along both axes, since every dx goes with every dy"
        yield Fault("spacings", sweep.spacings.model_dump(), allowed)


def _shared(sweep: Sweep) -> Iterator[Fault]:
    """Faults of what all cells share, without those of the sections in force."""
    common = sweep.common
    if common.seeds is not None and repeated(common.seeds):
        yield Fault("common.seeds", common.seeds, "each seed once")
    if common.model is not None and common.model.reference is not None:
        yield Fault("common.model.reference", common.model.reference, "no reference here; sweep.references says it")
    if common.denoiser is not None and sweep.references != ["none"]:
        yield Fault("references", sweep.references, "[none] where common.denoiser names one")
    if "factorised" in sweep.references and common.polarity == "dark":
        yield Fault("references", "factorised", NOT_IN_DARK)
    found: dict[str, Fault] = {}
    for boundary in sweep.boundaries:
        margin, length = sweep.support(boundary)
        # One centre an axis fits wherever there is room for any.
        spacing = length if length > 0 else 1.0
        lattice = Cell(boundary, margin, length, spacing, spacing).dataset(common, "none")
        found |= {fault.line(): fault for fault in lattice_faults(lattice)}
    for fault in found.values():
        yield fault._replace(key=f"common.{fault.key}")


def _lattices(sweep: Sweep) -> Iterator[Fault]:
    """Faults of spacings."""
    for boundary in sweep.boundaries:
        _, length = sweep.support(boundary)
        if length <= 0:
            continue  # a fault of the margin
        keys: dict[str, Sequence[float]] = {"spacings.dx": sweep.spacings.dx, "spacings.dy": sweep.spacings.dy}
        if sweep.skews.x or sweep.skews.y:
            keys["skews.spacing"] = [sweep.skews.spacing]
        wrong = [(key, spacing) for key, values in keys.items() for spacing in values if not divides(spacing, length)]
        for key, spacing in wrong:
            side = f"{'image_size' if boundary == 'torus' else 'image_size - 2 margin'} = {length:g} ({boundary})"
            yield Fault(key, spacing, f"a spacing that divides {side} into a whole number of centres")
        if not wrong:
            yield from _too_many_points(sweep, boundary, length)


def _too_many_points(sweep: Sweep, boundary: str, length: float) -> Iterator[Fault]:
    """The largest lattice of each part, where it is too large."""

    def checked(key: str, value: float | list[float], x: float, y: float, what: str = "") -> Iterator[Fault]:
        if (points := centres(length, x) * centres(length, y)) > LATTICE_LIMIT:
            yield Fault(key, value, f"at most {LATTICE_LIMIT} lattice points{what} (on a {boundary} {points})")

    if sweep.spacings.dx and sweep.spacings.dy:
        dx, dy = min(sweep.spacings.dx), min(sweep.spacings.dy)
        yield from checked("spacings.dx, dy", [dx, dy], dx, dy)
        if BALANCED in sweep.nulls:
            yield from checked("spacings.dx", dx, dx, dx, " in its balanced control")
            yield from checked("spacings.dy", dy, dy, dy, " in its balanced control")
    if sweep.skews.x or sweep.skews.y:
        spacing = sweep.skews.spacing
        yield from checked("skews.spacing", spacing, spacing, spacing)


def _ratios(sweep: Sweep) -> Iterator[Fault]:
    images, seen = sweep.ratios.images, dict[tuple[int, int], float]()
    for ratio in sweep.ratios.values:
        n_x, n_y = counts = ratio_counts(images, ratio)
        if min(counts) < 2 and not math.isclose(ratio, 1.0):
            allowed = f"enough for two centres along each axis at a ratio of {ratio} (these make {n_x} x {n_y})"
            yield Fault("ratios.images", images, allowed)
        elif allowed := _allowed_ratio(sweep, ratio, n_x, n_y, seen.get(counts)):
            yield Fault("ratios.values", ratio, allowed)
        seen.setdefault(counts, ratio)


def _allowed_ratio(sweep: Sweep, ratio: float, n_x: int, n_y: int, same: float | None) -> str:
    """What is allowed instead of a ratio that makes n_x x n_y centres, as the ratio ``same`` does; empty if it is."""
    images, largest = sweep.ratios.images, max(n_x, n_y) ** 2
    if math.isclose(ratio, 1.0):
        return "a ratio other than 1, which is balanced (a pair dx = dy of spacings makes that)"
    if n_x == n_y:
        return f"a ratio that makes lattices of unequal counts (of {images} images {n_x} x {n_y}: balanced)"
    if abs(n_x * n_y - images) > COUNT_TOLERANCE * images:
        return f"a ratio whose n_x x n_y is within 2 % of {images} images (this makes {n_x} x {n_y} = {n_x * n_y})"
    if same is not None:
        return f"a ratio that makes another lattice than {same} does (both make {n_x} x {n_y})"
    if BALANCED in sweep.nulls and largest > LATTICE_LIMIT:
        return f"a ratio whose balanced control has at most {LATTICE_LIMIT} lattice points (it has {largest})"
    return ""


def _names(config: Config) -> Iterator[Fault]:
    """Named datasets that have the name of a cell and are something else."""
    made = config.expansion().datasets
    for name, dataset in config.datasets.items():
        if name.lower() in made:
            allowed = "a name that no cell of the sweep has, or the same settings and all its seeds"
            yield Fault(name, dataset.model_dump(mode="json", exclude_unset=True), allowed)

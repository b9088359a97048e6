"""A trial of worlds before any job: are they what the others expect?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from bumpscope.config.denoiser import OF_TWO
from bumpscope.config.experiment import Config
from bumpscope.config.faults import Fault
from bumpscope.config.loading import ConfigError
from bumpscope.config.run import Run
from bumpscope.store.provenance import code_fingerprint
from bumpscope.worlds.factor import Factor
from bumpscope.worlds.named import WorldError, world_of
from bumpscope.worlds.reading import judged, read
from bumpscope.worlds.world import World

LARGEST_LATTICE = 250_000
# Names of factors become names of columns, which other columns must not share.
TAKEN = {
    *("step", "t", "weights", "sample", "split", "bumps", "amplitude", "width", "error", "outcome", "misses", "image"),
    *("all", "both", "none", "low", "high", "permuted", "median", "averaged", "denoised", "r2", "knn"),
}
FEWEST_FACTORS, MOST_FACTORS = 2, 3


def examined(config: Config) -> None:
    """Try the worlds of all datasets that cannot be checked without building them.

    Raises:
        ConfigError: with a line for each fault.
    """
    faults: dict[str, None] = {}
    runs = {run.dataset: run for run in config.runs()}.values()
    for run in runs:
        if run.lattice.world.has_centres:
            continue
        here = f"datasets.{run.dataset}."
        try:
            world = world_of(run.lattice)
            found = [fault.line(here) for fault in _faults(world, run)] or [*_wrong(world, here)]
        except WorldError as error:
            found = [f"{here}{error}"]
        faults |= dict.fromkeys(found)
    if not faults and config.analysis.tolerances:
        faults = dict.fromkeys(_tolerance_faults(config.analysis.tolerances, [world_of(run.lattice) for run in runs]))
    if faults:
        raise ConfigError(list(faults))


def _tolerance_faults(tolerances: Mapping[str, float], worlds: Sequence[World]) -> Iterator[str]:
    """Tolerances that no factor has, or as large as all that a factor can differ by."""
    own = {factor.name: factor for world in worlds for factor in world.factors if factor.tolerance is not None}
    for name, value in tolerances.items():
        if name not in own:
            allowed = f"another factor ({', '.join(own)})" if own else "left out, since all factors are in px"
            yield Fault(f"analysis.tolerances.{name}", value, allowed).line()
        elif value > own[name].extent[1]:
            factor = own[name]
            allowed = f"at most {factor.extent[1]:.3g} {factor.unit_of_distance}, the range of {name}"
            yield Fault(f"analysis.tolerances.{name}", value, allowed).line()


def _faults(world: World, run: Run) -> Iterator[Fault]:
    """Values of a dataset that do not fit its world."""
    lattice, names = run.lattice, list(world.names)
    listed = world.names.listed
    if lattice.skew.axis not in ("none", "both", *names):
        yield Fault("skew.axis", lattice.skew.axis, f"one of none, {', '.join(names)} or both")
    elif lattice.skew.alpha and not any(np.ptp(factor.probability) > 0 for factor in world.factors):
        yield Fault("skew", lattice.skew.model_dump(), f"left out, since {lattice.world.kind} draws all values alike")
    if (denoiser := run.denoiser.kind) in OF_TWO and len(names) != 2:
        allowed = f"another, since {denoiser} needs two labels, and {lattice.world.kind} has {listed}"
        yield Fault("denoiser.kind", denoiser, allowed)
    if (points := math.prod(len(factor.grid) for factor in world.factors)) > LARGEST_LATTICE:
        yield Fault(
            "world", lattice.world.model_dump(), f"at most {LARGEST_LATTICE} lattice points (these make {points})"
        )
    if (held := lattice.holdout) is not None:
        if set(held.intervals) != set(names):
            yield Fault("holdout", held.intervals, f"[low, high] for each of {listed}")
            return
        for factor in world.factors:
            low, high = block = held.intervals[factor.name]
            inside = np.count_nonzero((factor.grid >= low - 1e-9) & (factor.grid <= high + 1e-9))
            if not 0 < inside < len(factor.grid):
                allowed = f"[low, high] with some of {_shown(factor.grid)} in it, and some not"
                yield Fault(f"holdout.{factor.name}", block, allowed)
    if run.probe.interventions:
        allowed = f"an empty list, since {listed} have no common distance" if len(world.names.groups) > 1 else ""
        if allowed:
            yield Fault("probe.interventions", run.probe.interventions, allowed)


def _shown(grid: np.ndarray) -> str:
    values = [f"{value:.4g}" for value in grid]
    return ", ".join(values if len(values) <= 8 else [*values[:4], "…", *values[-2:]])


def _wrong(world: World, here: str) -> Iterator[str]:
    """What a world does that the others do not expect."""
    kind = f"{here}world.kind: {world.lattice.world.kind}"
    factors = world.factors
    if not FEWEST_FACTORS <= len(factors) <= MOST_FACTORS:
        yield f"{kind} has {len(factors)} factors; allowed: {FEWEST_FACTORS} or {MOST_FACTORS}"
        return
    if wrong := [factor.name for factor in factors if not _is_name(factor.name)]:
        yield f"{kind} has factors named {', '.join(wrong)}; allowed: small letters and digits, and no word of a table"
        return
    if wrong := [factor.name for factor in factors if not _is_sound(factor)]:
        yield f"{kind}: the grid of {', '.join(wrong)} must be increasing, with a probability for each value"
        return
    labels = world.points.labels[:: max(1, len(world.points.labels) // 8)]
    try:
        code_fingerprint(world.lattice.world.path)
        images = np.asarray(world.render(labels), dtype=np.float64)
        wanted = (len(labels), *world.image_shape)
        if images.shape != wanted:
            yield f"{kind} draws images of shape {images.shape}; allowed: {wanted}"
            return
        found = read(world, images, 0.25)
    except Exception as error:  # whatever code from elsewhere raises
        first = (str(error).strip() or "no message").splitlines()[0]
        yield f"{kind} cannot draw and read its labels ({type(error).__name__}: {first})"
        return
    if not (np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1):
        yield f"{kind} draws intensities from {images.min():.3g} to {images.max():.3g}; allowed: 0 to 1"
    elif missing := [name for name in ("bumps", *world.names, "amplitude", "width") if name not in found]:
        yield f"{kind} does not read {', '.join(missing)} from its images"
    else:
        outcomes = judged(world, found, labels, world.tolerances(1.0))["outcome"]
        if missed := int((outcomes != "correct").sum()):
            yield (
                f"{kind} reads {missed} of {len(outcomes)} of its own images as another label than they were drawn by"
                f" ({', '.join(sorted(set(outcomes)))}); within the tolerance it must read what it draws"
            )


def _is_name(name: str) -> bool:
    return name.isascii() and name.isalnum() and name[0].isalpha() and name == name.lower() and name not in TAKEN


def _is_sound(factor: Factor) -> bool:
    grid, probability = np.asarray(factor.grid), np.asarray(factor.probability)
    even = len(grid) > 0 and bool((np.diff(grid) > 0).all()) and probability.shape == grid.shape
    return even and bool((probability > 0).all()) and bool(np.isfinite(grid).all())

"""Values that are each well-typed but cannot work, or cannot work together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from bumpscope.config.dataset import OVERRIDABLE, Common
from bumpscope.config.denoiser import KNOWN, OF_CENTRES
from bumpscope.config.faults import Fault, show
from bumpscope.config.lattice import Interval, Lattice, Shown
from bumpscope.config.model import REFERENCES
from bumpscope.config.section import Section
from bumpscope.config.sensitivity import Sensitivity
from bumpscope.config.world import OF_SOME_WORLDS

if TYPE_CHECKING:
    from bumpscope.config.dataset import Dataset
    from bumpscope.config.diffusion import Diffusion
    from bumpscope.config.experiment import Config
    from bumpscope.config.model import Model
    from bumpscope.config.probe import Probe
    from bumpscope.config.training import Training

LATTICE_LIMIT = 250_000
# Exact images at sub-pixel centres were read back (worlds.behaviour.classify). At 0.5 px every outcome is correct; the
# position is exact inside the image and 0.25 px off at most in its outermost half pixel. At 0.44 px it is 0.5 px off
# there, at 0.35 px the fitted amplitude falls to 0.47, and at 0.3 px images are read as holding no bump.
LEAST_SIGMA = 0.5
# The estimates of the two axes are multiplied, and no product of two gives a dark bump.
NOT_IN_DARK = "another with polarity dark"


def contradictions(config: Config, sections_too: bool) -> Iterator[str]:
    """Faults of all but the sweep, a line each.

    Args:
        sections_too: check model, diffusion, training, probe and analysis as well; for this none of them may be
            missing because of a fault of its own.
    """
    names = list(config.datasets)
    if repeated(config.seeds):
        yield Fault("seeds", config.seeds, "each seed once").line()
    if repeated([name.lower() for name in names]):
        yield Fault("datasets", names, "names that differ in more than case").line()
    if not config.output.strip("/") or set("{}~*?[]$\n") & set(config.output):
        yield Fault("output", config.output, "a folder other than /, without { } ~ * ? [ ] $").line()
    for name, dataset in config.datasets.items():
        here = f"datasets.{name}."
        if dataset.seeds is not None and repeated(dataset.seeds):
            yield Fault("seeds", dataset.seeds, "each seed once").line(here)
        for fault in lattice_faults(dataset):
            yield fault.line(here)
        if sections_too:
            yield from settings_faults(config, dataset, here)
            yield from _denoiser_faults(config, dataset, here)
    if sections_too:
        for fault in _sensitivity_faults(config):
            yield fault.line("sensitivity.")


def _denoiser_faults(config: Config, dataset: Dataset, here: str) -> Iterator[str]:
    """Faults of a denoiser that can be told without building it; :mod:`bumpscope.denoise.examine` tells the others."""
    own = dataset.denoiser is not None
    denoiser, reference = dataset.denoiser or config.denoiser, config.section("model", dataset).reference
    if reference not in ("none", denoiser.kind) and denoiser.kind != "unet":
        allowed = f"none, since denoiser.kind is {denoiser.kind}"
        yield Fault("model.reference", reference, allowed).line(here)
    elif dataset.polarity == "dark" and config.section("denoiser", dataset).kind == "factorised":
        key, kind = ("model.reference", reference) if reference != "none" else ("denoiser.kind", denoiser.kind)
        yield Fault(key, kind, NOT_IN_DARK).line(here)
    if not dataset.world.has_centres and (kind := config.section("denoiser", dataset).kind) in OF_CENTRES:
        allowed = f"another, since {kind} needs labels x and y, and world.kind is {dataset.world.kind}"
        yield Fault("denoiser.kind", kind, allowed).line(here)
    if dataset.stripes and (kind := config.section("denoiser", dataset).kind) in REFERENCES:
        yield Fault("stripes", dataset.stripes, f"0 with the reference {kind}, which needs both labels").line(here)
    if denoiser.kind in KNOWN:
        for key, value in denoiser.keys.items():
            text = f"denoiser.{key}: unknown key (holds {show(value)}); allowed: kind (its sizes are under model)"
            yield (here if own else "") + text


def repeated(values: Sequence[Any]) -> bool:
    """Whether a value occurs twice."""
    return any(value in values[:place] for place, value in enumerate(values))


def divides(spacing: float, length: float) -> bool:
    """Whether an axis of this length has a whole number of centres, one at least."""
    count = length / spacing
    return spacing <= length and math.isfinite(count) and math.isclose(count, round(count), rel_tol=0, abs_tol=1e-6)


def lattice_faults(lattice: Lattice) -> Iterator[Fault]:
    """Faults of a lattice that can be told without its world; :mod:`bumpscope.worlds.examine` tells the others."""
    world = lattice.world
    for key in OF_SOME_WORLDS:
        value = getattr(lattice, key)
        # A configuration in force is written with its defaults.
        if key not in world.used and value != Lattice.model_fields[key].default:
            allowed = f"left out, since world.kind is {world.kind}, which does not depend on it"
            yield Fault(key, value.model_dump() if isinstance(value, Section) else value, allowed)
    if lattice.skew.axis == "none" and lattice.skew.alpha != 0:
        yield Fault("skew.alpha", lattice.skew.alpha, "0 while skew.axis is none (or name the axis)")
    if not world.used:
        return
    size, sigma, margin, length = lattice.image_size, lattice.sigma, lattice.free_margin, lattice.length
    if sigma < LEAST_SIGMA:
        yield Fault("sigma", sigma, f"at least {LEAST_SIGMA} px; narrower bumps cannot be read back from their pixels")
    if sigma > size / 4:
        yield Fault("sigma", sigma, f"at most image_size / 4 = {size / 4}")
    if lattice.boundary == "torus" and margin != 0:
        yield Fault("margin", margin, "0 on a torus")
    if length <= 0:
        yield Fault("margin", margin, f"less than image_size / 2 = {size / 2}")
        return
    wrong = [key for key in ("dx", "dy") if key in world.used and not divides(getattr(lattice, key), length)]
    for key in wrong:
        allowed = f"a spacing that divides image_size - 2 margin = {length:g} into a whole number of centres"
        yield Fault(key, getattr(lattice, key), allowed)
    if not world.has_centres:
        return
    points = 0 if wrong else math.prod(lattice.counts)
    if points > LATTICE_LIMIT:
        allowed = f"at most {LATTICE_LIMIT} lattice points (these make {points})"
        yield Fault("dx, dy", [lattice.dx, lattice.dy], allowed)
    if lattice.shown is not None and 0 < points <= LATTICE_LIMIT:
        yield from _shown_faults(lattice.shown, lattice)
    if lattice.holdout is not None and 0 < points <= LATTICE_LIMIT:
        for axis, spacing in (("x", lattice.dx), ("y", lattice.dy)):
            yield from _holdout_faults(f"holdout.{axis}", lattice, getattr(lattice.holdout, axis), spacing)


def _shown_faults(shown: Shown, lattice: Lattice) -> Iterator[Fault]:
    (n_x, n_y), points = lattice.counts, math.prod(lattice.counts)
    plain = shown.model_dump(exclude_none=True)
    if (shown.each is None) == (shown.share is None):
        yield Fault("shown", plain, "one of each and share")
    elif shown.each is not None and not (n_x == n_y and shown.each < n_x):
        allowed = f"less than the positions of an axis, as many along x as along y (these are {n_x} and {n_y})"
        yield Fault("shown.each", shown.each, allowed)
    elif shown.share is not None and not 0 < round(shown.share * points) < points:
        yield Fault(
            "shown.share", shown.share, f"a share that shows some of the {points} combinations and withholds some"
        )
    if lattice.holdout is not None:
        yield Fault("shown", plain, "all where holdout withholds a block")


def _holdout_faults(key: str, lattice: Lattice, interval: Interval, spacing: float) -> Iterator[Fault]:
    low, high = lattice.free_margin - 0.5, lattice.image_size - 0.5 - lattice.free_margin
    if not low <= interval[0] <= interval[1] <= high:
        yield Fault(key, interval, f"[low, high] with {low:g} <= low <= high <= {high:g}")
        return
    positions = [low + (k + 0.5) * spacing for k in range(round((high - low) / spacing))]
    inside = sum(interval[0] - 1e-9 <= position <= interval[1] + 1e-9 for position in positions)
    if inside == 0:
        yield Fault(key, interval, "an interval with at least one lattice position in it")
    elif inside == len(positions):
        yield Fault(key, interval, "an interval that leaves at least one position out")


def settings_faults(config: Config, dataset: Dataset | Common, here: str) -> Iterator[str]:
    """Faults of the sections in force for ``dataset``, whose path is ``here``.

    A fault of the global keys has the same line for every dataset that shares them.
    """
    overrides = any(getattr(dataset, name) is not None for name in OVERRIDABLE)
    sections = {name: config.section(name, dataset) for name in OVERRIDABLE}
    for fault in _section_faults(dataset.image_size, **sections):
        yield fault.line(here if overrides else "")
    if config.analysis.tolerance > dataset.image_size:
        allowed = f"at most image_size ({dataset.image_size} in {here.rstrip('.')})"
        yield Fault("analysis.tolerance", config.analysis.tolerance, allowed).line()


def _section_faults(
    image_size: int, model: Model, diffusion: Diffusion, training: Training, probe: Probe
) -> Iterator[Fault]:
    """Faults of settings that do not fit each other."""
    resolutions = [image_size // 2**level for level in range(4)]
    if not set(model.attention_resolutions) <= set(resolutions) or repeated(model.attention_resolutions):
        allowed = f"each once, from {resolutions} (image_size {image_size} and its halvings)"
        yield Fault("model.attention_resolutions", model.attention_resolutions, allowed)
    if training.warmup_steps > training.steps:
        yield Fault("training.warmup_steps", training.warmup_steps, f"at most training.steps = {training.steps}")
    probed = {f"probe.{key}": getattr(probe, key) for key in ("checkpoints", "interventions")}
    for key, steps in {"training.checkpoints": training.checkpoints, **probed}.items():
        if any(a >= b for a, b in pairwise(steps)):
            yield Fault(key, steps, "increasing steps, each once")
    if late := [step for step in training.checkpoints if step > training.steps]:
        yield Fault("training.checkpoints", late, f"at most training.steps = {training.steps}")
    for key, steps in probed.items():
        if strangers := [step for step in steps if step not in training.checkpoints]:
            yield Fault(key, strangers, "steps that are in training.checkpoints")
    noise = f"diffusion.timesteps = {diffusion.timesteps}"
    if probe.sampling_steps > diffusion.timesteps:
        yield Fault("probe.sampling_steps", probe.sampling_steps, f"at most {noise}")
    for key in ("timesteps", "effect_timesteps"):
        values = getattr(probe, key)
        if beyond := [t for t in values if t >= diffusion.timesteps]:
            yield Fault(f"probe.{key}", beyond, f"less than {noise}")
        if repeated(values):
            yield Fault(f"probe.{key}", values, "each t once")
    for key in ("layers", "intervention_layers"):
        if repeated(getattr(probe, key)):
            yield Fault(f"probe.{key}", getattr(probe, key), "each layer once")


def _sensitivity_faults(config: Config) -> Iterator[Fault]:
    """Faults of the levels that were chosen; default levels that do not fit are left out instead."""
    chosen, usual = config.sensitivity, Sensitivity()
    levels = {key: getattr(chosen, key) for key in Sensitivity.model_fields}
    levels = {key: values if values != getattr(usual, key) else [] for key, values in levels.items()}
    runs = config.balanced_plane_runs()
    timesteps = min((run.diffusion.timesteps for run in runs), default=math.inf)
    size = min((run.lattice.image_size for run in runs), default=math.inf)
    for key, values in levels.items():
        if repeated(values):
            yield Fault(key, _plain(values), "each once")
    if wrong := [tolerance for tolerance in levels["tolerances"] if tolerance > size]:
        yield Fault("tolerances", wrong, f"at most image_size = {size}")
    if wrong := [t for t in levels["timesteps"] if t >= timesteps]:
        yield Fault("timesteps", wrong, f"less than diffusion.timesteps = {timesteps}")
    if wrong := [one for one in levels["samplers"] if one.sampling_steps > timesteps]:
        yield Fault("samplers", _plain(wrong), f"sampling_steps of at most diffusion.timesteps = {timesteps}")


def _plain(values: Sequence[Any]) -> list[Any]:
    return [value.model_dump() if isinstance(value, Section) else value for value in values]

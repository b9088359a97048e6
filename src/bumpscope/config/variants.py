"""Other ways to probe and read an experiment, computed from its configuration: one thing changed at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from bumpscope.config.experiment import Config
from bumpscope.config.readings import CONFIGURED, Reading, Readings
from bumpscope.config.run import Run
from bumpscope.config.sensitivity import Sensitivity


class Change(NamedTuple):
    """A variant of the probe.

    Attributes:
        name: of the variant.
        factor, level: what is changed and to what, as in :class:`.readings.Reading`.
        keys: the changed keys of the probe.
    """

    name: str
    factor: str
    level: str
    keys: dict[str, Any]


def _changes(sensitivity: Sensitivity) -> Iterator[Change]:
    for count in sensitivity.samples:
        yield Change(f"samples={count}", "samples", f"{count} images", {"samples": count})
    for one in sensitivity.samplers:
        level = f"{one.sampler}, {one.sampling_steps} steps"
        yield Change(f"{one.sampler}-{one.sampling_steps}", "sampler", level, one.model_dump())
    for weights in sensitivity.weights:
        level = {"raw": "raw weights", "ema": "averaged weights"}[weights]
        yield Change(f"weights={weights}", "weights", level, {"weights": weights})


def variants(config: Config) -> dict[str, list[Run]]:
    """Name of each variant -> the runs on balanced planes, with its probe.

    ``configured`` only keeps activations at more places: first where the experiment judges phases, then at all layers
    and timesteps of `sensitivity`. The others keep them at the first place, and leave out runs whose own probe is
    already the same.
    """
    # Of the weights only those that verdicts are read from.
    runs = [
        replace(run, probe=run.probe.model_copy(update={"weights": run.probe.judged}))
        for run in config.balanced_plane_runs()
    ]
    timesteps = _timesteps(config, runs)
    found = {CONFIGURED: [_probed_everywhere(run, config.sensitivity.layers, timesteps) for run in runs]}
    for change in _changes(config.sensitivity):
        changed = []
        for run in runs:
            probe = run.probe.model_copy(update=change.keys)
            if probe != run.probe and probe.sampling_steps <= run.diffusion.timesteps:
                changed.append(replace(run, probe=probe.at_first_place))
        if changed:
            found[change.name] = changed
    return found


def _probed_everywhere(run: Run, layers: Sequence[str], timesteps: Sequence[int]) -> Run:
    """The run with its own place first, then these layers and timesteps."""
    layers = list(dict.fromkeys([run.probe.layers[0], *layers]))
    timesteps = list(dict.fromkeys([run.probe.timesteps[0], *timesteps]))
    return replace(run, probe=run.probe.model_copy(update={"layers": layers, "timesteps": timesteps}))


def _timesteps(config: Config, runs: Sequence[Run]) -> list[int]:
    """Timesteps of `sensitivity` that all runs have; default ones may lie beyond a short diffusion."""
    return [t for t in config.sensitivity.timesteps if all(t < run.diffusion.timesteps for run in runs)]


def readings(config: Config) -> Readings:
    """All readings: the configured one, then every level of every factor that differs from it."""
    runs, probed, analysis = config.balanced_plane_runs(), variants(config), config.analysis

    def reading(factor: str, level: str, **changed: Any) -> Reading:
        configured = {"variant": CONFIGURED, "tolerance": analysis.tolerance, "tolerances": analysis.tolerances}
        return Reading.model_validate({"factor": factor, "level": level} | configured | changed)

    found = [reading(CONFIGURED, "as configured")]
    found += [
        reading("tolerance", f"{value:g} px", tolerance=value)
        for value in config.sensitivity.tolerances
        if value != analysis.tolerance
    ]
    found += [
        reading("place", f"{layer} t={t}", layer=layer, t=t)
        for layer in config.sensitivity.layers
        for t in _timesteps(config, runs)
        if any((layer, t) != (run.probe.layers[0], run.probe.timesteps[0]) for run in runs)
    ]
    found += [
        reading(change.factor, change.level, variant=change.name)
        for change in _changes(config.sensitivity)
        if change.name in probed
    ]
    grid: dict[str, list[int]] = {}
    for run in runs:
        grid.setdefault(run.dataset, []).append(run.seed)
    datasets = {name: list(dict.fromkeys(run.dataset for run in varied)) for name, varied in probed.items()}
    return Readings(runs=grid, variants=datasets, readings=found)

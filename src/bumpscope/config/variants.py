"""Other ways to probe and read an experiment, from its configuration: one thing changed at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bumpscope.config.experiment import Config
from bumpscope.config.readings import CONFIGURED, Reading, Readings
from bumpscope.config.run import Run


def variants(config: Config) -> dict[str, list[Run]]:
    """name -> runs on balanced planes, with the probe that the variant asks for.

    ``configured`` keeps activations at all layers and timesteps of `sensitivity` besides the place at which the
    experiment judges phases, which comes first; the others keep them at that place alone. A dataset whose own probe is
    the same already has no runs in a variant.
    """
    runs, sensitivity = config.balanced_plane_runs(), config.sensitivity
    timesteps = _timesteps(config, runs)
    found = {CONFIGURED: [replace(run, probe=_everywhere(run, sensitivity.layers, timesteps)) for run in runs]}
    changes: dict[str, dict[str, Any]] = {f"samples={count}": {"samples": count} for count in sensitivity.samples}
    changes |= {f"{one.sampler}-{one.sampling_steps}": one.model_dump() for one in sensitivity.samplers}
    for name, change in changes.items():
        changed = []
        for run in runs:
            probe = run.probe.model_copy(update=change)
            if probe != run.probe and probe.sampling_steps <= run.diffusion.timesteps:
                place = {"layers": probe.layers[:1], "timesteps": probe.timesteps[:1]}
                changed.append(replace(run, probe=probe.model_copy(update=place)))
        if changed:
            found[name] = changed
    return found


def _everywhere(run: Run, layers: Sequence[str], timesteps: Sequence[int]) -> Any:
    """The run's own probe, with activations at these layers and timesteps as well."""
    layers = [run.probe.layers[0], *layers]
    timesteps = [run.probe.timesteps[0], *timesteps]
    update = {"layers": list(dict.fromkeys(layers)), "timesteps": list(dict.fromkeys(timesteps))}
    return run.probe.model_copy(update=update)


def _timesteps(config: Config, runs: Sequence[Run]) -> list[int]:
    """Timesteps of `sensitivity` that all runs have; default ones may lie beyond a short diffusion."""
    return [t for t in config.sensitivity.timesteps if all(t < run.diffusion.timesteps for run in runs)]


def readings(config: Config) -> Readings:
    """All readings: the configured one, then every level of every factor that differs from it."""
    runs, probed, tolerance = config.balanced_plane_runs(), variants(config), config.analysis.tolerance

    def reading(factor: str, level: str, **changed: Any) -> Reading:
        configured = {"variant": CONFIGURED, "tolerance": tolerance}
        return Reading.model_validate({"factor": factor, "level": level} | configured | changed)

    found = [reading(CONFIGURED, "as configured")]
    found += [
        reading("tolerance", f"{value:g} px", tolerance=value)
        for value in config.sensitivity.tolerances
        if value != tolerance
    ]
    found += [
        reading("place", f"{layer} t={t}", layer=layer, t=t)
        for layer in config.sensitivity.layers
        for t in _timesteps(config, runs)
        if any((layer, t) != (run.probe.layers[0], run.probe.timesteps[0]) for run in runs)
    ]
    levels = {f"samples={count}": ("samples", f"{count} images") for count in config.sensitivity.samples}
    levels |= {
        f"{one.sampler}-{one.sampling_steps}": ("sampler", f"{one.sampler}, {one.sampling_steps} steps")
        for one in config.sensitivity.samplers
    }
    found += [reading(*told, variant=name) for name, told in levels.items() if name in probed]
    grid: dict[str, list[int]] = {}
    for run in runs:
        grid.setdefault(run.dataset, []).append(run.seed)
    datasets = {name: list(dict.fromkeys(run.dataset for run in varied)) for name, varied in probed.items()}
    return Readings(runs=grid, variants=datasets, readings=found)

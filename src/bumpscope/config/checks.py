"""What is wrong with a configuration, a line each: the key's path, what it holds, what it may hold."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from bumpscope.config.settings import OVERRIDABLE, Diffusion, Holdout, Model, Probe, Training

if TYPE_CHECKING:
    from bumpscope.config.dataset import Dataset
    from bumpscope.config.experiment import Config

LATTICE_LIMIT = 250_000
LEAST_SIGMA = 0.1
# Two estimates of one axis each are multiplied, and of a dark bump no product of the two is the image.
FACTORISED_IN_DARK = 'holds "factorised" (text); allowed: none or gated with polarity dark'


def show(value: Any) -> str:
    try:
        text = json.dumps(value, default=str)
    except (TypeError, ValueError):  # what YAML can hold and JSON cannot: a date as a key, a list inside itself
        text = repr(value)
    kind = {bool: "true/false", str: "text", int: "whole number", float: "number", list: "list", dict: "mapping"}
    name = "nothing" if value is None else kind.get(type(value), type(value).__name__)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({name})"


def _on_a_line(key: str) -> str:
    """A key as it is; what cannot be printed, a line's end among it, as in Python's text."""
    return key if key.isprintable() else repr(key)[1:-1]


def translate(error: ValidationError, root: type[Config]) -> list[str]:
    """One line a fault: the key's path, what it holds, what it may hold."""
    faults = []
    for fault in error.errors():
        path = ".".join(_on_a_line(str(part)) for part in fault["loc"] if part != "[key]") or "config"
        context, kind, value = fault.get("ctx", {}), fault["type"], fault["input"]
        if kind == "extra_forbidden":
            allowed = ", ".join(_keys_at(root, fault["loc"][:-1]))
            faults.append(f"{path}: unknown key (holds {show(value)}); allowed: {allowed}")
            continue
        if kind == "missing":
            faults.append(f"{path}: is missing; it must be given")
            continue
        may = _allowed(kind, context) or fault["msg"]
        if kind in ("float_type", "int_type") and isinstance(value, str) and re.fullmatch(r"\s*[-+.\deE]+\s*", value):
            may += " (YAML reads this as text: write 1.0e-3, with a point and without quotes)"
        faults.append(f"{path}: holds {show(value)}; allowed: {may}")
    return faults


def _allowed(kind: str, context: Mapping[str, Any]) -> str | None:
    """What may stand where pydantic found a fault of this kind, or None for a kind without words of its own."""
    words = {
        "literal_error": "one of {expected}",
        "greater_than": "a number > {gt}",
        "greater_than_equal": "a number >= {ge}",
        "less_than": "a number < {lt}",
        "less_than_equal": "a number <= {le}",
        "multiple_of": "a multiple of {multiple_of}",
        "int_type": "a whole number",
        "float_type": "a number",
        "string_type": "text",
        "bool_type": "true or false",
        "list_type": "a list",
        "dict_type": "a mapping",
        "model_type": "a mapping of keys to values",
        "model_attributes_type": "a mapping of keys to values",
        "finite_number": "a finite number",
        "too_short": "a list or mapping of length {min_length} or more",
        "too_long": "a list of length {max_length} or less",
        "string_too_short": "text that is not empty",
        "string_pattern_mismatch": "a letter, then letters, digits, _ and -",
        "value_error": "{error}",
        "invalid_key": "keys that are text",
    }.get(kind)
    return None if words is None else words.format(**context).replace("'", "")


def _keys_at(root: type[Config], location: tuple[Any, ...]) -> list[str]:
    """The keys allowed at a place of the configuration, for the message about one that is not."""
    section: Any = root
    for part in location:
        if hasattr(section, "__args__"):  # the name of a dataset, in a mapping of datasets
            section = section.__args__[1]
        elif part == "datasets":
            section = section.model_fields[part].annotation
        elif not isinstance(part, int):  # a place in a list has no keys of its own
            annotation = section.model_fields[part].annotation
            options = [annotation, *getattr(annotation, "__args__", ())]
            section = next(o for o in options if isinstance(o, type) and issubclass(o, BaseModel))
    return list(section.model_fields)


def _whole(value: float) -> bool:
    return math.isclose(value, round(value), rel_tol=0, abs_tol=1e-6)


def divides(spacing: float, length: float) -> bool:
    """Whether a support of this length has a whole number of centres, one at least."""
    return spacing <= length and math.isfinite(length / spacing) and _whole(length / spacing)


def _increasing(values: Sequence[int]) -> bool:
    return all(a < b for a, b in pairwise(values))


def sound_parts(raw: Mapping[str, Any], error: ValidationError) -> dict[str, Any]:
    """What is left of a configuration without the top-level keys and datasets that ``error`` is about.

    Where `datasets` or `sweep` is left out, nothing stands in for it.
    """
    broken = [fault["loc"] for fault in error.errors()]
    whole = {location[0] for location in broken if location[0] != "datasets" or len(location) == 1}
    names = {location[1] for location in broken if location[0] == "datasets" and len(location) > 1}
    parts = {key: value for key, value in raw.items() if key not in whole}
    parts |= {key: {} for key in ("datasets", "sweep") if key in whole}
    if names and isinstance(parts.get("datasets"), Mapping):
        parts["datasets"] = {name: value for name, value in parts["datasets"].items() if name not in names}
    return parts


def contradictions(config: Config, sections_too: bool = True) -> Iterator[str]:
    """Faults of values that are each well-typed but cannot work, or cannot work together.

    Args:
        sections_too: look at model, diffusion, training, probe and analysis as well, which only makes sense where
            none of them has been left out for a fault of its own.
    """
    if len(set(config.seeds)) < len(config.seeds):
        yield f"seeds: holds {config.seeds}; allowed: each seed once"
    if len({name.lower() for name in config.datasets}) < len(config.datasets):
        yield f"datasets: holds {list(config.datasets)}; allowed: names that differ in more than case"
    if not re.fullmatch(r"[^{}~*?\[\]\n]*[^{}~*?\[\]\n/][^{}~*?\[\]\n]*", config.output):
        yield f"output: holds {show(config.output)}; allowed: a folder other than /, without {{ }} ~ * ? [ ]"
    told = set()
    for name, dataset in config.datasets.items():
        here = f"datasets.{name}"
        if dataset.seeds is not None and len(set(dataset.seeds)) < len(dataset.seeds):
            yield f"{here}.seeds: holds {dataset.seeds}; allowed: each seed once"
        yield from lattice_faults(here, dataset)
        if not sections_too:
            continue
        sections = {section: config.section(section, dataset) for section in OVERRIDABLE}
        overridden = any(getattr(dataset, section) is not None for section in OVERRIDABLE)
        for section, fault in section_faults(dataset.image_size, **sections):
            # A fault of the global keys is told once, not once for every dataset that shares them.
            where = f"{here}.{section}" if overridden else section
            line = f"{where}: {fault}"
            if line not in told:
                told.add(line)
                yield line
        if dataset.polarity == "dark" and sections["model"].reference == "factorised":
            yield f"{here}.model.reference: {FACTORISED_IN_DARK}"
        if config.analysis.tolerance > dataset.image_size:
            at_most = f"at most image_size ({dataset.image_size} in {here})"
            yield f"analysis.tolerance: holds {config.analysis.tolerance}; allowed: {at_most}"
    if sections_too:
        yield from _sensitivity_faults(config)


def lattice_faults(here: str, dataset: Dataset) -> Iterator[str]:
    size, margin = dataset.image_size, dataset.free_margin
    if dataset.sigma < LEAST_SIGMA:
        yield f"{here}.sigma: holds {dataset.sigma}; allowed: at least {LEAST_SIGMA} px, or no pixel sees the bump"
    if dataset.sigma > size / 4:
        yield f"{here}.sigma: holds {dataset.sigma}; allowed: at most image_size / 4 = {size / 4}"
    if dataset.boundary == "torus" and margin != 0:
        yield f"{here}.margin: holds {margin}; allowed: 0 on a torus"
    length = size - 2 * margin
    if length <= 0:
        yield f"{here}.margin: holds {margin}; allowed: less than image_size / 2 = {size / 2}"
        return
    whole = True
    for key, spacing in (("dx", dataset.dx), ("dy", dataset.dy)):
        if not divides(spacing, length):
            yield (
                f"{here}.{key}: holds {spacing}; allowed: a spacing that divides "
                f"image_size - 2 margin = {length:g} into a whole number of centres"
            )
            whole = False
    if whole and (points := round(length / dataset.dx) * round(length / dataset.dy)) > LATTICE_LIMIT:
        at_most = f"at most {LATTICE_LIMIT} lattice points (these make {points})"
        yield f"{here}.dx, dy: hold {dataset.dx}, {dataset.dy}; allowed: {at_most}"
        whole = False
    if dataset.skew.axis == "none" and dataset.skew.alpha != 0:
        yield f"{here}.skew.alpha: holds {dataset.skew.alpha}; allowed: 0 while skew.axis is none (or name the axis)"
    if whole and dataset.holdout is not None:
        yield from _holdout_faults(here, dataset, dataset.holdout)


def _holdout_faults(here: str, dataset: Dataset, holdout: Holdout) -> Iterator[str]:
    low = dataset.free_margin - 0.5
    high = dataset.image_size - 0.5 - dataset.free_margin
    for axis, interval, spacing in (("x", holdout.x, dataset.dx), ("y", holdout.y, dataset.dy)):
        if interval[0] > interval[1] or interval[0] < low or interval[1] > high:
            order = f"[low, high] with {low:g} <= low <= high <= {high:g}"
            yield f"{here}.holdout.{axis}: holds {interval}; allowed: {order}"
            continue
        count = round((high - low) / spacing)
        centres = [low + (k + 0.5) * spacing for k in range(count)]
        inside = sum(interval[0] - 1e-9 <= centre <= interval[1] + 1e-9 for centre in centres)
        if inside in (0, count):
            need = (
                "with at least one lattice position in it" if inside == 0 else "that leaves at least one position out"
            )
            yield f"{here}.holdout.{axis}: holds {interval}; allowed: an interval {need}"


def _sensitivity_faults(config: Config) -> Iterator[str]:
    """Faults of the levels that were chosen; of the default ones, written out or not, those that do not fit are not
    tried."""
    usual = type(config.sensitivity)()
    given = {key: getattr(config.sensitivity, key) for key in type(usual).model_fields}
    levels: dict[str, list[Any]] = {key: value for key, value in given.items() if value != getattr(usual, key)}
    for key, values in levels.items():
        if any(value in values[:place] for place, value in enumerate(values)):
            yield f"sensitivity.{key}: holds {show(_plain(values))}; allowed: each once"
    runs = config.balanced_plane_runs()
    timesteps = min((run.diffusion.timesteps for run in runs), default=math.inf)
    size = min((run.lattice.image_size for run in runs), default=math.inf)
    wrong = {
        "tolerances": ([v for v in levels.get("tolerances", []) if v > size], f"at most image_size = {size}"),
        "timesteps": (
            [v for v in levels.get("timesteps", []) if v >= timesteps],
            f"less than diffusion.timesteps = {timesteps}",
        ),
        "samplers": (
            [v for v in levels.get("samplers", []) if v.sampling_steps > timesteps],
            f"sampling_steps of at most diffusion.timesteps = {timesteps}",
        ),
    }
    for key, (values, allowed) in wrong.items():
        if values:
            yield f"sensitivity.{key}: holds {show(_plain(values))}; allowed: {allowed}"


def _plain(values: Sequence[Any]) -> list[Any]:
    return [value.model_dump() if isinstance(value, BaseModel) else value for value in values]


def section_faults(
    image_size: int, model: Model, diffusion: Diffusion, training: Training, probe: Probe
) -> Iterator[tuple[str, str]]:
    """(section.key, fault) of settings that do not fit each other."""
    resolutions = [image_size // 2**level for level in range(4)]
    wrong = [r for r in model.attention_resolutions if r not in resolutions]
    if wrong or len(set(model.attention_resolutions)) < len(model.attention_resolutions):
        allowed = f"each once, from {resolutions} (image_size {image_size} and its halvings)"
        yield "model.attention_resolutions", f"holds {model.attention_resolutions}; allowed: {allowed}"
    if training.warmup_steps > training.steps:
        yield (
            "training.warmup_steps",
            f"holds {training.warmup_steps}; allowed: at most training.steps = {training.steps}",
        )
    for where, steps in (("training.checkpoints", training.checkpoints), ("probe.checkpoints", probe.checkpoints)):
        if not _increasing(steps):
            yield where, f"holds {show(steps)}; allowed: increasing steps, each once"
    late = [step for step in training.checkpoints if step > training.steps]
    if late:
        yield "training.checkpoints", f"holds {late}; allowed: at most training.steps = {training.steps}"
    strangers = [step for step in probe.checkpoints if step not in training.checkpoints]
    if strangers:
        yield "probe.checkpoints", f"holds {strangers}; allowed: steps that are in training.checkpoints"
    if probe.sampling_steps > diffusion.timesteps:
        yield (
            "probe.sampling_steps",
            f"holds {probe.sampling_steps}; allowed: at most diffusion.timesteps = {diffusion.timesteps}",
        )
    for key in ("timesteps", "effect_timesteps"):
        values = getattr(probe, key)
        beyond = [t for t in values if t >= diffusion.timesteps]
        if beyond:
            yield f"probe.{key}", f"holds {beyond}; allowed: less than diffusion.timesteps = {diffusion.timesteps}"
        if len(set(values)) < len(values):
            yield f"probe.{key}", f"holds {values}; allowed: each t once"
    if len(set(probe.layers)) < len(probe.layers):
        yield "probe.layers", f"holds {probe.layers}; allowed: each layer once"

"""Reading a configuration: YAML files, presets laid over them, and the command line.

All faults are found before any work starts, and reported together (:func:`validate`).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from bumpscope.config import checks, sweep_checks
from bumpscope.config.experiment import ADDED, GRID, Config
from bumpscope.config.faults import show, translate
from bumpscope.config.sweep import Sweep


class ConfigError(ValueError):
    """A configuration that cannot be run; ``faults`` has a line for each fault."""

    def __init__(self, faults: Sequence[str]):
        self.faults = list(faults)
        super().__init__("\n".join(self.faults))


def merge(base: Mapping[str, Any], preset: Mapping[str, Any]) -> dict[str, Any]:
    """``preset`` laid over ``base`` key by key; one with `datasets` or `sweep` replaces both, and `denoiser` whole."""
    replaced = (*GRID, ADDED) if any(key in preset for key in GRID) else ()
    return _laid_over({key: value for key, value in base.items() if key not in replaced}, preset)


def _laid_over(base: Mapping[str, Any], preset: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in preset.items():
        # The keys of a denoiser and of a world belong to its kind.
        both = key not in ("denoiser", "world") and isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _laid_over(merged[key], value) if both else value
    return merged


def from_command_line(values: Mapping[str, Any]) -> dict[str, Any]:
    """What ``--config key=value`` gives; Snakemake leaves numbers in lists and mappings, true and false as text."""

    def read(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: read(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [read(inner) for inner in value]
        if not isinstance(value, str):
            return value
        try:
            return yaml.safe_load(value)
        except (yaml.YAMLError, ValueError):
            return value

    # Other text, which may name a folder, is taken as it is.
    logical = {"true": True, "false": False}
    return {key: logical.get(value, value) if isinstance(value, str) else read(value) for key, value in values.items()}


def load(path: str | Path, *presets: str | Path | Mapping[str, Any]) -> Config:
    """Read ``path`` and lay ``presets`` over it; raises :class:`ConfigError` with every fault."""
    raw: dict[str, Any] = {}
    for source in (path, *presets):
        raw = merge(raw, read_yaml(source) if isinstance(source, (str, Path)) else source)
    return validate(raw)


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML in which a key given twice is an error, and not silently replaced."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # `<<: *anchor`, whose keys may be overridden
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, "a key is text, not a list", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML mapping; raises :class:`ConfigError` if there is none."""
    try:
        raw = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read ({error.strerror}); name a YAML file"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: is not UTF-8 text; name a YAML file"]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError([f"{path}:{where} is not valid YAML: {problem}"]) from None
    except ValueError as error:  # such as the date 2020-13-45
        raise ConfigError([f"{path}: holds a value that YAML cannot read ({error}); put it in quotes"]) from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ConfigError([f"{path}: holds {show(raw)}; it must be a mapping of keys to values"])
    return raw


def validate(raw: Mapping[str, Any]) -> Config:
    """Turn plain data into a :class:`Config`.

    Raises:
        ConfigError: with every fault. Keys that depend on each other are compared only where all are well-typed.
    """
    lines, left_out, raw = [], set[str](), _with_added(raw)
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        lines, left_out = translate(error, Config), {str(one["loc"][0]) for one in error.errors()}
        try:
            config = Config.model_validate(_sound_parts(raw, error))
        except ValidationError:
            raise ConfigError(lines) from None
    lines += _contradictions(config, left_out)
    if lines:
        raise ConfigError(lines)
    return config


def _with_added(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """``raw`` with `more_datasets` laid over `datasets`, where both can be."""
    added = raw.get(ADDED)
    if not added or not isinstance(added, Mapping):
        return raw
    if any(key in raw for key in GRID):
        grid = {"datasets": raw.get("datasets", {})}
    else:
        grid = Config().model_dump(mode="json", include=set(GRID), exclude_none=True)
    if not isinstance(grid["datasets"], Mapping):
        return raw
    rest = {key: value for key, value in raw.items() if key != ADDED}
    return rest | grid | {"datasets": _laid_over(grid["datasets"], added)}


def _sound_parts(raw: Mapping[str, Any], error: ValidationError) -> dict[str, Any]:
    """A configuration without the top-level keys and datasets that ``error`` is about; no default replaces these."""
    broken = [one["loc"] for one in error.errors()]
    whole = {location[0] for location in broken if location[0] != "datasets" or len(location) == 1}
    names = {location[1] for location in broken if location[0] == "datasets" and len(location) > 1}
    parts = {key: value for key, value in raw.items() if key not in whole}
    parts |= {key: {} for key in GRID if key in whole}
    if names and isinstance(parts.get("datasets"), Mapping):
        parts["datasets"] = {name: value for name, value in parts["datasets"].items() if name not in names}
    return parts


def _contradictions(config: Config, left_out: Collection[str]) -> list[str]:
    """Faults of values that are each well-typed; ``left_out`` names the keys that are not, or not wholly."""
    of_sweep = sweep_checks.contradictions(config, left_out)
    if of_sweep:
        # A sweep that cannot be expanded has no runs to check.
        config = config.model_copy(update={"sweep": Sweep()})
    of_grid = checks.contradictions(config, sections_too=not left_out)
    # A fault of the global keys is reported once, not once for each dataset.
    return list(dict.fromkeys([*of_grid, *of_sweep]))

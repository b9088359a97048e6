"""The configuration: one typed model from which the default file, the JSON schema and the reference page are made.

Every fault of a configuration is found before any work starts, and all of them at once
(:func:`validate`), a line each: the key's path, what it holds, what it may hold.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from bumpscope.config import checks as faults
from bumpscope.config import sweep_checks as sweep_faults
from bumpscope.config.dataset import Dataset, DatasetName, Seed, overridden
from bumpscope.config.settings import (
    OVERRIDABLE,
    Analysis,
    Diffusion,
    Lattice,
    LayerName,
    Model,
    Probe,
    Section,
    Training,
    run_path,
)
from bumpscope.config.sweep import Expansion, Sweep, expand

# What says which datasets there are; a preset that gives one of them replaces both.
GRID = ("datasets", "sweep")


class ConfigError(ValueError):
    """A configuration that cannot be run; ``faults`` has one line for each thing that is wrong."""

    def __init__(self, faults: Sequence[str]):
        self.faults = list(faults)
        super().__init__("\n".join(self.faults))


# The datasets beside the balanced plane, those of the sweep among them, have light probes and, but for three, one seed:
# enough to see what they are for, within fifty core-minutes. Verdicts need five seeds (docs/science.md); the other two
# densities and the withheld block have them, so that the claims on density and on new combinations have a verdict.
_SPARING = {"samples": 256, "layers": ["down3"], "timesteps": [239]}
_LADDER = {"checkpoints": [0, 200, 300, 400, 500, 600, 700, 800, 1600]} | _SPARING
_LIGHT = {"checkpoints": [0, 600, 1600]} | _SPARING
_COURSE = {"checkpoints": [0, 200, 400, 600, 800, 1000, 1200, 1600]} | _SPARING


def _default_datasets() -> dict[str, Dataset]:
    plane = {"image_size": 16, "sigma": 1.0, "margin": 2.0}
    ladder, course = {"probe": _LADDER}, {"seeds": [0], "probe": _COURSE}
    # At up1 the latents of a torus show that they are one, at down3 they do not (docs/findings.md).
    closed = {"seeds": [0], "probe": _LIGHT | {"samples": 512, "layers": ["down3", "up1"]}}
    # What is asked of the withheld block is its last checkpoint.
    ends = {"training": {"checkpoints": [0, 400, 800, 1200, 1600]}, "probe": {"checkpoints": [0, 1600]} | _SPARING}
    lattices = {
        "balanced": plane | {"dx": 1.0, "dy": 1.0},
        "dense": plane | {"dx": 0.5, "dy": 0.5} | ladder,
        "sparse": plane | {"dx": 2.0, "dy": 2.0} | ladder,
        "withheld": plane | {"dx": 1.0, "dy": 1.0, "holdout": {"x": [5.0, 8.0], "y": [5.0, 8.0]}} | ends,
        # Wider bumps, since images of narrow ones are all equally far apart and hide the torus they lie on.
        "torus": {"image_size": 16, "sigma": 2.0, "margin": 0.0, "dx": 1.0, "dy": 1.0, "boundary": "torus"} | closed,
        "balanced_v": plane | {"dx": 1.0, "dy": 1.0, "diffusion": {"prediction": "v"}} | course,
    }
    return {name: Dataset.model_validate(lattice) for name, lattice in lattices.items()}


def _default_sweep() -> Sweep:
    """One cell of either kind of imbalance; `balanced`, `dense` and `sparse` are most of their controls."""
    plain = {
        "common": {"image_size": 16, "sigma": 1.0, "margin": 2.0, "seeds": [0], "probe": _LIGHT},
        "spacings": {"dx": [0.5], "dy": [2.0]},
        "skews": {"spacing": 1.0, "x": [1.5], "y": []},
    }
    return Sweep.model_validate(plain)


class SamplerChoice(Section):
    """A sampler and how many steps it takes."""

    sampler: Literal["ddim", "ancestral"] = Field(description="as in `probe`")
    sampling_steps: int = Field(ge=2, description="as in `probe`")


class Sensitivity(Section):
    """What `snakemake sensitivity` changes, one thing at a time, before it judges the claims again.

    It is no part of the settings of a step, so that another level to try makes nothing else stale.
    """

    tolerances: list[Annotated[float, Field(gt=0.0)]] = Field(
        [0.5, 2.0], description="in place of analysis.tolerance, px"
    )
    layers: list[LayerName] = Field(
        list(get_args(LayerName)), description="layers at which phases are judged, each at every one of `timesteps`"
    )
    timesteps: list[Annotated[int, Field(ge=0)]] = Field(
        [639, 239, 39], description="t at which phases are judged; the sampler's nearest are read"
    )
    samples: list[Annotated[int, Field(ge=16, le=10_000)]] = Field([128, 256], description="in place of probe.samples")
    samplers: list[SamplerChoice] = Field(
        [
            SamplerChoice(sampler="ddim", sampling_steps=10),
            SamplerChoice(sampler="ddim", sampling_steps=50),
            SamplerChoice(sampler="ancestral", sampling_steps=100),
        ],
        description="in place of probe.sampler and probe.sampling_steps",
    )


class Config(Section):
    """The whole configuration of an experiment."""

    output: str = Field("results", min_length=1, description="folder for everything that the workflow makes")
    seeds: list[Seed] = Field(
        [0, 1, 2, 3, 4], min_length=1, description="random seeds; each dataset is trained once with each"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto takes a GPU where there is one; changing it reruns nothing"
    )
    datasets: dict[DatasetName, Dataset] = Field(
        default_factory=_default_datasets,
        description="name -> lattice of bumps, trained with every seed",
        json_schema_extra={"additionalProperties": False},  # a name that does not fit the pattern is a fault
    )
    sweep: Sweep = Field(default_factory=_default_sweep, description="imbalanced cells spelt out, with their controls")
    model: Model = Field(default_factory=Model, description="the denoiser")
    diffusion: Diffusion = Field(default_factory=Diffusion, description="the forward process")
    training: Training = Field(default_factory=Training, description="the optimisation")
    probe: Probe = Field(default_factory=Probe, description="what is asked of a checkpoint")
    analysis: Analysis = Field(default_factory=Analysis, description="what is made of the probes")
    sensitivity: Sensitivity = Field(
        default_factory=Sensitivity,
        description="what `snakemake sensitivity` changes, one thing at a time, before it judges the claims again; an"
        " empty list leaves a thing as it is",
    )

    @model_validator(mode="before")
    @classmethod
    def _grid_is_given_whole(cls, raw: Any) -> Any:
        """The default datasets and the default sweep belong together: one that is given does without the other's."""
        if isinstance(raw, Mapping) and any(key in raw for key in GRID):
            return {key: {} for key in GRID} | dict(raw)
        return raw

    def expansion(self) -> Expansion:
        """What the sweep adds to the named datasets."""
        return expand(self.sweep, self.datasets, self.seeds, self.section)

    def all_datasets(self) -> dict[str, Dataset]:
        """The named datasets, then those that the sweep adds."""
        return self.datasets | self.expansion().datasets

    def runs(self) -> Iterator[Run]:
        """Every training of the grid, in the order of the configuration."""
        for name, dataset in self.all_datasets().items():
            sections = {section: self.section(section, dataset) for section in OVERRIDABLE}
            for seed in self.seeds if dataset.seeds is None else dataset.seeds:
                yield Run(name, seed, dataset.lattice, analysis=self.analysis, **sections)

    def balanced_plane_runs(self) -> list[Run]:
        """The runs that all claims but the one on coupling rest on: dx = dy on a plane, no skew, no reference model.

        Verdicts rest on the datasets among them with the most seeds; the claim on density compares these with
        lattices of other spacing, whatever their seeds, and all that it compares must be read alike.
        """

        def balanced_plane(lattice: Lattice) -> bool:
            return lattice.boundary == "plane" and math.isclose(lattice.dx, lattice.dy) and lattice.skew.axis == "none"

        return [run for run in self.runs() if balanced_plane(run.lattice) and run.model.reference == "none"]

    def section(self, name: str, dataset: Dataset) -> Any:
        """A section as it holds for ``dataset``: the global keys under the dataset's own."""
        return overridden(getattr(self, name), getattr(dataset, name))


@dataclass(frozen=True)
class Run:
    """One training: a dataset, a seed and the settings in force for them."""

    dataset: str
    seed: int
    lattice: Lattice
    model: Model
    diffusion: Diffusion
    training: Training
    probe: Probe
    analysis: Analysis

    @property
    def id(self) -> str:
        return f"{self.dataset}-seed{self.seed}"

    @property
    def path(self) -> str:
        """Folder of the run, relative to the output folder."""
        return run_path(self.dataset, self.seed)


# What each step of the workflow depends on: sections whole, or single keys of a section. A step reruns
# exactly when one of its own keys changes (or something upstream of it does), so no key is named in vain.
STEP_KEYS: dict[str, tuple[str, ...]] = {
    "dataset": ("lattice",),
    "train": ("seed", "lattice", "model", "diffusion", "training"),
    "generate": (
        *("seed", "lattice", "model", "diffusion", "probe.checkpoints", "probe.samples", "probe.sampler"),
        *("probe.sampling_steps", "probe.weights", "probe.layers", "probe.timesteps"),
    ),
    "effects": (
        "seed",
        "lattice",
        "model",
        "diffusion",
        "probe.effect_timesteps",
        "probe.effect_samples",
        "probe.frequency_bins",
        "training.checkpoints",
    ),
    "behaviour": ("lattice", "analysis.tolerance", "analysis.faint"),
    "geometry": ("seed", "lattice"),
    "topology": ("seed",),
    "phases": ("lattice",),
}
# Generation once more, with another probe, and the bumps in its images. Their outcomes are judged later, so that a
# tolerance generates nothing.
STEP_KEYS["vary"] = (*STEP_KEYS["generate"], "analysis.faint")


def step_settings(run: Run, step: str) -> dict[str, Any]:
    """Just the keys that ``step`` of ``run`` depends on, as plain data."""
    settings: dict[str, Any] = {} if step == "dataset" else {"run": run.id}
    for key in STEP_KEYS[step]:
        section, _, name = key.partition(".")
        value = getattr(run, section)
        plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        if name:
            settings.setdefault(section, {})[name] = plain[name]
        else:
            settings[section] = plain
    return settings


def merge(base: Mapping[str, Any], preset: Mapping[str, Any]) -> dict[str, Any]:
    """``preset`` over ``base``, key by key through the sections.

    What says which datasets there are is replaced whole: a preset with `datasets` or with `sweep` has nothing of the
    base's `datasets` and nothing of its `sweep`.
    """
    replaces_grid = any(key in preset for key in GRID)
    return _laid_over({key: value for key, value in base.items() if not (replaces_grid and key in GRID)}, preset)


def _laid_over(base: Mapping[str, Any], preset: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in preset.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _laid_over(merged[key], value) if both else value
    return merged


def from_command_line(values: Mapping[str, Any]) -> dict[str, Any]:
    """What ``--config key=value`` gives; in lists and mappings Snakemake leaves numbers as text, which YAML reads."""

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

    return {key: value if isinstance(value, str) else read(value) for key, value in values.items()}


def load(path: str | Path, *presets: str | Path | Mapping[str, Any]) -> Config:
    """Read ``path`` and lay ``presets`` over it.

    Raises:
        ConfigError: with every fault that was found.
    """
    raw: dict[str, Any] = {}
    for source in (path, *presets):
        raw = merge(raw, read_yaml(source) if isinstance(source, (str, Path)) else source)
    return validate(raw)


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML in which a key given twice is a fault: the silent winner is rarely the one that was meant."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # `<<: *anchor`, whose keys the anchor's own may override
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
    """Read a YAML mapping.

    Raises:
        ConfigError: when the file is missing, is not YAML or is not a mapping.
    """
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
    except ValueError as error:  # a date or number in YAML's own form that does not exist, such as 2020-13-45
        raise ConfigError([f"{path}: holds a value that YAML cannot read ({error}); put it in quotes"]) from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ConfigError([f"{path}: holds {faults.show(raw)}; it must be a mapping of keys to values"])
    return raw


def validate(raw: Mapping[str, Any]) -> Config:
    """Turn plain data into a :class:`Config`.

    Raises:
        ConfigError: with every fault that was found. Keys that only make sense together are compared where all of them
            are well-typed.
    """
    try:
        config, lines, left_out = Config.model_validate(raw), [], set()
    except ValidationError as error:
        lines, left_out = faults.translate(error, Config), {str(fault["loc"][0]) for fault in error.errors()}
        try:
            config = Config.model_validate(faults.sound_parts(raw, error))
        except ValidationError:
            raise ConfigError(lines) from None
    lines += _contradictions(config, left_out)
    if lines:
        raise ConfigError(lines)
    return config


def _contradictions(config: Config, left_out: Collection[str]) -> list[str]:
    """Faults of values that are each well-typed; ``left_out`` names the keys that are not, in part or whole."""
    of_sweep = list(sweep_faults.contradictions(config, left_out))
    if of_sweep:
        # What cannot be expanded is left alone by all that asks for the runs.
        config = config.model_copy(update={"sweep": Sweep()})
    of_grid = list(faults.contradictions(config, sections_too=not left_out))
    # A fault of the global keys is told once, not once for the datasets and once for the sweep.
    return list(dict.fromkeys(of_grid + of_sweep))

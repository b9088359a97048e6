"""The configuration: one typed model from which the default file, the JSON schema and the reference page are made.

Every fault of a configuration is found before any work starts, and all of them at once
(:func:`validate`), a line each: the key's path, what it holds, what it may hold.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

LAYERS = ("down1", "down2", "down3", "bottleneck", "up1", "up2", "up3")
LayerName = Literal["down1", "down2", "down3", "bottleneck", "up1", "up2", "up3"]
NAME_PATTERN = r"[A-Za-z][A-Za-z0-9_-]*"
LATTICE_LIMIT = 250_000


class ConfigError(ValueError):
    """A configuration that cannot be run; ``faults`` has one line for each thing that is wrong."""

    def __init__(self, faults: Sequence[str]):
        self.faults = list(faults)
        super().__init__("\n".join(self.faults))


class Section(BaseModel):
    """Base of all sections: unknown keys and values of another type are faults, never guesses."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Skew(Section):
    """Sampling probability of the lattice points: a truncated power law over an axis' positions."""

    axis: Literal["none", "x", "y", "both"] = Field("none", description="axis drawn with skewed frequency")
    alpha: float = Field(
        0.0,
        ge=0.0,
        le=10.0,
        description="exponent of the power law rank^-alpha; ranks are dealt to positions by a seeded permutation",
    )


Interval = Annotated[list[float], Field(min_length=2, max_length=2)]


class Holdout(Section):
    """A block of combinations withheld from training; each x and each y of it occurs elsewhere."""

    x: Interval = Field(description="[low, high] of the withheld block along x, px, both ends included")
    y: Interval = Field(description="[low, high] of the withheld block along y, px, both ends included")


def _holdout(value: Any) -> Any:
    """Read ``none`` or a block, so that a fault is told once and not once for each alternative."""
    if value is None or isinstance(value, Holdout):
        return value
    if value == "none":
        return None
    if not isinstance(value, Mapping):
        raise ValueError("none, or {x: [low, high], y: [low, high]} in px")
    return value


class Model(Section):
    """Sizes of the denoiser, a UNet of three down and three up blocks."""

    base_width: int = Field(8, ge=8, le=512, multiple_of=8, description="channels of the first block")
    channel_multipliers: Annotated[list[Annotated[int, Field(ge=1, le=8)]], Field(min_length=3, max_length=3)] = (
        Field([1, 2, 4], description="channels of the three levels as multiples of base_width")
    )
    blocks_per_level: int = Field(1, ge=1, le=4, description="residual blocks in each down and up block")
    attention_resolutions: list[int] = Field(
        [4, 2], description="feature-map sizes (px) with self-attention; from image_size / (1, 2, 4, 8)"
    )
    embedding_width: int = Field(
        32, ge=8, le=1024, multiple_of=8, description="width of each sinusoidal encoding of t, mu_x and mu_y"
    )


class Diffusion(Section):
    """The forward process and what the network predicts."""

    timesteps: int = Field(1000, ge=10, le=10_000, description="number of noising steps T")
    schedule: Literal["linear", "cosine"] = Field(
        "linear",
        description="variance schedule: linear beta 1e-4 to 0.02 (scaled by 1000/T), or the cosine of Nichol and Dhariwal",
    )
    prediction: Literal["epsilon", "v"] = Field(
        "v", description="what the network predicts: the noise (epsilon) or sqrt(alpha_bar) eps - sqrt(1-alpha_bar) x0 (v)"
    )


class Training(Section):
    """The optimisation, and the steps at which weights are kept."""

    steps: int = Field(1500, ge=1, le=10_000_000, description="optimiser steps")
    batch_size: int = Field(64, ge=1, le=65_536, description="images a step")
    learning_rate: float = Field(2.0e-3, gt=0.0, le=1.0, description="peak learning rate of AdamW")
    learning_rate_schedule: Literal["constant", "cosine"] = Field(
        "cosine", description="after the warm-up: constant, or a cosine to zero at the last step"
    )
    warmup_steps: int = Field(50, ge=0, description="steps of linear warm-up")
    weight_decay: float = Field(0.0, ge=0.0, le=1.0, description="decoupled weight decay of AdamW")
    gradient_clip: float = Field(1.0, gt=0.0, description="largest L2 norm of the gradient")
    ema_decay: float = Field(0.995, ge=0.0, lt=1.0, description="decay of the moving average of the weights")
    log_every: int = Field(10, ge=1, description="a row of losses.parquet is the mean over this many steps")
    checkpoints: list[Annotated[int, Field(ge=0)]] = Field(
        [0, 50, 100, 150, 200, 250, 300, 350, 400, 450, 500, 550, 600, 650, 700, 750, 800]
        + [850, 900, 950, 1000, 1100, 1200, 1300, 1400, 1500],
        min_length=1,
        description="steps at which weights are kept, increasing; 0 is the untrained control",
    )


class Probe(Section):
    """What is asked of a checkpoint."""

    checkpoints: list[Annotated[int, Field(ge=0)]] = Field(
        [0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1200, 1500],
        min_length=1,
        description="training checkpoints at which images are generated and activations read, increasing",
    )
    samples: int = Field(512, ge=16, le=100_000, description="images generated at a checkpoint")
    sampler: Literal["ddim", "ancestral"] = Field(
        "ddim", description="deterministic DDIM, or the ancestral sampler of DDPM (over the same number of steps)"
    )
    sampling_steps: int = Field(25, ge=2, description="denoising steps from pure noise to an image")
    weights: Literal["ema", "raw"] = Field("ema", description="weights that generate: moving average or raw")
    layers: list[LayerName] = Field(
        ["down3", "up1"], min_length=1, description=f"blocks whose activations are kept: {', '.join(LAYERS)}"
    )
    timesteps: list[Annotated[int, Field(ge=0)]] = Field(
        [239, 39],
        min_length=1,
        description="t at which activations are kept; the sampler's nearest steps are read and named in the table",
    )
    effect_timesteps: list[Annotated[int, Field(ge=0)]] = Field(
        [300, 450, 600], min_length=1, description="t at which label effects are measured"
    )
    effect_samples: int = Field(512, ge=32, le=100_000, description="noised images of a label-effect probe at each t")


class Analysis(Section):
    """What is made of the probes."""

    tolerance: float = Field(1.0, gt=0.0, description="distance from the request up to which a bump is correct, px")
    faint: float = Field(0.25, gt=0.0, le=1.0, description="fitted amplitude from which a bump counts; a true bump has 1")


def _partial(section: type[Section]) -> type[Section]:
    """The same section with every key optional, for a dataset that overrides only some of them."""
    fields: dict[str, Any] = {}
    for name, field in section.model_fields.items():
        # FieldInfo carries the constraints of the full section; only the default differs.
        annotation = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation  # type: ignore[valid-type]
        fields[name] = (annotation | None, Field(None, description=field.description))
    return cast("type[Section]", create_model(f"{section.__name__}Override", __base__=Section, **fields))


ModelOverride = _partial(Model)
DiffusionOverride = _partial(Diffusion)
TrainingOverride = _partial(Training)
ProbeOverride = _partial(Probe)
OVERRIDABLE: tuple[str, ...] = ("model", "diffusion", "training", "probe")


class Lattice(Section):
    """A lattice of bump centres and the images drawn from it."""

    image_size: int = Field(16, ge=8, le=256, multiple_of=8, description="side N of the square image, px; three halvings must divide it")
    sigma: float = Field(1.0, gt=0.0, description="standard deviation of a bump, px; at most image_size / 4")
    margin: float | None = Field(None, ge=0.0, description="px kept free of centres at each edge; left out: 2 sigma on a plane, 0 on a torus")
    dx: float = Field(1.0, gt=0.0, description="px between neighbouring centres along x; (image_size - 2 margin) / dx is whole")
    dy: float = Field(1.0, gt=0.0, description="px between neighbouring centres along y; (image_size - 2 margin) / dy is whole")
    boundary: Literal["plane", "torus"] = Field("plane", description="plane cuts a bump at the edge; torus wraps it round")
    polarity: Literal["bright", "dark"] = Field("bright", description="bright bump on dark, or its negative")
    skew: Skew = Field(Skew(), description="how often each position is drawn")  # type: ignore[call-arg]
    holdout: Annotated[Holdout | None, BeforeValidator(_holdout)] = Field(
        None, description="none, or {x: [low, high], y: [low, high]}: combinations withheld from training, px"
    )

    @property
    def free_margin(self) -> float:
        """The margin in force, px."""
        if self.margin is not None:
            return self.margin
        return 0.0 if self.boundary == "torus" else 2.0 * self.sigma


class Dataset(Lattice):
    """A lattice, with the seeds and settings that are its own."""

    seeds: list[Annotated[int, Field(ge=0, lt=2**31)]] | None = Field(None, min_length=1, description="replaces the global seeds")
    model: ModelOverride | None = Field(None, description="overrides keys of `model`")  # type: ignore[valid-type]
    diffusion: DiffusionOverride | None = Field(None, description="overrides keys of `diffusion`")  # type: ignore[valid-type]
    training: TrainingOverride | None = Field(None, description="overrides keys of `training`")  # type: ignore[valid-type]
    probe: ProbeOverride | None = Field(None, description="overrides keys of `probe`")  # type: ignore[valid-type]

    @property
    def lattice(self) -> Lattice:
        """Only what the images depend on, with the margin written out."""
        values = {name: getattr(self, name) for name in Lattice.model_fields}
        return Lattice(**values | {"margin": self.free_margin})


DatasetName = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]
Seed = Annotated[int, Field(ge=0, lt=2**31)]

_TORUS_PROBE = {"checkpoints": [0, 500, 1000, 1500]}


def _default_datasets() -> dict[str, Dataset]:
    return {
        "balanced": Dataset(image_size=16, sigma=1.0, margin=2.0, dx=1.0, dy=1.0),  # type: ignore[call-arg]
    }


class Config(Section):
    """The whole configuration of an experiment."""

    output: str = Field("results", min_length=1, description="folder for everything that the workflow makes")
    seeds: list[Seed] = Field([0, 1, 2, 3, 4], min_length=1, description="random seeds; each dataset is trained once with each")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto takes a GPU where there is one; changing it reruns nothing")
    datasets: dict[DatasetName, Dataset] = Field(
        default_factory=_default_datasets, min_length=1, description="name -> lattice of bumps, trained with every seed"
    )
    model: Model = Field(default_factory=Model, description="the denoiser")  # type: ignore[arg-type]
    diffusion: Diffusion = Field(default_factory=Diffusion, description="the forward process")  # type: ignore[arg-type]
    training: Training = Field(default_factory=Training, description="the optimisation")  # type: ignore[arg-type]
    probe: Probe = Field(default_factory=Probe, description="what is asked of a checkpoint")  # type: ignore[arg-type]
    analysis: Analysis = Field(default_factory=Analysis, description="what is made of the probes")  # type: ignore[arg-type]

    def runs(self) -> Iterator[Run]:
        """Every training of the grid, in the order of the configuration."""
        for name, dataset in self.datasets.items():
            sections = {section: self._section(section, dataset) for section in OVERRIDABLE}
            for seed in self.seeds if dataset.seeds is None else dataset.seeds:
                yield Run(name, seed, dataset.lattice, analysis=self.analysis, **sections)

    def _section(self, name: str, dataset: Dataset) -> Any:
        """A section as it holds for ``dataset``: the global keys under the dataset's own."""
        section: Section = getattr(self, name)
        override: Section | None = getattr(dataset, name)
        if override is None:
            return section
        return type(section)(**section.model_dump() | override.model_dump(exclude_none=True))


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
        return f"runs/{self.dataset}/seed={self.seed}"


# What each step of the workflow depends on: sections whole, or single keys of a section. A step reruns
# exactly when one of its own keys changes (or something upstream of it does), so no key is named in vain.
STEP_KEYS: dict[str, tuple[str, ...]] = {
    "dataset": ("lattice",),
    "train": ("seed", "lattice", "model", "diffusion", "training"),
    "generate": (
        ("seed", "lattice", "model", "diffusion")
        + tuple(f"probe.{k}" for k in ("checkpoints", "samples", "sampler", "sampling_steps", "weights", "layers", "timesteps"))
    ),
    "effects": ("seed", "lattice", "model", "diffusion", "probe.effect_timesteps", "probe.effect_samples", "training.checkpoints"),
    "behaviour": ("lattice", "analysis.tolerance", "analysis.faint"),
    "geometry": ("seed", "lattice"),
    "topology": ("seed",),
    "phases": ("lattice",),
}


class StepSettings(Section):
    """The keys one step depends on, as it gets them on its command line."""

    run: str | None = None
    seed: Seed | None = None
    lattice: Lattice | None = None
    model: Model | None = None
    diffusion: Diffusion | None = None
    training: TrainingOverride | None = None  # type: ignore[valid-type]
    probe: ProbeOverride | None = None  # type: ignore[valid-type]
    analysis: _partial(Analysis) | None = None  # type: ignore[valid-type]


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


def canonical_json(value: Any) -> str:
    """The one JSON text of ``value``: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def fingerprint(*values: Any) -> str:
    """Sixteen hexadecimal digits that stand for ``values``."""
    return hashlib.sha256(canonical_json(values).encode()).hexdigest()[:16]


def merge(base: Mapping[str, Any], preset: Mapping[str, Any]) -> dict[str, Any]:
    """``preset`` over ``base``, key by key through the sections; `datasets` is replaced whole."""
    merged = dict(base)
    for key, value in preset.items():
        if key != "datasets" and isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


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
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        ConfigError: when the file is missing, is not YAML or is not a mapping.
    """
    try:
        raw = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)  # noqa: S506
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read ({error.strerror}); name a YAML file"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: is not UTF-8 text; name a YAML file"]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError([f"{path}:{where} is not valid YAML: {getattr(error, 'problem', error)}"]) from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ConfigError([f"{path}: holds {_show(raw)}; it must be a mapping of keys to values"])
    return raw


def validate(raw: Mapping[str, Any]) -> Config:
    """Turn plain data into a :class:`Config`.

    Raises:
        ConfigError: with every fault that was found, types and ranges first; what only makes sense
            for well-typed values is looked at once those are right.
    """
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(_translate(error)) from None
    faults = list(_contradictions(config))
    if faults:
        raise ConfigError(faults)
    return config


def _show(value: Any) -> str:
    text = json.dumps(value, default=str)
    kind = {bool: "true/false", str: "text", int: "whole number", float: "number", list: "list", dict: "mapping"}
    name = "nothing" if value is None else kind.get(type(value), type(value).__name__)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({name})"


def _translate(error: ValidationError) -> list[str]:
    """One line a fault: the key's path, what it holds, what it may hold."""
    faults = []
    for fault in error.errors():
        path = ".".join(str(part) for part in fault["loc"] if part != "[key]") or "config"
        context, kind, value = fault.get("ctx", {}), fault["type"], fault["input"]
        if kind == "extra_forbidden":
            allowed = ", ".join(_keys_at(fault["loc"][:-1]))
            faults.append(f"{path}: unknown key (holds {_show(value)}); allowed: {allowed}")
            continue
        if kind == "missing":
            faults.append(f"{path}: is missing; it must be given")
            continue
        may = {
            "literal_error": lambda: f"one of {context['expected']}".replace("'", ""),
            "greater_than": lambda: f"a number > {context['gt']}",
            "greater_than_equal": lambda: f"a number >= {context['ge']}",
            "less_than": lambda: f"a number < {context['lt']}",
            "less_than_equal": lambda: f"a number <= {context['le']}",
            "multiple_of": lambda: f"a multiple of {context['multiple_of']}",
            "int_type": lambda: "a whole number",
            "float_type": lambda: "a number",
            "bool_type": lambda: "true or false",
            "string_type": lambda: "text",
            "list_type": lambda: "a list",
            "dict_type": lambda: "a mapping",
            "model_type": lambda: "a mapping of keys to values",
            "model_attributes_type": lambda: "a mapping of keys to values",
            "finite_number": lambda: "a finite number",
            "too_short": lambda: f"at least {context['min_length']} entries",
            "too_long": lambda: f"at most {context['max_length']} entries",
            "string_too_short": lambda: "text that is not empty",
            "string_pattern_mismatch": lambda: "a letter, then letters, digits, _ and -",
            "value_error": lambda: str(context["error"]),
        }.get(kind, lambda: fault["msg"])()
        if kind in ("float_type", "int_type") and isinstance(value, str) and re.fullmatch(r"\s*[-+.\deE]+\s*", value):
            may += " (YAML reads this as text: write 1.0e-3, with a point and without quotes)"
        faults.append(f"{path}: holds {_show(value)}; allowed: {may}")
    return faults


def _keys_at(location: tuple[Any, ...]) -> list[str]:
    """The keys allowed at a place of the configuration, for the message about one that is not."""
    section: Any = Config
    for part in location:
        if section is Config and part == "datasets":
            section = "datasets"
        elif section == "datasets":
            section = Dataset
        else:
            annotation = section.model_fields[part].annotation
            options = [annotation, *getattr(annotation, "__args__", ())]
            section = next(o for o in options if isinstance(o, type) and issubclass(o, BaseModel))
    return list(section.model_fields)


def _whole(value: float) -> bool:
    return math.isclose(value, round(value), rel_tol=0, abs_tol=1e-6)


def _increasing(values: Sequence[int]) -> bool:
    return all(a < b for a, b in zip(values, values[1:], strict=False))


def _contradictions(config: Config) -> Iterator[str]:
    """Faults of values that are each well-typed but cannot work, or cannot work together."""
    if len(set(config.seeds)) < len(config.seeds):
        yield f"seeds: holds {config.seeds}; allowed: each seed once"
    if len(set(name.lower() for name in config.datasets)) < len(config.datasets):
        yield f"datasets: holds {list(config.datasets)}; allowed: names that differ in more than case"
    told = set()
    for name, dataset in config.datasets.items():
        here = f"datasets.{name}"
        if dataset.seeds is not None and len(set(dataset.seeds)) < len(dataset.seeds):
            yield f"{here}.seeds: holds {dataset.seeds}; allowed: each seed once"
        lattice_faults = list(_lattice_faults(here, dataset))
        yield from lattice_faults
        sections = {section: config._section(section, dataset) for section in OVERRIDABLE}
        for section, fault in _section_faults(dataset.image_size, **sections):
            # A fault of the global keys is told once, not once for every dataset that shares them.
            where = f"{here}.{section}" if getattr(dataset, section.partition(".")[0]) is not None else section
            line = f"{where}: {fault}"
            if line not in told:
                told.add(line)
                yield line
        if config.analysis.tolerance > dataset.image_size:
            yield f"analysis.tolerance: holds {config.analysis.tolerance}; allowed: at most image_size ({dataset.image_size} in {here})"


def _lattice_faults(here: str, dataset: Dataset) -> Iterator[str]:
    size, margin = dataset.image_size, dataset.free_margin
    if dataset.sigma > size / 4:
        yield f"{here}.sigma: holds {dataset.sigma}; allowed: at most image_size / 4 = {size / 4}"
    if dataset.boundary == "torus" and margin != 0:
        yield f"{here}.margin: holds {margin}; allowed: 0 on a torus"
    length = size - 2 * margin
    if length <= 0:
        yield f"{here}.margin: holds {margin}; allowed: less than image_size / 2 = {size / 2}"
        return
    for key, spacing in (("dx", dataset.dx), ("dy", dataset.dy)):
        if spacing > length or not _whole(length / spacing):
            yield (
                f"{here}.{key}: holds {spacing}; allowed: a spacing that divides "
                f"image_size - 2 margin = {length:g} into a whole number of centres"
            )
            return
    points = round(length / dataset.dx) * round(length / dataset.dy)
    if points > LATTICE_LIMIT:
        yield f"{here}.dx, dy: hold {dataset.dx}, {dataset.dy}; allowed: at most {LATTICE_LIMIT} lattice points (these make {points})"
        return
    if dataset.skew.axis == "none" and dataset.skew.alpha != 0:
        yield f"{here}.skew.alpha: holds {dataset.skew.alpha}; allowed: 0 while skew.axis is none (or name the axis)"
    if dataset.holdout is not None:
        yield from _holdout_faults(here, dataset, dataset.holdout)


def _holdout_faults(here: str, dataset: Dataset, holdout: Holdout) -> Iterator[str]:
    low = dataset.free_margin - 0.5
    high = dataset.image_size - 0.5 - dataset.free_margin
    withheld = []
    for axis, interval, spacing in (("x", holdout.x, dataset.dx), ("y", holdout.y, dataset.dy)):
        if interval[0] > interval[1] or interval[0] < low or interval[1] > high:
            yield f"{here}.holdout.{axis}: holds {interval}; allowed: [low, high] with {low:g} <= low <= high <= {high:g}"
            return
        count = round((high - low) / spacing)
        centres = [low + (k + 0.5) * spacing for k in range(count)]
        withheld.append((sum(interval[0] - 1e-9 <= c <= interval[1] + 1e-9 for c in centres), count))
    for axis, interval, (inside, count) in zip("xy", (holdout.x, holdout.y), withheld, strict=True):
        if inside == 0:
            yield f"{here}.holdout.{axis}: holds {interval}; allowed: an interval with at least one lattice position in it"
        elif inside == count:
            yield f"{here}.holdout.{axis}: holds {interval}; allowed: an interval that leaves out at least one lattice position"


def _section_faults(
    image_size: int, model: Model, diffusion: Diffusion, training: Training, probe: Probe
) -> Iterator[tuple[str, str]]:
    """(section.key, fault) of settings that do not fit each other."""
    resolutions = [image_size // 2**level for level in range(4)]
    wrong = [r for r in model.attention_resolutions if r not in resolutions]
    if wrong or len(set(model.attention_resolutions)) < len(model.attention_resolutions):
        allowed = f"each once, from {resolutions} (image_size {image_size} and its halvings)"
        yield "model.attention_resolutions", f"holds {model.attention_resolutions}; allowed: {allowed}"
    if training.warmup_steps > training.steps:
        yield "training.warmup_steps", f"holds {training.warmup_steps}; allowed: at most training.steps = {training.steps}"
    for where, steps in (("training.checkpoints", training.checkpoints), ("probe.checkpoints", probe.checkpoints)):
        if not _increasing(steps):
            yield where, f"holds {_show(steps)}; allowed: increasing steps, each once"
    late = [step for step in training.checkpoints if step > training.steps]
    if late:
        yield "training.checkpoints", f"holds {late}; allowed: at most training.steps = {training.steps}"
    strangers = [step for step in probe.checkpoints if step not in training.checkpoints]
    if strangers:
        yield "probe.checkpoints", f"holds {strangers}; allowed: steps that are in training.checkpoints"
    if probe.sampling_steps > diffusion.timesteps:
        yield "probe.sampling_steps", f"holds {probe.sampling_steps}; allowed: at most diffusion.timesteps = {diffusion.timesteps}"
    for key in ("timesteps", "effect_timesteps"):
        values = getattr(probe, key)
        beyond = [t for t in values if t >= diffusion.timesteps]
        if beyond:
            yield f"probe.{key}", f"holds {beyond}; allowed: less than diffusion.timesteps = {diffusion.timesteps}"
        if len(set(values)) < len(values):
            yield f"probe.{key}", f"holds {values}; allowed: each t once"
    if len(set(probe.layers)) < len(probe.layers):
        yield "probe.layers", f"holds {probe.layers}; allowed: each layer once"

"""The settings that the steps of a run depend on, a typed section each.

Only what a step can be given lives here; how a whole experiment is put together from it is config's matter,
so that a change there does not make every training stale.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

LAYERS = ("down1", "down2", "down3", "bottleneck", "up1", "up2", "up3")
# Stands beside these in tables: the generated image itself, a control.
IMAGE_LAYER = "image"
LayerName = Literal["down1", "down2", "down3", "bottleneck", "up1", "up2", "up3"]


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
    channel_multipliers: Annotated[list[Annotated[int, Field(ge=1, le=8)]], Field(min_length=3, max_length=3)] = Field(
        [1, 2, 4], description="channels of the three levels as multiples of base_width"
    )
    blocks_per_level: int = Field(1, ge=1, le=4, description="residual blocks in each down and up block")
    attention_resolutions: list[int] = Field(
        [4, 2], description="feature-map sizes (px) with self-attention; from image_size / (1, 2, 4, 8)"
    )
    embedding_width: int = Field(
        32, ge=8, le=1024, multiple_of=8, description="width of each sinusoidal encoding of t, mu_x and mu_y"
    )
    reference: Literal["none", "factorised", "gated"] = Field(
        "none",
        description="none: the denoiser under study; factorised: two denoisers that each know one axis alone and whose"
        " estimates are multiplied; gated: one scalar gate on what both labels change, opened by training after all"
        " else. The last two are read by the coupling index as models that are factorised, or coupled, by construction",
    )


class Diffusion(Section):
    """The forward process and what the network predicts."""

    timesteps: int = Field(1000, ge=10, le=10_000, description="number of noising steps T")
    schedule: Literal["linear", "cosine"] = Field(
        "linear",
        description="variance schedule: linear beta 1e-4 to 0.02 (scaled by 1000/T), or cosine",
    )
    prediction: Literal["epsilon", "v"] = Field(
        "epsilon",
        description="what the network predicts: the noise (epsilon) or sqrt(alpha_bar) eps - sqrt(1-alpha_bar) x0 (v)",
    )


class Training(Section):
    """The optimisation, and the steps at which weights are kept."""

    steps: int = Field(1600, ge=1, le=10_000_000, description="optimiser steps")
    batch_size: int = Field(64, ge=1, le=65_536, description="images a step")
    learning_rate: float = Field(2.0e-3, gt=0.0, le=1.0, description="peak learning rate of AdamW")
    learning_rate_schedule: Literal["constant", "cosine"] = Field(
        "cosine", description="after the warm-up: constant, or a cosine to zero at the last step"
    )
    warmup_steps: int = Field(50, ge=0, description="steps of linear warm-up")
    weight_decay: float = Field(0.0, ge=0.0, le=1.0, description="decoupled weight decay of AdamW")
    gradient_clip: float = Field(1.0, gt=0.0, description="largest L2 norm of the gradient")
    ema_decay: float = Field(0.995, ge=0.0, lt=1.0, description="decay of the moving average of the weights")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="arithmetic of the network's matrix products in training; bfloat16 is for GPUs"
    )
    compile: bool = Field(
        False, description="compile the training step first (minutes; worth it for hours of training on a GPU)"
    )
    log_every: int = Field(10, ge=1, description="a row of losses.parquet is the mean over this many steps")
    checkpoints: list[Annotated[int, Field(ge=0)]] = Field(
        [*range(0, 400, 100), *range(400, 1000, 50), *range(1000, 1601, 100)],
        min_length=1,
        description="steps at which weights are kept, increasing; 0 is the untrained control",
    )


class Probe(Section):
    """What is asked of a checkpoint."""

    checkpoints: list[Annotated[int, Field(ge=0)]] = Field(
        [0, 300, 400, 500, 600, 700, 800, 900, 1000, 1200, 1600],
        min_length=1,
        description="training checkpoints at which images are generated and activations read, increasing",
    )
    samples: int = Field(512, ge=16, le=10_000, description="images generated at a checkpoint")
    sampler: Literal["ddim", "ancestral"] = Field(
        "ddim", description="deterministic DDIM, or the ancestral sampler of DDPM (over the same number of steps)"
    )
    sampling_steps: int = Field(25, ge=2, description="denoising steps from pure noise to an image")
    weights: Literal["ema", "raw"] = Field("ema", description="weights that generate: moving average or raw")
    layers: list[LayerName] = Field(
        ["down3", "up2"],
        min_length=1,
        description=f"blocks whose activations are kept ({', '.join(LAYERS)}); phases are judged at the first",
    )
    timesteps: list[Annotated[int, Field(ge=0)]] = Field(
        [239, 39],
        min_length=1,
        description="t at which activations are kept; the sampler's nearest are read; phases are judged at the first",
    )
    effect_timesteps: list[Annotated[int, Field(ge=0)]] = Field(
        [300, 450, 600], min_length=1, description="t at which label effects are measured"
    )
    effect_samples: int = Field(256, ge=32, le=100_000, description="noised images of a label-effect probe at each t")
    frequency_bins: bool = Field(
        False,
        description="measure label effects also apart for the common, the middle and the rare positions of each axis",
    )


class Analysis(Section):
    """What is made of the probes."""

    tolerance: float = Field(1.0, gt=0.0, description="distance from the request up to which a bump is correct, px")
    faint: float = Field(
        0.25, gt=0.0, le=1.0, description="fitted amplitude from which a bump counts; a true bump has 1"
    )


def _partial(section: type[Section]) -> type[Section]:
    """The same section with every key optional, for a dataset that overrides only some of them."""
    fields: dict[str, Any] = {}
    for name, field in section.model_fields.items():
        # FieldInfo carries the constraints of the full section; only the default differs.
        annotation: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        fields[name] = (annotation | None, Field(None, description=field.description))
    return cast("type[Section]", create_model(f"{section.__name__}Override", __base__=Section, **fields))


ModelOverride = _partial(Model)
DiffusionOverride = _partial(Diffusion)
TrainingOverride = _partial(Training)
ProbeOverride = _partial(Probe)
AnalysisOverride = _partial(Analysis)
OVERRIDABLE = ("model", "diffusion", "training", "probe")


class Lattice(Section):
    """A lattice of bump centres and the images drawn from it."""

    image_size: int = Field(
        16, ge=8, le=256, multiple_of=8, description="side N of the square image, px; three halvings must divide it"
    )
    sigma: float = Field(1.0, gt=0.0, description="standard deviation of a bump, px; at most image_size / 4")
    margin: float | None = Field(
        None, ge=0.0, description="px kept free of centres at each edge; left out: 2 sigma on a plane, 0 on a torus"
    )
    dx: float = Field(
        1.0, gt=0.0, description="px between neighbouring centres along x; (image_size - 2 margin) / dx is whole"
    )
    dy: float = Field(
        1.0, gt=0.0, description="px between neighbouring centres along y; (image_size - 2 margin) / dy is whole"
    )
    boundary: Literal["plane", "torus"] = Field(
        "plane", description="plane cuts a bump at the edge; torus wraps it round"
    )
    polarity: Literal["bright", "dark"] = Field("bright", description="bright bump on dark, or its negative")
    skew: Skew = Field(Skew(), description="how often each position is drawn")
    holdout: Annotated[
        Holdout | None, BeforeValidator(_holdout, json_schema_input_type=Holdout | Literal["none"] | None)
    ] = Field(None, description="none, or {x: [low, high], y: [low, high]}: combinations withheld from training, px")

    @property
    def free_margin(self) -> float:
        """The margin in force, px."""
        if self.margin is not None:
            return self.margin
        return 0.0 if self.boundary == "torus" else 2.0 * self.sigma


class StepSettings(Section):
    """The keys one step depends on, as it gets them on its command line."""

    run: str | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    lattice: Lattice | None = None
    model: Model | None = None
    diffusion: Diffusion | None = None
    training: TrainingOverride | None = None  # type: ignore[valid-type]
    probe: ProbeOverride | None = None  # type: ignore[valid-type]
    analysis: AnalysisOverride | None = None  # type: ignore[valid-type]


def run_path(dataset: str, seed: int) -> str:
    """Folder of a run, relative to the output folder."""
    return f"runs/{dataset}/seed={seed}"


def canonical_json(value: Any) -> str:
    """The one JSON text of ``value``: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def fingerprint(*values: Any) -> str:
    """Sixteen hexadecimal digits that stand for ``values``."""
    return hashlib.sha256(canonical_json(values).encode()).hexdigest()[:16]

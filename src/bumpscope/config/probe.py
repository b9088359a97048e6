"""What is asked of a checkpoint: generated images with activations, and label effects."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from bumpscope.config.model import LAYERS, LayerName
from bumpscope.config.section import Section

SamplerName = Literal["ddim", "ancestral"]
Timesteps = list[Annotated[int, Field(ge=0)]]


class GenerationKeys(Section):
    """Which images are generated, and which activations are kept on the way."""

    checkpoints: list[Annotated[int, Field(ge=0)]] = Field(
        [0, 300, 400, 500, 600, 700, 800, 900, 1000, 1200, 1600],
        description="checkpoints at which images are generated, increasing; from training.checkpoints; empty where"
        " label effects are enough",
    )
    samples: int = Field(512, ge=16, le=10_000, description="images generated at a checkpoint")
    sampler: SamplerName = Field("ddim", description="deterministic DDIM, or ancestral as in DDPM")
    sampling_steps: int = Field(25, ge=2, description="denoising steps from pure noise to an image")
    weights: Literal["raw", "ema", "both"] = Field(
        "raw",
        description="weights that draw the images: raw, their moving average (ema), or both; verdicts are read from the"
        " raw ones, or from the average where it stands alone; beside the raw ones the average is read at the"
        " first layer and t alone",
    )
    layers: list[LayerName] = Field(
        ["down3", "up2"],
        min_length=1,
        description=f"layers whose activations are kept, from {', '.join(LAYERS)}; phases are judged at the first",
    )
    timesteps: Timesteps = Field(
        [239, 39],
        min_length=1,
        description="t at which activations are kept, or the sampler's nearest; below half of its last step the"
        " finished image is shown to the network once more, at t = 0. Phases are judged at the first",
    )

    @property
    def judged(self) -> str:
        """The weights that verdicts are read from: raw or ema."""
        return "ema" if self.weights == "ema" else "raw"

    @property
    def at_first_place(self) -> Self:
        """The same with activations where phases are judged alone: what weights beside the judged ones are asked."""
        return self.model_copy(update={"layers": self.layers[:1], "timesteps": self.timesteps[:1]})

    @property
    def drawing(self) -> tuple[str, ...]:
        """The weights that draw the images, the judged ones first."""
        return ("raw", "ema") if self.weights == "both" else (self.weights,)


class EffectKeys(Section):
    """How label effects are measured."""

    effect_timesteps: Timesteps = Field(
        [300, 450, 600], min_length=1, description="t at which label effects are measured"
    )
    effect_samples: int = Field(256, ge=32, le=100_000, description="noised images per t for label effects")
    frequency_bins: bool = Field(
        False, description="measure label effects also separately for common, middle and rare positions of each axis"
    )


class InterventionKeys(Section):
    """Where the denoiser is interfered with while it draws."""

    interventions: list[Annotated[int, Field(ge=0)]] = Field(
        [],
        description="checkpoints at which labels are swapped and taken out of layers, increasing; from"
        " training.checkpoints; none: claim C3 is not judged",
    )
    intervention_layers: list[LayerName] = Field(
        ["down3", "bottleneck", "up1"],
        min_length=1,
        description="layers that the label is taken out of; C3 is judged at the first of `layers`",
    )


class Probe(InterventionKeys, EffectKeys, GenerationKeys):
    """What is asked of a checkpoint.

    A key that no step takes stands here: it chooses which steps there are.
    """

    geometry: bool = Field(
        True,
        description="measure activations: tables geometry, embedding, umaps, topology and phases; without them only"
        " images and label effects count",
    )

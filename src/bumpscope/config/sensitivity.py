"""What `snakemake sensitivity` changes."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from bumpscope.config.model import LayerName
from bumpscope.config.probe import SamplerName, Timesteps
from bumpscope.config.section import Section


class SamplerChoice(Section):
    """A sampler and its number of steps."""

    sampler: SamplerName = Field(description="as in `probe`")
    sampling_steps: int = Field(ge=2, description="as in `probe`")


class Sensitivity(Section):
    """What `snakemake sensitivity` changes, one at a time, before it judges the claims again. An empty list changes
    nothing. No other step depends on these keys."""

    tolerances: list[Annotated[float, Field(gt=0.0)]] = Field(
        [0.5, 2.0], description="instead of analysis.tolerance, px"
    )
    layers: list[LayerName] = Field(
        list(get_args(LayerName)), description="layers at which phases are judged, each at every t of `timesteps`"
    )
    timesteps: Timesteps = Field([639, 239, 39], description="t at which phases are judged, as in `probe`")
    samples: list[Annotated[int, Field(ge=16, le=10_000)]] = Field([128, 256], description="instead of probe.samples")
    samplers: list[SamplerChoice] = Field(
        [
            SamplerChoice(sampler="ddim", sampling_steps=10),
            SamplerChoice(sampler="ddim", sampling_steps=50),
            SamplerChoice(sampler="ancestral", sampling_steps=100),
        ],
        description="instead of probe.sampler and probe.sampling_steps",
    )
    weights: list[Literal["raw", "ema"]] = Field(
        ["ema"], description="instead of the weights that verdicts are read from, see probe.weights"
    )

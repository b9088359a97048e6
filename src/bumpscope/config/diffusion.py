"""The forward process and what the network predicts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bumpscope.config.section import Section


class Diffusion(Section):
    """The forward process and what the network predicts."""

    timesteps: int = Field(1000, ge=10, le=10_000, description="number of noising steps T")
    schedule: Literal["linear", "cosine"] = Field(
        "linear", description="variance schedule: linear beta from 1e-4 to 0.02 (scaled by 1000/T), or cosine"
    )
    prediction: Literal["epsilon", "v"] = Field(
        "epsilon",
        description="output of the network: the noise epsilon, or v = sqrt(alpha_bar) epsilon - sqrt(1 - alpha_bar) x0",
    )

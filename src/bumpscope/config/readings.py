"""Readings: on which probe, at which tolerance and place the claims are judged again, with one of these changed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bumpscope.config.model import LayerName
from bumpscope.config.section import Section

# The variant that generates as the experiment did, with activations at more places.
CONFIGURED = "configured"


class Reading(Section):
    """One way to read the balanced planes.

    Attributes:
        factor: what is changed; ``configured`` changes nothing.
        level: its new value, as text.
        variant: the variant of the probe.
        tolerance, tolerances: as in ``analysis``.
        layer, t: where latents are read, at the sampler's nearest t; None for where the experiment judges phases.
    """

    factor: Literal["configured", "tolerance", "place", "samples", "sampler", "weights"]
    level: str
    variant: str
    tolerance: float
    tolerances: dict[str, float] = Field(default_factory=dict)
    layer: LayerName | None = None
    t: int | None = None


class Readings(Section):
    """All readings of an experiment.

    Attributes:
        runs: dataset -> seeds of its runs.
        variants: variant -> datasets with tables of it; for the others ``configured`` is the same.
        readings: the configured one first.
    """

    runs: dict[str, list[int]]
    variants: dict[str, list[str]]
    readings: list[Reading]

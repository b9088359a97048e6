"""What the claims are judged on again: a variant of the probe, a tolerance and a place, with one of them changed."""

from __future__ import annotations

from typing import Literal

from bumpscope.config.model import LayerName
from bumpscope.config.section import Section

# The variant that generates as the experiment did, and keeps activations at more places.
CONFIGURED = "configured"


class Reading(Section):
    """One way to read the balanced planes.

    Attributes:
        factor: what it changes; ``configured`` changes nothing.
        level: what it is changed to, in words.
        variant: of the probe.
        tolerance: distance from the request up to which a bump is correct, px.
        layer, t: where latents are read, at the nearest t that the sampler visited; None for the place at which the
            experiment itself judges the phases of a run.
    """

    factor: Literal["configured", "tolerance", "place", "samples", "sampler"]
    level: str
    variant: str
    tolerance: float
    layer: LayerName | None = None
    t: int | None = None


class Readings(Section):
    """All readings of an experiment.

    Attributes:
        runs: dataset -> seeds of the runs that are read again.
        variants: variant -> datasets that have tables of it; the others are probed the same way in ``configured``.
        readings: the first is the configured one.
    """

    runs: dict[str, list[int]]
    variants: dict[str, list[str]]
    readings: list[Reading]

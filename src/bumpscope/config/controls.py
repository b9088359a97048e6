"""The controls of an imbalanced dataset: what the coupling index compares it with (docs/science.md).

Used both to make them (:mod:`bumpscope.config.sweep`) and to find them (:mod:`bumpscope.judge.controls`).
"""

from __future__ import annotations

from typing import NamedTuple

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import is_square
from bumpscope.config.model import Model
from bumpscope.config.section import fingerprint
from bumpscope.config.training import Training

# Two lattices have as many points if their numbers differ by at most this share.
COUNT_TOLERANCE = 0.02
# Keys of the training that may differ between a dataset and its controls.
FREE = {"checkpoints", "log_every", "compile"}
SWAPPED_AXIS = {"x": "y", "y": "x", "none": "none", "both": "both"}


class Pattern(NamedTuple):
    """Spacing and skew: all in which a dataset differs from its controls."""

    dx: float
    dy: float
    skew_axis: str
    skew_alpha: float

    @property
    def kind(self) -> str | None:
        """The imbalance: lattice (dx != dy), frequency (one axis skewed), both, or None."""
        skewed = self.skew_axis in ("x", "y")
        if is_square(self.dx, self.dy):
            return "frequency" if skewed else None
        return "both" if skewed else "lattice"


def trained(model: Model, diffusion: Diffusion, training: Training) -> str:
    """A fingerprint of all settings of the training in which a dataset and its controls must agree."""
    sections = (model, diffusion, training)
    return fingerprint(*(section.model_dump(mode="json", exclude=FREE) for section in sections))


def controls(pattern: Pattern) -> dict[str, Pattern]:
    """The controls of an imbalanced pattern by their role.

    ``swapped`` has the axes swapped. ``null_x`` and ``null_y`` are balanced and stand for x and for y: for unequal
    spacings the square lattices at dx and at dy; for a skewed axis both axes skewed, for the other axis neither. With
    both kinds of imbalance there are no nulls. ``matched`` is balanced, with as many points: for a skewed axis the same
    lattice without skew; for others it depends on the number of points and is not listed here.
    """
    axis, other = pattern.skew_axis, SWAPPED_AXIS[pattern.skew_axis]
    found = {"swapped": Pattern(pattern.dy, pattern.dx, other, pattern.skew_alpha)}
    if pattern.kind == "lattice":
        found |= {"null_x": pattern._replace(dy=pattern.dx), "null_y": pattern._replace(dx=pattern.dy)}
    elif pattern.kind == "frequency":
        neither = pattern._replace(skew_axis="none", skew_alpha=0.0)
        found |= {f"null_{axis}": pattern._replace(skew_axis="both"), f"null_{other}": neither, "matched": neither}
    return found

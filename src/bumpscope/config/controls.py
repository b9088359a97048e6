"""The controls of an imbalanced dataset: what the coupling index compares it with (docs/science.md).

Used both to make them (:mod:`bumpscope.config.sweep`) and to find them (:mod:`bumpscope.judge.controls`).
"""

from __future__ import annotations

from typing import NamedTuple

from bumpscope.config.denoiser import UNET, DenoiserChoice, in_force
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
# The nulls of an imbalanced dataset, those that are judged first: each axis learnt in a task of its own, with one
# position on the other axis, or on balanced data.
ONE_DIMENSIONAL, BALANCED = "one_dimensional", "balanced"
NULLS = (ONE_DIMENSIONAL, BALANCED)


class Pattern(NamedTuple):
    """Spacing and skew: all in which a dataset differs from its controls.

    Attributes:
        length: side of the square that the centres fill, px; an axis with this spacing has one position.
    """

    dx: float
    dy: float
    skew_axis: str
    skew_alpha: float
    length: float

    @property
    def kind(self) -> str | None:
        """The imbalance: lattice (dx != dy), frequency (one axis skewed), both, or None; also with a single axis."""
        if is_square(self.dx, self.length) or is_square(self.dy, self.length):
            return None
        skewed = self.skew_axis in ("x", "y")
        if is_square(self.dx, self.dy):
            return "frequency" if skewed else None
        return "both" if skewed else "lattice"

    @property
    def swapped(self) -> Pattern:
        """The same with the axes swapped."""
        return self._replace(dx=self.dy, dy=self.dx, skew_axis=SWAPPED_AXIS[self.skew_axis])


class Nulls(NamedTuple):
    """Stand for x and for y of an imbalanced dataset."""

    x: Pattern
    y: Pattern


def trained(model: Model, diffusion: Diffusion, training: Training, denoiser: DenoiserChoice = UNET) -> str:
    """A fingerprint of all settings of the training in which a dataset and its controls must agree."""
    named = in_force(model, denoiser)
    sections = (named, model.model_copy(update={"reference": "none"}), diffusion, training)
    return fingerprint(*(section.model_dump(mode="json", exclude=FREE) for section in sections))


def nulls(pattern: Pattern) -> dict[str, Nulls]:
    """The nulls of an imbalanced pattern, by their kind.

    ``one_dimensional``: the same axis, with one position on the other. They have fewer images than the dataset: as many
    as the axis has positions. ``balanced``: for unequal spacings the square lattices at dx and at dy, of which the
    finer has more images; for a skewed axis both axes skewed, for the other axis neither. With both kinds of imbalance
    there are no balanced nulls.
    """
    axis = pattern.skew_axis
    line = Nulls(pattern._replace(dy=pattern.length), pattern._replace(dx=pattern.length))
    own = Nulls(*(each if name == axis else without_skew(each) for name, each in zip("xy", line, strict=True)))
    found = {ONE_DIMENSIONAL: line if axis == "both" else own}
    if pattern.kind == "lattice":
        found[BALANCED] = Nulls(pattern._replace(dy=pattern.dx), pattern._replace(dx=pattern.dy))
    elif pattern.kind == "frequency":
        skewed, neither = pattern._replace(skew_axis="both"), without_skew(pattern)
        found[BALANCED] = Nulls(skewed, neither) if axis == "x" else Nulls(neither, skewed)
    return found


def matched(pattern: Pattern) -> Pattern | None:
    """The balanced pattern with as many points: of a skewed axis the same lattice without skew.

    Of unequal spacings it depends on the number of points, and this is None.
    """
    return without_skew(pattern) if pattern.kind == "frequency" else None


def without_skew(pattern: Pattern) -> Pattern:
    return pattern._replace(skew_axis="none", skew_alpha=0.0)

"""The lattice of bump centres of a dataset, and the images drawn from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, ConfigDict, Field, SerializeAsAny, ValidationInfo

from bumpscope.config.section import Section
from bumpscope.config.world import WorldChoice

Interval = Annotated[list[float], Field(min_length=2, max_length=2)]


class Skew(Section):
    """Sampling probability of the lattice points: a power law over the positions of an axis."""

    axis: Literal["none", "x", "y", "both"] = Field("none", description="axis whose positions differ in frequency")
    alpha: float = Field(
        0.0, ge=0.0, le=10.0, description="exponent of the power law rank^-alpha; a seeded permutation assigns ranks"
    )


class SkewOfFactor(Skew):
    """The same in a world whose factors are others."""

    axis: str = "none"  # type: ignore[assignment]


class Holdout(Section):
    """A block of combinations withheld from training; each x and each y of it occurs elsewhere."""

    x: Interval = Field(description="[low, high] of the withheld block along x, px, both ends included")
    y: Interval = Field(description="[low, high] of the withheld block along y, px, both ends included")

    @property
    def intervals(self) -> dict[str, list[float]]:
        """Factor -> ends of the block along it."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


class HoldoutOfFactors(Holdout):
    """The same in a world whose factors are others."""

    model_config = ConfigDict(extra="allow")

    x: Interval | None = None  # type: ignore[assignment]
    y: Interval | None = None  # type: ignore[assignment]


class Shown(Section):
    """Which combinations of x and y training shows; the others are withheld. One of `each` and `share` is given."""

    each: int | None = Field(
        None,
        ge=1,
        description="a circulant design: so many combinations, evenly spread, in every row and in every column of a"
        " lattice with as many positions along x as along y",
    )
    share: Annotated[float, Field(gt=0.0, lt=1.0)] | None = Field(
        None, description="a random share of all combinations; with one seed a larger share contains a smaller one"
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = Field(
        None, description="of the random share, 0 by default; with each, rows and columns are shuffled if it is given"
    )

    def __str__(self) -> str:
        return ", ".join(f"{key}={value}" for key, value in self.model_dump(exclude_none=True).items())


def _shown(value: Any) -> Any:
    """As :func:`_holdout`, for ``all`` or a design."""
    if value is None or isinstance(value, Shown):
        return value
    if value == "all":
        return None
    if not isinstance(value, Mapping):
        raise ValueError("all, {each: ...} or {share: ..., seed: ...}")
    return value


def _holdout(value: Any, info: ValidationInfo) -> Any:
    """Read ``none`` or a block here, so that a wrong value gives one error and not one for each alternative."""
    if value is None or isinstance(value, Holdout):
        return value
    if value == "none":
        return None
    if not isinstance(value, Mapping):
        raise ValueError("none, or {x: [low, high], y: [low, high]} in px")
    return value if _has_centres(info) else HoldoutOfFactors(**_blocks(value))


def _blocks(value: Mapping[Any, Any]) -> dict[str, Any]:
    for name, block in value.items():
        numbers = block if isinstance(block, list) else []
        if block is not None and not (len(numbers) == 2 and all(type(one) in (int, float) for one in numbers)):
            raise ValueError(f"none, or [low, high] for each factor of the world; {name} holds another value")
    return dict(value)


def _skew(value: Any, info: ValidationInfo) -> Any:
    """The name of the axis is checked where the factors are known."""
    axis = value.get("axis") if isinstance(value, Mapping) else None
    known = axis in get_args(Skew.model_fields["axis"].annotation)
    return value if known or not isinstance(axis, str) or _has_centres(info) else SkewOfFactor(**value)


def _has_centres(info: ValidationInfo) -> bool:
    """Whether the factors are x and y, as far as the world of a dataset is known."""
    return bool(info.data.get("world", BUMPS).has_centres)


BUMPS = WorldChoice()


class Drawing(Section):
    """How a bump is drawn, wherever its centre is."""

    image_size: int = Field(
        16, ge=8, le=256, multiple_of=8, description="side of the square image, px; divisible by 8, for three halvings"
    )
    sigma: float = Field(
        1.0, gt=0.0, le=64.0, description="standard deviation of a bump, px; from 0.5 to image_size / 4"
    )
    margin: float | None = Field(
        None, ge=0.0, description="px without centres at each edge; default: 2 sigma on a plane, 0 on a torus"
    )
    polarity: Literal["bright", "dark"] = Field("bright", description="bright bump on dark, or the negative")

    def margin_on(self, boundary: str) -> float:
        """The margin in force on a plane or a torus, px."""
        if self.margin is not None:
            return self.margin
        return 0.0 if boundary == "torus" else 2.0 * self.sigma


class Lattice(Drawing):
    """A lattice of bump centres and the images drawn from it."""

    world: WorldChoice = Field(BUMPS, description="what is drawn, and the labels that it is drawn by")
    dx: float = Field(1.0, gt=0.0, description="spacing of centres along x, px; divides image_size - 2 margin")
    dy: float = Field(1.0, gt=0.0, description="spacing of centres along y, px; divides image_size - 2 margin")
    boundary: Literal["plane", "torus"] = Field("plane", description="plane cuts bumps at the edge, torus wraps them")
    skew: Annotated[SerializeAsAny[Skew], BeforeValidator(_skew, json_schema_input_type=Skew)] = Field(
        Skew(), description="how often each position is drawn"
    )
    holdout: Annotated[
        SerializeAsAny[Holdout] | None,
        BeforeValidator(_holdout, json_schema_input_type=Holdout | HoldoutOfFactors | Literal["none"] | None),
    ] = Field(None, description="none, or {x: [low, high], y: [low, high]}: combinations withheld from training, px")
    shown: Annotated[Shown | None, BeforeValidator(_shown, json_schema_input_type=Shown | Literal["all"] | None)] = (
        Field(
            None, description="all, or which combinations of x and y training shows: {each: 2} or {share: 0.3, seed: 0}"
        )
    )
    stripes: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="share of the training images that are stripes: a position of one axis alone, along the whole other"
        " axis, with the label of the other withheld",
    )

    @property
    def free_margin(self) -> float:
        """The margin in force, px."""
        return self.margin_on(self.boundary)

    @property
    def length(self) -> float:
        """Side of the square that the centres fill, px."""
        return self.image_size - 2 * self.free_margin

    @property
    def counts(self) -> tuple[int, int]:
        """Centres along x and along y."""
        return centres(self.length, self.dx), centres(self.length, self.dy)

    @property
    def most_points(self) -> float:
        """Number of lattice points, as far as that is known without the world; else infinite."""
        return math.prod(self.counts) if self.world.has_centres else math.inf

    @property
    def is_balanced_plane(self) -> bool:
        dy = self.dy if "dy" in self.world.used else self.dx
        return is_balanced_plane(self.boundary, self.dx, dy, self.skew.axis)


def centres(length: float, spacing: float) -> int:
    """Number of centres along an axis; 0 where the quotient is not finite."""
    count = length / spacing
    return round(count) if math.isfinite(count) else 0


def is_square(dx: float, dy: float) -> bool:
    """Whether dx = dy; spacings are rounded in configurations and in names."""
    return math.isclose(dx, dy, rel_tol=1e-5)


def is_balanced_plane(boundary: str, dx: float, dy: float, skew_axis: str) -> bool:
    """Whether a lattice is a plane with dx = dy and no skew."""
    return boundary == "plane" and is_square(dx, dy) and skew_axis == "none"

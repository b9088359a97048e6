"""Clouds of three factors, x, y and size, whose phase is known by construction: solids of three dimensions in order and
in disorder, and what is neither.

They stand for activations of images requested in world ``sized_xy``. The tuned family is that on which thresholds were
set; no threshold was set on the fresh one, which has other shapes, other noise and the numbers of images in use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pandas as pd

import fresh_clouds
from bumpscope.config.lattice import Lattice
from bumpscope.measure.components import decompose
from bumpscope.measure.geometry import Centres, measure
from bumpscope.worlds.named import world_of
from bumpscope.worlds.requests import requested_centres
from bumpscope.worlds.world import World
from clouds import anywhere, mixed, permuted, radius
from fresh_clouds import NOISES, Noise

FAMILIES = ("fresh", "tuned")
SAMPLES = {"fresh": (512, 256), "tuned": (600, 420, 300)}
NOISES_OF = {"fresh": NOISES, "tuned": [noise for noise in NOISES if noise.distribution == "Gaussian"]}
# Lattices of the requests: x and y by the spacing, then sizes.
LATTICES = {"fresh": ((1.0, 12),), "tuned": ((2.0, 5), (2.5, 6), (1.25, 4))}
Points = np.ndarray
Rng = np.random.Generator


@dataclass(frozen=True)
class Cloud:
    """A cloud and what is true of it.

    Attributes:
        vectors: shape (n, d), float32.
        centres: requested and realised labels.
        phase: A, B, C, or ? for what is none of them.
        shape: which of a kind's constructions it is.
        mixture: which of ``clouds.MIXTURES`` the points were mixed with; empty for none.
    """

    vectors: np.ndarray
    centres: Centres
    phase: str
    shape: str
    mixture: str

    def measured(self, seed: int = 0) -> pd.DataFrame:
        """The geometry of the cloud without UMAP."""
        return measure(decompose(self.vectors), self.centres, seed)


@dataclass(frozen=True)
class Kind:
    """A kind of cloud: its phase, its shapes by name, and how positions are moved from their requests.

    Shapes of phase A and of what has no labels are functions of the number of points, others of positions.
    """

    phase: str
    shapes: dict[str, Callable[..., Points]]
    moved: Callable[[Points, Rng], Points] | None = None
    of_positions: bool = True


# Positions in the unit cube, shape (n, 3), to points: the tuned family.


def _solid(curved: bool) -> Callable[[Points, Rng], Points]:
    """A stretched, unevenly filled box; if curved, bent along random waves, nowhere near itself."""

    def points(u: Points, rng: Rng) -> Points:
        v = (2 * u - 1) * [1.0, *rng.uniform(0.7, 1.0, size=2)]
        v = v + rng.uniform(-0.5, 0.5, size=3) * (v**2 - 1) / 3
        if not curved:
            return v
        waves = rng.normal(size=(3, 5))
        waves *= rng.uniform(1.0, 2.0, size=5) / np.linalg.norm(waves, axis=0)
        return np.concatenate([v, 0.5 * np.sin(v @ waves + rng.uniform(0, 2 * np.pi, size=5))], axis=1)

    return points


def _fields(u: Points, rng: Rng) -> Points:
    """Positions as 200 units with bell-shaped fields and gains of their own see them."""
    apart = u[:, None] - rng.uniform(-0.2, 1.2, size=(200, 3))
    fields = np.exp(-(apart**2).sum(axis=2) / (2 * rng.uniform(0.2, 0.35) ** 2))
    return fields * rng.uniform(0.5, 1.5, size=200)


def _ball(dimension: int) -> Callable[[int, Rng], Points]:
    """A ball evenly filled, one direction shorter."""

    def points(n: int, rng: Rng) -> Points:
        found = rng.normal(size=(n, dimension))
        found *= rng.uniform(size=(n, 1)) ** (1 / dimension) / np.linalg.norm(found, axis=1, keepdims=True)
        return found * [*np.ones(dimension - 1), rng.uniform(0.7, 1.0)]

    return points


def _sheet(u: Points, rng: Rng) -> Points:
    """A bent sheet of the first two positions: the third is not told."""
    v = 2 * u[:, :2] - 1
    return np.column_stack([v * [1.0, rng.uniform(0.7, 1.0)], 0.4 * np.sin(v @ rng.uniform(1.0, 2.0, size=(2, 3)))])


def _circle(n: int, rng: Rng) -> Points:
    angle = rng.uniform(0, 2 * np.pi, size=n)
    return np.stack([np.cos(angle), rng.uniform(0.8, 1) * np.sin(angle), 0.2 * np.cos(2 * angle)], axis=1)


def _sphere(n: int, rng: Rng) -> Points:
    """A hollow sphere, which is a surface."""
    points = rng.normal(size=(n, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True) * [1.0, 1.0, rng.uniform(0.8, 1.0)]


def _bricks(u: Points, rng: Rng) -> Points:
    """The unit cube cut into 27 bricks that change places and are mirrored."""
    brick = np.minimum((u * 3).astype(int), 2)
    number = brick @ [9, 3, 1]
    place = rng.permutation(27)[number]
    inside = u * 3 - brick
    inside = np.where(rng.random((27, 3))[number] < 0.5, 1 - inside, inside)
    return (np.stack([place // 9, place // 3 % 3, place % 3], axis=1) + inside) / 3


def _one_in_order(u: Points, rng: Rng) -> Points:
    """One factor as requested, the two others unrelated."""
    moved, kept = anywhere(u, rng), int(rng.integers(3))
    moved[:, kept] = u[:, kept]
    return moved


# The fresh family.


def _sheared(u: Points, rng: Rng) -> Points:
    """A flat box, sheared and narrower in two directions."""
    shear = np.eye(3) + np.tril(rng.uniform(-0.4, 0.4, size=(3, 3)), -1)
    return (2 * u - 1) * [1.0, *rng.uniform(0.6, 1.0, size=2)] @ shear


def _images(u: Points, rng: Rng) -> Points:
    """A place code: the images themselves, of bumps twice as wide, each pixel with a gain of its own."""
    world = _world(1.0, 12)
    units = world.render(_labels(world, u) * [1.0, 1.0, 2.0]).reshape(len(u), -1)
    return units * rng.uniform(0.7, 1.3, size=units.shape[1])


def _blocks(u: Points, rng: Rng) -> Points:
    """Oblong blocks, of other numbers along each factor, change places and are mirrored along any."""
    counts = rng.permutation([2, 3, 4])
    block = np.minimum((u * counts).astype(int), counts - 1)
    inside = u * counts - block
    of = np.stack(np.unravel_index(np.arange(24), counts))
    while True:
        place = rng.permutation(24)
        to = np.stack(np.unravel_index(place, counts))
        if max(abs(np.corrcoef(a, b)[0, 1]) for a, b in zip(of, to, strict=True)) <= fresh_clouds.LEFT_OVER:
            break
    number = np.ravel_multi_index(tuple(block.T), counts)
    inside = np.where(rng.random((24, 3))[number] < 0.5, 1 - inside, inside)
    return (to.T[number] + inside) / counts


def _four_box(n: int, rng: Rng) -> Points:
    return rng.uniform(-1, 1, size=(n, 4)) * rng.uniform(0.75, 1, size=4)


def _without(name: str) -> Callable[[int, Rng], Points]:
    """A structureless shape of a kind of :mod:`fresh_clouds`, any of its own."""
    shapes = list(fresh_clouds.KINDS[name].shapes.values())
    return lambda n, rng: shapes[int(rng.integers(len(shapes)))](n, rng)


TUNED = {
    "full-dimensional random": Kind("A", {"": lambda n, rng: rng.normal(size=(n, 800))}, of_positions=False),
    "ten-dimensional random": Kind(
        "A", {"": lambda n, rng: rng.normal(size=(n, 10)) * rng.uniform(0.6, 1.0, size=10)}, of_positions=False
    ),
    "random, steep spectrum": Kind(
        "A",
        {"": lambda n, rng: rng.normal(size=(n, 60)) * np.arange(1, 61) ** (-rng.uniform(1.0, 1.6) / 2)},
        of_positions=False,
    ),
    "permuted flat solid": Kind("B", {"": _solid(False)}, permuted),
    "permuted curved solid": Kind("B", {"": _solid(True)}, permuted),
    "unrelated curved solid": Kind("B", {"": _solid(True)}, anywhere),
    "unrelated population solid": Kind("B", {"": _fields}, anywhere),
    "scrambled bricks": Kind("B", {"flat": _solid(False), "curved": _solid(True)}, _bricks),
    "ordered flat solid": Kind("C", {"": _solid(False)}),
    "ordered curved solid": Kind("C", {"": _solid(True)}),
    "ordered population solid": Kind("C", {"": _fields}),
    "circle": Kind("?", {"": _circle}, of_positions=False),
    "hollow sphere": Kind("?", {"": _sphere}, of_positions=False),
    "ordered sheet": Kind("?", {"": _sheet}),
    "unrelated sheet": Kind("?", {"": _sheet}, anywhere),
    "solid in order along one factor": Kind("?", {"": _solid(True)}, _one_in_order),
    "ball of four dimensions": Kind("?", {"": _ball(4)}, of_positions=False),
    "three-dimensional random": Kind("?", {"": lambda n, rng: rng.normal(size=(n, 3))}, of_positions=False),
}
CURVED = {
    "quadric": fresh_clouds.quadric,
    "tanh network": partial(fresh_clouds.network, largest=0.8),
    "Fourier features": partial(fresh_clouds.fourier, features=60),
    "additive code": fresh_clouds.additive,
}
FLAT, IMAGES = {"sheared box": _sheared}, {"images": _images}
FRESH = {
    "random, full-dimensional": Kind("A", {"": _without("random, full-dimensional")}, of_positions=False),
    "random, power-law spectrum": Kind("A", {"": _without("random, power-law spectrum")}, of_positions=False),
    "random, ten-dimensional": Kind("A", {"": _without("random, ten-dimensional")}, of_positions=False),
    "untrained network": Kind("A", {"": _without("untrained network")}, of_positions=False),
    "shuffled flat solid": Kind("B", FLAT, permuted),
    "shuffled curved solid": Kind("B", CURVED, permuted),
    "unrelated curved solid": Kind("B", CURVED, anywhere),
    "unrelated place code": Kind("B", IMAGES, anywhere),
    "scrambled blocks": Kind("B", FLAT | CURVED, _blocks),
    "ordered flat solid": Kind("C", FLAT),
    "ordered curved solid": Kind("C", CURVED),
    "ordered place code": Kind("C", IMAGES),
    "circle": Kind("?", fresh_clouds.KINDS["circle"].shapes, of_positions=False),
    "ordered sheet": Kind("?", {"cylinder": fresh_clouds.cylinder}),
    "unrelated sheet": Kind("?", {"cylinder": fresh_clouds.cylinder}, anywhere),
    "solid in order along one factor": Kind("?", CURVED, _one_in_order),
    "solid of four dimensions": Kind("?", {"box": _four_box}, of_positions=False),
}
KINDS = {"fresh": FRESH, "tuned": TUNED}
# Kinds that are mixed as well.
MIXED = {
    family: [kind for kind in kinds if "scrambled" not in kind and "random" not in kind and "untrained" not in kind]
    for family, kinds in KINDS.items()
}


@cache
def _world(spacing: float, sizes: int) -> World:
    world = {"kind": "sized_xy", "sizes": sizes, "ratio": 3.0}
    lattice = {"image_size": 16, "margin": 3.0, "dx": spacing, "dy": spacing, "world": world}
    return world_of(Lattice.model_validate(lattice))


def _labels(world: World, u: Points) -> np.ndarray:
    """Labels at these shares of the support, shape (n, 3)."""
    return np.stack([factor.spread(share) for factor, share in zip(world.factors, u.T, strict=True)], axis=1)


def cloud(family: str, kind: str, noise: Noise, samples: int, seed: int, mixture: str = "") -> Cloud:
    """A cloud of one of the ``KINDS``, of this number of images."""
    known = KINDS[family][kind]
    rng = np.random.default_rng([11, FAMILIES.index(family), list(KINDS[family]).index(kind), samples, seed])
    world = _world(*LATTICES[family][seed % len(LATTICES[family])])
    asked = requested_centres(world.lattice, samples)
    requested = asked[world.names.asked].to_numpy()
    extents = [(factor.coordinate(own), *factor.extent) for factor, own in zip(world.factors, requested.T, strict=True)]
    u = np.stack([(own - low) / length for own, low, length in extents], axis=1)
    moved = u if known.moved is None else known.moved(u, rng)
    shape = str(rng.choice(list(known.shapes)))
    points = known.shapes[shape](moved if known.of_positions else samples, rng)
    if mixture:
        points = mixed(points, mixture, rng, fresh_clouds.strays if family == "fresh" else _ten)
    size = radius(points)
    if points.shape[1] < 300:
        d = int(rng.integers(400, 1200))
        points = points @ np.linalg.qr(rng.normal(size=(d, points.shape[1])))[0].T
    vectors = points + noise.drawn(points.shape, size, rng) + rng.normal(size=points.shape[1])
    realised = _labels(world, moved if known.of_positions else anywhere(u, rng))
    centres = Centres(requested.T, realised.T, (asked["split"] == "seen").to_numpy(), world.factors)
    return Cloud((rng.uniform(0.1, 10) * vectors).astype(np.float32), centres, known.phase, shape, mixture)


def _ten(n: int, rng: Rng) -> Points:
    return rng.normal(size=(n, 10))


def untrained(like: Cloud, seed: int = 0) -> Cloud:
    """The control: an untrained network's activations at the same requests."""
    vectors = fresh_clouds.untrained_network(len(like.vectors), np.random.default_rng([12, seed]))
    return Cloud(vectors.astype(np.float32), like.centres, "A", "", "")

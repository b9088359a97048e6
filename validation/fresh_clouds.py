"""Clouds whose dimension, topology and phase are known by construction, from generators on which no threshold was set.

They are asked for exactly the centres that a probe asks for on the default lattices, plane and torus, and have its
numbers of images. Each cloud draws its own shape, width and noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from bumpscope.config.lattice import Lattice
from bumpscope.worlds.bumps import render
from bumpscope.worlds.requests import requested_centres
from clouds import Cloud, anywhere, expected_participation_ratio, mixed, permuted, radius, variances

LATTICES = {"plane": Lattice(), "torus": Lattice(sigma=2.0, boundary="torus")}
SAMPLES = (512, 256)
# Numbers of images that datasets with these boundaries have in the default experiment.
USED = {"plane": SAMPLES, "torus": (512,)}
Points = np.ndarray
Rng = np.random.Generator


@dataclass(frozen=True)
class Noise:
    """Noise of independent coordinates.

    Attributes:
        share: of the cloud's radius: the length of the whole noise vector (spread "in all"), or the standard
            deviation of each coordinate ("a coordinate").
        distribution: Gaussian, uniform, or Student t with 5 degrees of freedom, which has far outliers.
    """

    share: float
    spread: str
    distribution: str

    def variance(self, radius: float, d: int) -> float:
        """Variance of a coordinate."""
        return (self.share * radius) ** 2 / (d if self.spread == "in all" else 1)

    def drawn(self, shape: tuple[int, int], radius: float, rng: Rng) -> np.ndarray:
        unit = {
            "Gaussian": lambda: rng.normal(size=shape),
            "uniform": lambda: rng.uniform(-np.sqrt(3), np.sqrt(3), size=shape),
            "Student t": lambda: rng.standard_t(5, size=shape) / np.sqrt(5 / 3),
        }[self.distribution]
        return np.sqrt(self.variance(radius, shape[1])) * unit()


NOISES = [
    Noise(0.0, "in all", "Gaussian"),
    *(
        Noise(share, spread, distribution)
        for share in (0.05, 0.1)
        for spread in ("in all", "a coordinate")
        for distribution in ("Gaussian", "uniform", "Student t")
    ),
]


# Sheets: positions in the unit square, shape (n, 2), to points, shape (n, k). Those without an underscore also take
# positions in a cube, shape (n, 3), for :mod:`solid_clouds`.


def _parallelogram(u: Points, rng: Rng) -> Points:
    """A flat sheet, sheared and narrower in one direction."""
    return (2 * u - 1) @ np.array([[1.0, 0.0], [rng.uniform(-0.4, 0.4), rng.uniform(0.6, 1.0)]])


def quadric(u: Points, rng: Rng) -> Points:
    """A patch of a paraboloid or a saddle."""
    v = 2 * u - 1
    return np.column_stack([v, v**2 @ (rng.uniform(0.3, 0.6, size=v.shape[1]) * rng.choice([-1, 1], size=v.shape[1]))])


def cylinder(u: Points, rng: Rng) -> Points:
    """A patch of a cylinder, of 90 to 160 degrees, as long as it is wide. A third position is not told."""
    half = np.radians(rng.uniform(45, 80))
    angle = (2 * u[:, 0] - 1) * half
    return np.column_stack([np.sin(angle) / half, np.cos(angle) / half, 2 * u[:, 1] - 1])


def network(u: Points, rng: Rng, largest: float = 1.0) -> Points:
    """What a random network of two layers of tanh makes of a position; its weights, of this scale at most, are small
    enough that it folds nothing over."""
    weights = rng.normal(scale=rng.uniform(0.5, largest), size=(u.shape[1], 64))
    hidden = np.tanh((2 * u - 1) @ weights + rng.normal(size=64))
    return np.tanh(hidden @ rng.normal(scale=1 / 8, size=(64, 40)) + 0.5 * rng.normal(size=40))


def fourier(u: Points, rng: Rng, features: int = 40) -> Points:
    """Random Fourier features of a Gaussian kernel half to the whole of the sheet wide (Rahimi and Recht 2007)."""
    frequency = rng.normal(scale=1 / rng.uniform(1.0, 2.0), size=(u.shape[1], features))
    return np.cos((2 * u - 1) @ frequency + rng.uniform(0, 2 * np.pi, size=features)) / np.sqrt(features / 2)


def additive(u: Points, rng: Rng) -> Points:
    """An additive code: a bent curve for each factor, in directions of its own."""
    curves = [
        np.tanh((2 * axis[:, None] - 1) * rng.normal(size=20) + 0.5 * rng.normal(size=20)) / np.sqrt(20) for axis in u.T
    ]
    return np.concatenate(curves, axis=1)


def _population(u: Points, rng: Rng) -> Points:
    """A place code: 16 x 16 units with Gaussian fields 2 to 3 px wide and gains of their own."""
    lattice = LATTICES["plane"]
    return _fields(u, lattice.model_copy(update={"sigma": rng.uniform(2, 3), "margin": lattice.free_margin}), rng)


def _harmonics(u: Points, rng: Rng) -> Points:
    """A torus: each coordinate's angle by its first three harmonics, one circle smaller than the other."""
    angle = 2 * np.pi * u
    parts = []
    for axis, size in zip(angle.T, (1.0, rng.uniform(0.8, 1.0)), strict=True):
        for order, weight in enumerate((1.0, rng.uniform(0.1, 0.4), rng.uniform(0, 0.2)), start=1):
            parts += [size * weight * np.cos(order * axis), size * weight * np.sin(order * axis)]
    return np.column_stack(parts)


def _periodic_population(u: Points, rng: Rng) -> Points:
    """The place code on a torus, with fields 2 to 2.5 px wide."""
    return _fields(u, LATTICES["torus"].model_copy(update={"sigma": rng.uniform(2, 2.5)}), rng)


def _fields(u: Points, lattice: Lattice, rng: Rng) -> Points:
    mu_x, mu_y = _pixels(u, lattice).T
    units = render(mu_x, mu_y, lattice).reshape(len(u), -1)
    return units * rng.uniform(0.7, 1.3, size=units.shape[1])


# Clouds that know nothing of positions: number of points to points.


def _white(distribution: str) -> Callable[[int, Rng], Points]:
    """As many independent coordinates of unit variance as the vectors have."""

    def points(n: int, rng: Rng) -> Points:
        return _unit(distribution, (n, int(rng.integers(300, 1200))), rng)

    return points


def _power_law(n: int, rng: Rng) -> Points:
    """Every direction filled, with variances that fall as a power of their rank, 0.5 to 1."""
    d = int(rng.integers(300, 1200))
    return rng.normal(size=(n, d)) * np.arange(1, d + 1) ** (-rng.uniform(0.5, 1.0) / 2)


def _ten(distribution: str) -> Callable[[int, Rng], Points]:
    """Ten independent coordinates of unit variance."""
    return lambda n, rng: _unit(distribution, (n, 10), rng)


def _unit(distribution: str, shape: tuple[int, int], rng: Rng) -> Points:
    if distribution == "uniform":
        return rng.uniform(-np.sqrt(3), np.sqrt(3), size=shape)
    return rng.laplace(scale=np.sqrt(0.5), size=shape) if distribution == "Laplace" else rng.normal(size=shape)


def untrained_network(n: int, rng: Rng) -> Points:
    """Activations of a random network of two rectified layers that sees an image of nothing but noise."""
    width = int(rng.integers(300, 1200))
    hidden = np.maximum(rng.normal(size=(n, 256)) @ rng.normal(scale=1 / 16, size=(256, 256)), 0)
    return np.maximum(hidden @ rng.normal(scale=1 / 16, size=(256, width)), 0)


def _closed_curve(n: int, rng: Rng) -> Points:
    angle = rng.uniform(0, 2 * np.pi, size=n)
    bends = rng.uniform(0.1, 0.3, size=2)
    return np.column_stack(
        [np.cos(angle), rng.uniform(0.7, 1) * np.sin(angle), bends[0] * np.cos(2 * angle), bends[1] * np.sin(2 * angle)]
    )


def _ring_population(n: int, rng: Rng) -> Points:
    """64 units round a circle with bell-shaped fields (von Mises), half a radian to a radian wide."""
    angle = rng.uniform(0, 2 * np.pi, size=n)
    preferred = 2 * np.pi * np.arange(64) / 64
    return np.exp((np.cos(angle[:, None] - preferred) - 1) / rng.uniform(0.5, 1.0) ** 2)


def _box(n: int, rng: Rng) -> Points:
    """Three independent coordinates, evenly filled, of unequal length."""
    return rng.uniform(-1, 1, size=(n, 3)) * rng.uniform(0.75, 1, size=3)


def _three_inputs(n: int, rng: Rng) -> Points:
    return network(rng.uniform(size=(n, 3)), rng, 0.8)


def _three_gaussians(n: int, rng: Rng) -> Points:
    return rng.normal(size=(n, 3)) * rng.uniform(0.85, 1, size=3)


# Strays of a mixture: uniform in ten dimensions, or a random network's activations in many.


def strays(n: int, rng: Rng) -> Points:
    return _ten("uniform")(n, rng) if rng.random() < 0.5 else untrained_network(n, rng)


# Disorder: positions in the unit square to other positions in it.


def strips(u: Points, rng: Rng) -> Points:
    """Four to six strips along one axis change places, and every other one of them is turned end to end."""
    count, axis = int(rng.integers(4, 7)), int(rng.integers(2))
    strip = np.minimum((u[:, axis] * count).astype(int), count - 1)
    place = _out_of_order(count, rng)
    turned = rng.permutation(np.arange(count) % 2).astype(bool)
    moved = u.copy()
    moved[:, axis] += (place[strip] - strip) / count
    moved[:, 1 - axis] = np.where(turned[strip], 1 - u[:, 1 - axis], u[:, 1 - axis])
    return moved


def blocks(u: Points, rng: Rng) -> Points:
    """Oblong blocks, of other numbers along x and y, change places and are mirrored along x, y or both."""
    counts = np.array([(2, 6), (6, 2), (3, 4), (4, 3), (4, 5), (5, 4)][rng.integers(6)])
    block = np.minimum((u * counts).astype(int), counts - 1)
    inside = u * counts - block
    number = block[:, 0] * counts[1] + block[:, 1]
    total = int(counts.prod())
    while True:
        place = rng.permutation(total)
        to = np.stack(np.divmod(place, counts[1]))
        of = np.stack(np.divmod(np.arange(total), counts[1]))
        if max(abs(spearmanr(a, b).statistic) for a, b in zip(of, to, strict=True)) <= LEFT_OVER:
            break
    mirrored = rng.random((total, 2))[number] < 0.5
    inside = np.where(mirrored, 1 - inside, inside)
    return (to.T[number] + inside) / counts


# The rank correlation of old and new places that counts as no order: parts dealt at random now and then keep theirs.
LEFT_OVER = 0.3


def _out_of_order(count: int, rng: Rng) -> np.ndarray:
    while True:
        place = rng.permutation(count)
        if abs(spearmanr(place, np.arange(count)).statistic) <= LEFT_OVER:
            return place


@dataclass(frozen=True)
class Kind:
    """A kind of cloud: what is true of it, its shapes by name, and how positions are moved from their requests."""

    phase: str
    order: str
    dimension: float | None
    betti: tuple[int, int, int] | None
    shapes: dict[str, Callable]
    moved: Callable[[Points, Rng], Points] | None = None
    boundary: str = "plane"
    rank: int | None = None


FLAT = {"parallelogram": _parallelogram}
CURVED = {
    "quadric": quadric,
    "cylinder": cylinder,
    "tanh network": network,
    "Fourier features": fourier,
    "additive code": additive,
}
PLACE = {"place code": _population}
TORUS = {"harmonics": _harmonics, "periodic place code": _periodic_population}
SHEET, BLOB, RING = (1, 0, 0), (1, 0, 0), (1, 1, 0)
DOUGHNUT = (1, 2, 1)
KINDS = {
    "random, full-dimensional": Kind(
        "A",
        "unrelated",
        None,
        BLOB,
        {"Gaussian": _white("Gaussian"), "uniform": _white("uniform"), "Laplace": _white("Laplace")},
        rank=0,
    ),
    "random, power-law spectrum": Kind("A", "unrelated", None, BLOB, {"power law": _power_law}),
    "random, ten-dimensional": Kind(
        "A", "unrelated", 10.0, BLOB, {"uniform": _ten("uniform"), "Laplace": _ten("Laplace")}, rank=10
    ),
    "untrained network": Kind("A", "unrelated", None, BLOB, {"rectified layers": untrained_network}),
    "shuffled flat sheet": Kind("B", "permuted", 2.0, SHEET, FLAT, permuted, rank=2),
    "shuffled curved sheet": Kind("B", "permuted", 2.0, SHEET, CURVED, permuted),
    "unrelated curved sheet": Kind("B", "unrelated", 2.0, SHEET, CURVED, anywhere),
    "unrelated place code": Kind("B", "unrelated", 2.0, SHEET, PLACE, anywhere),
    "scrambled strips": Kind("B", "scrambled", 2.0, SHEET, FLAT | CURVED, strips),
    "scrambled blocks": Kind("B", "scrambled", 2.0, SHEET, FLAT | CURVED, blocks),
    "shuffled torus": Kind("B", "permuted", 2.0, DOUGHNUT, TORUS, permuted, "torus"),
    "unrelated torus": Kind("B", "unrelated", 2.0, DOUGHNUT, TORUS, anywhere, "torus"),
    "ordered flat sheet": Kind("C", "ordered", 2.0, SHEET, FLAT, rank=2),
    "ordered curved sheet": Kind("C", "ordered", 2.0, SHEET, CURVED),
    "ordered place code": Kind("C", "ordered", 2.0, SHEET, PLACE),
    "ordered torus": Kind("C", "ordered", 2.0, DOUGHNUT, TORUS, boundary="torus"),
    # A curve is none of the three phases.
    "circle": Kind("?", "unrelated", 1.0, RING, {"closed curve": _closed_curve, "ring population": _ring_population}),
    # Nor is a solid of three dimensions.
    "solid": Kind(
        "?",
        "unrelated",
        3.0,
        BLOB,
        {"box": _box, "network of three inputs": _three_inputs, "three Gaussians": _three_gaussians},
    ),
}
# Kinds that are mixed as well.
MIXED = [kind for kind, known in KINDS.items() if known.phase in "BC?" and known.order != "scrambled"]


def _pixels(u: Points, lattice: Lattice) -> Points:
    """Shares of the support to px."""
    return lattice.free_margin - 0.5 + u * (lattice.image_size - 2 * lattice.free_margin)


def _requests(lattice: Lattice, samples: int) -> tuple[pd.DataFrame, Points]:
    """What a probe asks for, and the same as shares of the support, shape (n, 2)."""
    centres = requested_centres(lattice, samples)
    length = lattice.image_size - 2 * lattice.free_margin
    return centres, (centres[["mu_x", "mu_y"]].to_numpy() - lattice.free_margin + 0.5) / length


def cloud(kind: str, noise: Noise, samples: int, seed: int, mixture: str = "") -> Cloud:
    """A cloud of one of the ``KINDS``, of this number of images, drawn by (kind, noise, samples, seed).

    Args:
        mixture: none, or one of ``clouds.MIXTURES``.
    """
    known = KINDS[kind]
    rng = np.random.default_rng([7, list(KINDS).index(kind), NOISES.index(noise), samples, seed])
    lattice = LATTICES[known.boundary]
    centres, u = _requests(lattice, samples)
    moved = u if known.moved is None else known.moved(u, rng)
    shape = str(rng.choice(list(known.shapes)))
    of_positions = known.phase in "BC"
    points = known.shapes[shape](moved, rng) if of_positions else known.shapes[shape](samples, rng)
    if mixture:
        points = mixed(points, mixture, rng, strays)
    filled = known.dimension is None
    d = points.shape[1] if filled else int(rng.integers(max(300, points.shape[1]), max(1200, points.shape[1] + 1)))
    size = radius(points)
    vectors = points if filled else points @ np.linalg.qr(rng.normal(size=(d, points.shape[1])))[0].T
    vectors = vectors + noise.drawn(vectors.shape, size, rng) + rng.normal(size=d)
    realised = _pixels(moved if of_positions else anywhere(u, rng), lattice)
    return Cloud(
        (rng.uniform(0.1, 10) * vectors).astype(np.float32),
        *centres[["mu_x", "mu_y"]].to_numpy().T,
        *realised.T,
        (centres.split == "seen").to_numpy(),
        known.boundary,
        lattice.image_size,
        known.phase,
        known.order,
        known.dimension,
        # Of a mixture neither rank nor topology is known.
        None if mixture else known.betti,
        participation_ratio=(
            None if mixture else _participation_ratio(kind, shape, points, noise.variance(size, d), d)
        ),
        rank=None if mixture else known.rank,
        shape=shape,
        points=points if (of_positions or kind == "circle") and not mixture else None,
        noise=noise.variance(size, d),
        mixture=mixture,
    )


def _participation_ratio(kind: str, shape: str, points: Points, noise: float, d: int) -> float | None:
    """That expected; of independent coordinates from their variances alone, None of a network's."""
    n = len(points)
    if shape in ("power law", "rectified layers"):
        return None
    if kind == "random, full-dimensional":
        return expected_participation_ratio(np.zeros(1), 1 + noise, n, d)
    signal = np.ones(10) if kind == "random, ten-dimensional" else variances(points)
    return expected_participation_ratio(signal, noise, n, d)


def untrained(like: Cloud, seed: int = 0) -> Cloud:
    """The control: an untrained network's activations at the same requests."""
    rng = np.random.default_rng([8, seed])
    vectors = untrained_network(len(like.vectors), rng).astype(np.float32)
    return replace(
        like,
        vectors=vectors,
        phase="A",
        order="unrelated",
        dimension=None,
        betti=None,
        participation_ratio=None,
        rank=None,
        points=None,
    )

"""A cloud of vectors with known geometry, topology and phase."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bumpscope.measure.components import Components, decompose
from bumpscope.measure.geometry import Centres, measure
from bumpscope.worlds.factor import Factor


@dataclass(frozen=True)
class Cloud:
    """A cloud and its known values; None where one is not defined.

    Attributes:
        vectors: shape (n, d), float32.
        mu_x, mu_y: requested centres, px, shape (n,).
        x, y: realised centres, px, shape (n,): where the construction put each image.
        seen: whether a requested centre lies on the lattice, shape (n,).
        boundary, image_size: plane or torus, and the period of the torus (px).
        phase: A, B, C, or ? for what is none of them.
        order: of realised against requested centres: ordered (the same), permuted (each centre's images moved together
            to another centre), scrambled (in order only within parts) or unrelated.
        dimension: of the manifold, without noise. betti: its Betti numbers.
        participation_ratio: that expected of the cloud with its noise. rank: components of the cloud without noise,
            where all of them are broad.
        shape: which of a kind's constructions it is.
        points: of a manifold, the vectors without noise in its own coordinates, shape (n, k), k <= d.
        noise: variance of the noise in each coordinate, on the scale of the points.
        mixture: which of the ``MIXTURES`` the points were mixed with; empty for none.
    """

    vectors: np.ndarray
    mu_x: np.ndarray
    mu_y: np.ndarray
    x: np.ndarray
    y: np.ndarray
    seen: np.ndarray
    boundary: str
    image_size: int
    phase: str
    order: str
    dimension: float | None
    betti: tuple[int, int, int] | None
    participation_ratio: float | None = None
    rank: int | None = None
    shape: str = ""
    points: np.ndarray | None = None
    noise: float = 0.0
    mixture: str = ""

    def measured(self, seed: int = 0, components: Components | None = None) -> pd.DataFrame:
        """The geometry of the cloud without UMAP, which no verdict rests on."""
        components = decompose(self.vectors) if components is None else components
        return measure(components, self.centres, seed)

    @property
    def centres(self) -> Centres:
        factors = axes(self.boundary, self.image_size)
        return Centres(np.stack([self.mu_x, self.mu_y]), np.stack([self.x, self.y]), self.seen, factors)


# What generated images add to a manifold: noise of each image's own in ten directions, and images without structure.
TEN, STRAYS, BOTH = "ten noise dimensions", "a fifth strays", "both"
MIXTURES = (TEN, STRAYS, BOTH)
STRAY_SHARE = 0.2
TEN_SHARE = 0.1  # of the radius, standard deviation in each of the ten directions


def mixed(
    points: np.ndarray,
    mixture: str,
    rng: np.random.Generator,
    stray: Callable[[int, np.random.Generator], np.ndarray],
) -> np.ndarray:
    """Points, shape (n, k), with noise or strays in further coordinates: shape (n, k + further).

    Strays replace points at random. They have the radius of the cloud, about its middle.

    Args:
        stray: draws this number of structureless points.
    """
    size, n = radius(points), len(points)
    points = points - points.mean(axis=0)
    if mixture in (STRAYS, BOTH):
        chosen = rng.permutation(n)[: round(STRAY_SHARE * n)]
        others = stray(len(chosen), rng)
        others = others * size / radius(others)
        points = np.concatenate([points, np.zeros((n, others.shape[1]))], axis=1)
        points[chosen] = np.concatenate([np.zeros((len(chosen), points.shape[1] - others.shape[1])), others], axis=1)
    if mixture in (TEN, BOTH):
        points = np.concatenate([points, TEN_SHARE * size * rng.normal(size=(n, 10))], axis=1)
    return points


def axes(boundary: str, image_size: int) -> tuple[Factor, Factor]:
    """The factors x and y of a plane or torus of this size."""
    grid, period = np.arange(float(image_size)), float(image_size) if boundary == "torus" else None
    x, y = (Factor(name, "px", grid, np.full(image_size, 1 / image_size), period) for name in "xy")
    return x, y


def radius(points: np.ndarray) -> float:
    """Root mean square distance of points, shape (n, k), from their mean."""
    return float(np.sqrt(((points - points.mean(axis=0)) ** 2).sum(axis=1).mean()))


def variances(points: np.ndarray) -> np.ndarray:
    """Variances of points, shape (n, k), along their principal axes, shape (k,)."""
    return np.linalg.eigvalsh(np.cov(points.T, bias=True)).clip(0)


def expected_participation_ratio(signal: np.ndarray, noise: float, n: int, d: int) -> float:
    """Participation ratio of n vectors in d dimensions, the square of the mean total variance over the mean of
    the sum of the squared variances.

    The mean of the square of a sample covariance of white noise of variance v is v^2 d (1 + d / n), and that of its
    products with a signal adds 2 v (1 + d / n) times the signal's variance (moments of the Wishart distribution, to
    first order in 1 / n).

    Args:
        signal: variances of the sample without noise, shape (k,).
        noise: variance of the noise in each of the d dimensions.
    """
    wide = 1 + d / n
    total = signal.sum() + noise * d
    return float(total**2 / ((signal**2).sum() + 2 * noise * wide * signal.sum() + noise**2 * d * wide))


def permuted(u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same positions, each centre's images moved together to where another centre was."""
    centres, centre = np.unique(u, axis=0, return_inverse=True)
    return centres[rng.permutation(len(centres))[centre.ravel()]]


def anywhere(u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Positions that have nothing to do with the requests; even over the support."""
    return rng.uniform(size=u.shape)

"""Exact Bayes denoisers of bumps at x and y, whose images are products of a profile along x and one along y.

They compute what :class:`bumpscope.worlds.world.World` enumerates, and never form the lattice's images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from scipy.special import softmax

from bumpscope.config.lattice import Lattice
from bumpscope.worlds.bumps import factors, lattice_points, profiles, to_network

# Weights held at once (float64); each image needs a few arrays of one weight a lattice point.
CHUNK_WEIGHTS = 2**21


def bayes_estimates(
    x_t: np.ndarray, mu_x: np.ndarray, mu_y: np.ndarray, alpha_bar: float, lattice: Lattice
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Posterior means of the clean image under ``softmax_k(-|x_t - sqrt(ab) x_k|^2 / (2 (1 - ab)) + ln p_k)``.

    Memory is bounded whatever the lattice.

    Args:
        x_t: noisy images in the network's range, shape (n, N, N).
        mu_x, mu_y: labels, px, shape (n,); each must be a lattice position.
        alpha_bar: share of the signal's variance, in (0, 1).

    Returns:
        D0 over all lattice points, Dx over those with the same mu_x, Dy over those with the same mu_y; each of
        shape (n, N*N), float64. Withheld points have no weight.

    Raises:
        ValueError: when a label is not a lattice position.
    """
    size = lattice.image_size
    x, y = factors(lattice)
    along_x, along_y = profiles(x.grid, y.grid, lattice)
    column, row = x.index(mu_x), y.index(mu_y)
    log_posterior = log_posteriors(alpha_bar, lattice)
    n = len(x_t)
    outer = np.empty((3, n, size, size))
    chunk = max(1, CHUNK_WEIGHTS // (len(x.grid) * len(y.grid)))
    for start in range(0, n, chunk):
        part = slice(start, start + chunk)
        logits = log_posterior(x_t[part])
        probe = np.arange(len(logits))
        given_x = softmax(logits[probe, :, column[part]], axis=1) @ along_y
        given_y = softmax(logits[probe, row[part], :], axis=1) @ along_x
        outer[0, part] = along_y.T @ softmax(logits, axis=(1, 2)) @ along_x
        outer[1, part] = given_x[:, :, None] * along_x[column[part], None, :]
        outer[2, part] = along_y[row[part], :, None] * given_y[:, None, :]
    sign = -1.0 if lattice.polarity == "dark" else 1.0
    blind, knows_x, knows_y = (sign * to_network(outer)).reshape(3, n, size * size)
    return blind, knows_x, knows_y


def log_posteriors(alpha_bar: float, lattice: Lattice) -> Callable[[np.ndarray], np.ndarray]:
    """The log posterior of each lattice image, up to a constant, as a function of noisy images.

    An image is affine in the outer product of two profiles, so its inner product with x_t is bilinear in them. The K
    images are never formed.

    Returns:
        A function from noisy images, shape (n, N, N), to ``-|x_t - sqrt(ab) x_k|^2 / (2 (1 - ab)) + ln p_k``, shape
        (n, positions along y, positions along x); -inf at withheld points.
    """
    x, y = factors(lattice)
    along_x, along_y = profiles(x.grid, y.grid, lattice)
    # x_k = sign (2 outer(g_y, g_x) - 1), hence |x_k|^2 = 4 |g_y|^2 |g_x|^2 - 4 sum(g_y) sum(g_x) + N^2.
    # What does not depend on k, N^2 and the sum of x_t, is left out.
    sign = -1.0 if lattice.polarity == "dark" else 1.0
    square_norm = 4 * np.outer((along_y**2).sum(1), (along_x**2).sum(1)) - 4 * np.outer(along_y.sum(1), along_x.sum(1))
    with np.errstate(divide="ignore"):
        log_probability = np.log(lattice_points(lattice).probability).reshape(len(y.grid), len(x.grid))
    bias = log_probability - alpha_bar / (2 * (1 - alpha_bar)) * square_norm
    gain = 2 * sign * math.sqrt(alpha_bar) / (1 - alpha_bar)
    return lambda x_t: gain * (along_y @ np.asarray(x_t, dtype=np.float64) @ along_x.T) + bias


class NoisyCentres:
    """The exact denoiser that knows x and y up to Gaussian noise, as :class:`bumpscope.worlds.world.NoisyLabels`."""

    def __init__(self, x_t: np.ndarray, mu_x: np.ndarray, mu_y: np.ndarray, alpha_bar: float, lattice: Lattice):
        x, y = factors(lattice)
        logits = log_posteriors(alpha_bar, lattice)(x_t)
        self._posterior = np.exp(logits - logits.max(axis=(1, 2), keepdims=True))
        self._along_x, self._along_y = profiles(x.grid, y.grid, lattice)
        self._apart_x = x.distance(mu_x[:, None], x.grid) ** 2
        self._apart_y = y.distance(mu_y[:, None], y.grid) ** 2
        self._sign = -1.0 if lattice.polarity == "dark" else 1.0

    def estimates(self, resolution: Mapping[str, float]) -> np.ndarray:
        """Clean images in the network's range, shape (n, N*N), float64."""
        weight_x, weight_y = (
            np.exp(-apart / (2 * resolution.get(axis, math.inf) ** 2))
            for axis, apart in (("x", self._apart_x), ("y", self._apart_y))
        )
        columns = self._posterior @ (weight_x[:, :, None] * self._along_x)
        image = np.einsum("nyp,nyq->npq", weight_y[:, :, None] * self._along_y, columns, optimize=True)
        total = np.einsum("ny,nyx,nx->n", weight_y, self._posterior, weight_x, optimize=True)
        return self._sign * to_network(image / total[:, None, None]).reshape(len(total), -1)

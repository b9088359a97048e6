"""Exact Bayes denoisers of a world: posterior means of the clean image, given all labels, some or none."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.special import softmax

from bumpscope.worlds import bumps
from bumpscope.worlds.bayes import NoisyCentres, bayes_estimates
from bumpscope.worlds.bumps import to_network
from bumpscope.worlds.position import Bumps
from bumpscope.worlds.world import World

# Numbers held at once (float64): weights of images, and pixels of lattice images.
CHUNK_WEIGHTS, CHUNK_PIXELS = 2**21, 2**22


class NoisyLabels(Protocol):
    """The exact denoiser of :meth:`Exact.noisy_labels`.

    Its estimate is the posterior mean over the lattice images, with the further weights
    ``exp(-sum_f d_f^2 / (2 s_f^2))`` of their distances from the label.
    """

    def estimates(self, resolution: Mapping[str, float]) -> np.ndarray:
        """Clean images in the network's range, shape (n, N*N), of the denoiser with these label noises.

        Args:
            resolution: factor -> standard deviation in its unit of distance; a factor without one is not known.
        """
        ...


class Exact:
    """The exact denoisers of any world, by weighing all images of its lattice, some at a time."""

    def __init__(self, world: World):
        self.world = world

    def estimates(
        self, x_t: np.ndarray, labels: np.ndarray, alpha_bar: float, known: Sequence[tuple[int, ...]]
    ) -> list[np.ndarray]:
        """Posterior means of the clean image under ``softmax_k(-|x_t - sqrt(ab) x_k|^2 / (2 (1 - ab)) + ln p_k)``.

        Memory is bounded whatever the lattice.

        Args:
            x_t: noisy images in the network's range, shape (n, N, N).
            labels: shape (n, F); each must be a point of the lattice.
            alpha_bar: share of the signal's variance, in (0, 1).
            known: sets of factors, by their place; each restricts the lattice to the points that agree in these.

        Returns:
            For each set of known factors, shape (n, N*N), float64. Withheld points have no weight.

        Raises:
            ValueError: when a label is not on its factor's grid.
        """
        own = self._codes(labels)
        codes = self._codes(self.world.points.labels)
        log_posterior = self.log_posteriors(alpha_bar)
        found = [np.empty((len(x_t), math.prod(self.world.image_shape))) for _ in known]
        chunk = max(1, CHUNK_WEIGHTS // len(codes))
        for start in range(0, len(x_t), chunk):
            part = slice(start, start + chunk)
            logits = log_posterior(x_t[part])
            for factors, estimate in zip(known, found, strict=True):
                agrees = np.ones(logits.shape, dtype=bool)
                for place in factors:
                    agrees &= own[part, place, None] == codes[:, place]
                estimate[part] = self.average(softmax(np.where(agrees, logits, -np.inf), axis=1))
        return found

    def log_posteriors(self, alpha_bar: float) -> Callable[[np.ndarray], np.ndarray]:
        """The log posterior of each lattice image, up to a constant: from (n, N, N) to (n, K); -inf where withheld."""
        with np.errstate(divide="ignore"):
            log_probability = np.log(self.world.points.probability)
        square = np.concatenate([(images**2).sum(axis=1) for _, images in self.lattice_images()])
        bias = log_probability - alpha_bar / (2 * (1 - alpha_bar)) * square
        gain = math.sqrt(alpha_bar) / (1 - alpha_bar)

        def log_posterior(x_t: np.ndarray) -> np.ndarray:
            flat = np.asarray(x_t, dtype=np.float64).reshape(len(x_t), -1)
            return gain * np.concatenate([flat @ images.T for _, images in self.lattice_images()], axis=1) + bias

        return log_posterior

    def average(self, weights: np.ndarray) -> np.ndarray:
        """Means of the lattice images in the network's range, weighted; (n, K) -> (n, N*N)."""
        total = np.zeros((len(weights), math.prod(self.world.image_shape)))
        for part, images in self.lattice_images():
            total += weights[:, part] @ images
        return total

    def mean_image(self, weights: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Weighted means of the images of these labels, intensities; (n, K) and (K, F) -> (n, N, N)."""
        chunk = max(1, CHUNK_PIXELS // math.prod(self.world.image_shape))
        total = np.zeros((len(weights), *self.world.image_shape))
        for start in range(0, len(labels), chunk):
            part = slice(start, start + chunk)
            total += np.tensordot(weights[:, part], self.world.render(labels[part]), 1)
        return total

    def lattice_images(self) -> Iterator[tuple[slice, np.ndarray]]:
        """The images of the lattice in the network's range, some at a time; shape (k, N*N)."""
        pixels = math.prod(self.world.image_shape)
        chunk = max(1, CHUNK_PIXELS // pixels)
        if len(self.world.points.labels) <= chunk:
            yield slice(None), self._all_images
            return
        for start in range(0, len(self.world.points.labels), chunk):
            part = slice(start, start + chunk)
            yield part, to_network(self.world.render(self.world.points.labels[part])).reshape(-1, pixels)

    @cached_property
    def _all_images(self) -> np.ndarray:
        return to_network(self.world.render(self.world.points.labels)).reshape(len(self.world.points.labels), -1)

    def _codes(self, labels: np.ndarray) -> np.ndarray:
        """The place of each label on its factor's grid, shape (n, F)."""
        return np.stack(
            [factor.index(values) for factor, values in zip(self.world.factors, labels.T, strict=True)], axis=1
        )

    def noisy_labels(self, x_t: np.ndarray, labels: np.ndarray, alpha_bar: float) -> NoisyLabels:
        """The exact denoiser that knows each label up to Gaussian noise, on noisy images."""
        return _NoisyLabels(self, x_t, labels, alpha_bar)


class Separable(Exact):
    """Those of bumps at x and y, whose images are products of profiles and need not be formed."""

    def estimates(
        self, x_t: np.ndarray, labels: np.ndarray, alpha_bar: float, known: Sequence[tuple[int, ...]]
    ) -> list[np.ndarray]:
        """As :meth:`Exact.estimates`, for nothing, x alone and y alone known."""
        exact = bayes_estimates(x_t, labels[:, 0], labels[:, 1], alpha_bar, self.world.lattice)
        return [dict(zip(((), (0,), (1,)), exact, strict=True))[factors] for factors in known]

    def noisy_labels(self, x_t: np.ndarray, labels: np.ndarray, alpha_bar: float) -> NoisyLabels:
        return NoisyCentres(x_t, labels[:, 0], labels[:, 1], alpha_bar, self.world.lattice)

    def mean_image(self, weights: np.ndarray, labels: np.ndarray) -> np.ndarray:
        along_x, along_y = bumps.profiles(labels[:, 0], labels[:, 1], self.world.lattice)
        means = np.einsum("nk,ky,kx->nyx", weights, along_y, along_x, optimize=True)
        return 1.0 - means if self.world.lattice.polarity == "dark" else means


def exact_of(world: World) -> Exact:
    """The exact denoisers of a world."""
    return Separable(world) if isinstance(world, Bumps) else Exact(world)


class _NoisyLabels:
    def __init__(self, exact: Exact, x_t: np.ndarray, labels: np.ndarray, alpha_bar: float):
        self._exact, world = exact, exact.world
        logits = exact.log_posteriors(alpha_bar)(x_t)
        self._logits = logits - logits.max(axis=1, keepdims=True)
        self._squares = {
            factor.name: factor.distance(labels[:, place, None], world.points.labels[:, place]) ** 2
            for place, factor in enumerate(world.factors)
        }

    def estimates(self, resolution: Mapping[str, float]) -> np.ndarray:
        logits = self._logits
        for name, level in resolution.items():
            logits = logits - self._squares[name] / (2 * level**2)
        return self._exact.average(softmax(logits, axis=1))

"""Images of bumps whose number, places, amplitudes and widths are known, and how well any method could locate them."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from bumpscope.config.lattice import Lattice

# Share of the bumps that are put at the very edge of where centres may lie.
AT_THE_EDGE = 0.15
# Least distance between two bumps' centres, in sigma.
LEAST_SEPARATION = 4.0


def drawn(bumps: np.ndarray | list, lattice: Lattice) -> np.ndarray:
    """An image of bright bumps, from the normal density and not from the package; on a torus of periodic copies.

    Args:
        bumps: x, y (px), amplitude (intensity) and width (standard deviation, px) of each, shape (k, 4).

    Returns:
        Intensities, shape (N, N); row is y, column is x.
    """
    size = lattice.image_size
    copies = (-size, 0, size) if lattice.boundary == "torus" else (0,)
    image = np.zeros((size, size))
    for x, y, amplitude, width in bumps:
        along_x, along_y = (
            sum(norm.pdf(np.arange(size), centre + copy, width) for copy in copies) / norm.pdf(0, 0, width)
            for centre in (x, y)
        )
        image += amplitude * np.outer(along_y, along_x)
    return image


def shown(images: np.ndarray, lattice: Lattice) -> np.ndarray:
    """The images as the lattice has them: inverted where its bumps are dark."""
    return 1.0 - images if lattice.polarity == "dark" else images


def bound(truth: np.ndarray, lattice: Lattice, noise: float) -> float:
    """Cramér-Rao bound on the root mean square distance (px) of a bump in white noise.

    Args:
        truth: x, y, amplitude and width, all four unknown to the estimator.
        noise: standard deviation of the noise at each pixel, intensity.
    """
    step = 1e-5
    derivatives = [
        (drawn([truth + change], lattice) - drawn([truth - change], lattice)).ravel() / (2 * step)
        for change in step * np.eye(4)
    ]
    covariance = noise**2 * np.linalg.inv(np.inner(derivatives, derivatives))
    return float(np.sqrt(covariance[0, 0] + covariance[1, 1]))


def random_bumps(
    generator: np.random.Generator, count: int, lattice: Lattice, amplitudes: tuple[float, float]
) -> np.ndarray:
    """Bumps of 0.8 to 1.3 sigma with centres at least 4 sigma apart, some at the edge of where centres may lie.

    Returns:
        x, y (px), amplitude and width (px), shape (count, 4).
    """
    first, last = lattice.free_margin - 0.5, lattice.image_size - 0.5 - lattice.free_margin
    while True:
        centres = generator.uniform(first, last, (count, 2))
        edges = generator.choice([first, last], (count, 2))
        centres = np.where(generator.random((count, 2)) < AT_THE_EDGE, edges, centres)
        gaps = np.abs(centres[:, None] - centres)
        if lattice.boundary == "torus":
            gaps = np.minimum(gaps, lattice.image_size - gaps)
        distances = np.linalg.norm(gaps, axis=2)[np.triu_indices(count, 1)]
        if (distances >= LEAST_SEPARATION * lattice.sigma).all():
            break
    widths = lattice.sigma * generator.uniform(0.8, 1.3, count)
    return np.column_stack([centres, generator.uniform(*amplitudes, count), widths])


def places(lattice: Lattice) -> dict[str, tuple[float, float]]:
    """Centres (x, y), px, at places that differ in how much of the bump is seen and how it meets the pixels."""
    size, first = lattice.image_size, lattice.free_margin - 0.5
    return {
        "centre": (size / 2 + 0.2, size / 2 - 0.13),
        "between pixels": (size / 2 + 0.5, size / 2 + 0.5),
        "edge": (first, size / 2 + 0.3),
        "corner": (first, size - 1 - first),
        "near corner": (first + 0.6 * lattice.sigma, first + 0.3 * lattice.sigma),
    }

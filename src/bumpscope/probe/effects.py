"""How much of each label a denoiser uses, measured against exact Bayes denoisers: no sampling, no threshold.

The data are finitely many lattice images x_k with probabilities p_k. So the best estimate of a clean image from a noisy
one has a closed form, and so has that of a denoiser that knows only the x or only the y of the centre. A model's
estimate is written as a mixture of these (:func:`decompose`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bumpscope.config.lattice import Lattice
from bumpscope.worlds.bayes import bayes_estimates
from bumpscope.worlds.bumps import lattice_points, render, to_network

RESAMPLES = 400
# A direction this short relative to the images is rounding of a float32 model, and a fit to it means nothing.
VANISHED = 1e-6
# Above this condition number a small error of the model moves the effects by more than they are.
LARGEST_CONDITION = 100.0


@dataclass(frozen=True)
class EffectProbe:
    """Noised lattice images of one timestep and their exact Bayes estimates.

    Attributes:
        t: the timestep.
        mu_x, mu_y: true centres, px, shape (n,).
        x0: clean images in the network's range [-1, 1], shape (n, N, N).
        noise: the standard normal noise, shape (n, N, N).
        x_t: ``sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) noise``, shape (n, N, N).
        D0, Dx, Dy: posterior means of x0 for a denoiser that knows no label, mu_x only, mu_y only; (n, N*N).
    """

    t: int
    mu_x: np.ndarray
    mu_y: np.ndarray
    x0: np.ndarray
    noise: np.ndarray
    x_t: np.ndarray
    D0: np.ndarray
    Dx: np.ndarray
    Dy: np.ndarray


def make_probe(lattice: Lattice, alpha_bar_t: float, t: int, n: int, seed: int) -> EffectProbe:
    """Draw ``n`` centres with their training probabilities, noise their images to ``t`` and denoise them exactly.

    The draw depends only on (seed, t) and the lattice.
    """
    generator = np.random.default_rng([seed, t])
    points = lattice_points(lattice)
    drawn = generator.choice(len(points.probability), size=n, p=points.probability)
    return noised_probe(points.mu_x[drawn], points.mu_y[drawn], lattice, alpha_bar_t, t, generator)


def noised_probe(
    mu_x: np.ndarray, mu_y: np.ndarray, lattice: Lattice, alpha_bar_t: float, t: int, generator: np.random.Generator
) -> EffectProbe:
    """Noise the images of given lattice centres (px, shape (n,)) to ``t`` and denoise them exactly."""
    x0 = to_network(render(mu_x, mu_y, lattice))
    noise = generator.standard_normal(x0.shape)
    x_t = math.sqrt(alpha_bar_t) * x0 + math.sqrt(1 - alpha_bar_t) * noise
    return EffectProbe(t, mu_x, mu_y, x0, noise, x_t, *bayes_estimates(x_t, mu_x, mu_y, alpha_bar_t, lattice))


def decompose(D: np.ndarray, probe: EffectProbe) -> dict[str, float]:
    """Write a model's estimates D as ``D - D0 = a (Dx - D0) + b (Dy - D0) + c (x0 - Dx - Dy + D0) + rest``.

    One least-squares fit pooled over all probes and pixels. The label-blind optimum has (a, b, c) = (0, 0, 0),
    the optimum that knows x only (1, 0, 0), y only (0, 1, 0), both (1, 1, 1).

    Args:
        D: estimates of the clean images given x_t and both labels, network's range, shape (n, N*N).

    Returns:
        effect_x, effect_y, effect_xy: a, b, c. residual: ``|rest|^2 / |x0 - D0|^2``. effect_x_low, _high,
        effect_y_low, _high: 95% percentile bootstrap over probes. All these are NaN where the fit means nothing
        (:func:`solvable`). excess: ``|D - x0|^2 / |x0 - D0|^2``. condition: condition number of the three directions,
        not normalised, since at low t the fit fails because they vanish.

    Raises:
        ValueError: when D has not one row of N*N numbers a probe.
    """
    gram, projection = projections(D, probe)
    x0 = probe.x0.reshape(probe.D0.shape)
    lengths = direction_lengths(gram.sum(0))
    if solvable(lengths, float(np.linalg.norm(x0))):
        effects = np.linalg.solve(gram.sum(0), projection.sum(0))
        low, high = _bootstrap(gram, projection, probe.t)
    else:
        effects = low = high = np.full(3, np.nan)
    blind_error = ((x0 - probe.D0) ** 2).sum()
    rest = D - probe.D0 - np.tensordot(effects, directions(probe), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "effect_x": float(effects[0]),
            "effect_y": float(effects[1]),
            "effect_xy": float(effects[2]),
            "residual": float((rest**2).sum() / blind_error),
            "excess": float(((D - x0) ** 2).sum() / blind_error),
            "effect_x_low": float(low[0]),
            "effect_x_high": float(high[0]),
            "effect_y_low": float(low[1]),
            "effect_y_high": float(high[1]),
            "condition": float(lengths[-1] / lengths[0]) if lengths[0] > 0 else math.inf,
        }


def direction_lengths(gram: np.ndarray) -> np.ndarray:
    """Singular values of the directions with these inner products, shape (3,), shortest first."""
    return np.sqrt(np.clip(np.linalg.eigvalsh(gram), 0, None))


def solvable(lengths: np.ndarray, scale: float) -> bool:
    """Whether a fit means something: no direction is lost in rounding, and the condition number is at most 100.

    Args:
        lengths: as from :func:`direction_lengths`.
        scale: norm of the clean images in the fit.
    """
    return bool(lengths[0] > VANISHED * scale and lengths[-1] <= LARGEST_CONDITION * lengths[0])


def directions(probe: EffectProbe) -> np.ndarray:
    """What knowing x, y, and both at once adds to the blind estimate; shape (3, n, N*N)."""
    x0 = probe.x0.reshape(probe.D0.shape)
    return np.stack([probe.Dx - probe.D0, probe.Dy - probe.D0, x0 - probe.Dx - probe.Dy + probe.D0])


def projections(D: np.ndarray, probe: EffectProbe) -> tuple[np.ndarray, np.ndarray]:
    """Inner products over pixels for each probe, from which the fit and its resamples follow.

    Returns:
        Of the directions with each other, shape (n, 3, 3), and with D - D0, (n, 3).

    Raises:
        ValueError: when D has not one row of N*N numbers a probe.
    """
    D = np.asarray(D, dtype=np.float64)
    if D.shape != probe.D0.shape:
        raise ValueError(f"D has shape {D.shape}; it must be {probe.D0.shape}")
    along = directions(probe)
    gram = np.einsum("inp,jnp->nij", along, along, optimize=True)
    return gram, np.einsum("inp,np->ni", along, D - probe.D0, optimize=True)


def _bootstrap(gram: np.ndarray, projection: np.ndarray, t: int) -> tuple[np.ndarray, np.ndarray]:
    """95% percentile interval of the three coefficients, resampling probes."""
    n = len(gram)
    times_drawn = np.random.default_rng([n, t]).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    grams = np.tensordot(times_drawn, gram, 1)
    # A resample may miss all probes that carry a direction; the pseudo-inverse then leaves it out.
    coefficients = (np.linalg.pinv(grams, hermitian=True) @ (times_drawn @ projection)[:, :, None])[:, :, 0]
    low, high = np.quantile(coefficients, [0.025, 0.975], axis=0)
    return low, high

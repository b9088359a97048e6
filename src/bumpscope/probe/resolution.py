"""How well a denoiser knows the centre that it is asked for, in px: one yardstick for all lattices.

Half a label effect is another skill on every lattice: knowing the centre to 1.8 px gives half an effect at spacings up
to 1 px, 3.6 px is enough at 6 px. The resolution is that of the exact denoiser whose estimates come closest to the
model's. It knows mu_x only up to Gaussian noise of s_x px and mu_y up to s_y px, so that its estimate is the posterior
mean over the lattice images x_k with the weights

    p_k exp(-(mu_x - x_k)^2 / (2 s_x^2) - (mu_y - y_k)^2 / (2 s_y^2)) exp(-|x_t - sqrt(ab) x_k|^2 / (2 (1 - ab))).

No sampling and no threshold is involved.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize

from bumpscope.config.lattice import Lattice
from bumpscope.probe.effects import EffectProbe
from bumpscope.worlds.bayes import log_posteriors
from bumpscope.worlds.bumps import FINEST, factors, profiles, to_network
from bumpscope.worlds.factor import Factor

# Weights of one fit (float64); on lattices so large that they are too many, fewer probes are used, but not fewer than
# these.
WEIGHTS, FEWEST_PROBES = 2**22, 32
# A label known worse than twice the length of the axis is not used: the ends of the axis weigh exp(-1/8).
COARSEST = 2.0
# Starting points along each axis.
STARTS = 4


class ResolutionFit:
    """The exact denoiser with noisy labels, on the images of a probe.

    Args:
        probe: as from :func:`bumpscope.probe.effects.make_probe`.
        alpha_bar: share of the signal's variance at the probe's timestep, in (0, 1).

    Attributes:
        limits: axis -> the least and the largest resolution that are told apart, px, for each axis with more than one
            position.
    """

    def __init__(self, probe: EffectProbe, alpha_bar: float, lattice: Lattice):
        x, y = factors(lattice)
        self.limits = {axis.name: _limits(axis) for axis in (x, y) if len(axis.grid) > 1}
        used = max(FEWEST_PROBES, WEIGHTS // (len(x.grid) * len(y.grid)))
        logits = log_posteriors(alpha_bar, lattice)(probe.x_t[:used])
        self._posterior = np.exp(logits - logits.max(axis=(1, 2), keepdims=True))
        self._along_x, self._along_y = profiles(x.grid, y.grid, lattice)
        self._apart_x = x.distance(probe.mu_x[:used, None], x.grid) ** 2
        self._apart_y = y.distance(probe.mu_y[:used, None], y.grid) ** 2
        self._sign = -1.0 if lattice.polarity == "dark" else 1.0

    def estimates(self, resolution: dict[str, float]) -> np.ndarray:
        """What the denoiser answers that knows each axis to ``resolution`` px.

        Returns:
            Clean images in the network's range, shape (n, N*N), float64, for the first n probes: all of them, on
            lattices of up to 16,384 points and probes of 256 images.
        """
        weight_x, weight_y = (
            np.exp(-apart / (2 * resolution.get(axis, math.inf) ** 2))
            for axis, apart in (("x", self._apart_x), ("y", self._apart_y))
        )
        columns = self._posterior @ (weight_x[:, :, None] * self._along_x)
        image = np.einsum("nyp,nyq->npq", weight_y[:, :, None] * self._along_y, columns, optimize=True)
        total = np.einsum("ny,nyx,nx->n", weight_y, self._posterior, weight_x, optimize=True)
        return self._sign * to_network(image / total[:, None, None]).reshape(len(total), -1)

    def fit(self, D: np.ndarray) -> dict[str, float]:
        """Least-squares resolution of a model's estimates.

        Args:
            D: estimates of the clean images given x_t and both labels, network's range, shape (n, N*N).

        Returns:
            resolution_x, resolution_y: px, within :attr:`limits`; at the upper limit the label is not used, at the
            lower one it is known exactly. NaN for an axis with one position.
        """
        D = np.asarray(D, dtype=np.float64)[: len(self._posterior)]
        axes = list(self.limits)
        found = dict.fromkeys(("resolution_x", "resolution_y"), math.nan)
        if not axes:
            return found
        low, high = np.log([self.limits[axis] for axis in axes]).T

        def rest(ln_resolution: np.ndarray) -> np.ndarray:
            return (self.estimates(dict(zip(axes, np.exp(ln_resolution), strict=True))) - D).ravel()

        shares = (np.arange(STARTS) + 0.5) / STARTS
        grids = np.meshgrid(*([shares] * len(axes)), indexing="ij")
        starts = low + (high - low) * np.stack([grid.ravel() for grid in grids], axis=1)
        start = min(starts, key=lambda point: float((rest(point) ** 2).sum()))
        result = optimize.least_squares(rest, start, bounds=(low, high), diff_step=1e-4, xtol=1e-4)
        return found | {f"resolution_{axis}": float(value) for axis, value in zip(axes, np.exp(result.x), strict=True)}


def _limits(factor: Factor) -> tuple[float, float]:
    """Resolutions between which a lattice can tell, px."""
    length = float(factor.distance(factor.grid[:, None], factor.grid).max())
    return FINEST * float(np.diff(factor.grid).min()), COARSEST * length

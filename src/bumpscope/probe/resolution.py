"""How well a denoiser knows the centre that it is asked for, in px: one yardstick for all lattices.

Half a label effect is another skill on every lattice: knowing the centre to 1.8 px gives half an effect at spacings up
to 1 px, 3.6 px is enough at 6 px. The resolution is that of the exact denoiser whose estimates come closest to the
model's. It knows mu_x only up to Gaussian noise of s_x px and mu_y up to s_y px, so that its estimate is the posterior
mean over the lattice images x_k with the weights

    p_k exp(-(mu_x - x_k)^2 / (2 s_x^2) - (mu_y - y_k)^2 / (2 s_y^2)) exp(-|x_t - sqrt(ab) x_k|^2 / (2 (1 - ab))).

No sampling and no threshold is involved. In other worlds the sum runs over their factors.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize

from bumpscope.config.lattice import Lattice
from bumpscope.probe.effects import EffectProbe
from bumpscope.worlds.bumps import FINEST
from bumpscope.worlds.exact import exact_of
from bumpscope.worlds.factor import Factor
from bumpscope.worlds.named import world_of

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
        limits: factor -> the least and the largest resolution that are told apart, for each factor with more than one
            value.
    """

    def __init__(self, probe: EffectProbe, alpha_bar: float, lattice: Lattice):
        world = world_of(lattice)
        self.names = list(world.names)
        self.limits = {factor.name: _limits(factor) for factor in world.factors if len(factor.grid) > 1}
        used = max(FEWEST_PROBES, WEIGHTS // math.prod(len(factor.grid) for factor in world.factors))
        self._exact = exact_of(world).noisy_labels(probe.x_t[:used], probe.labels[:used], alpha_bar)
        self._used = len(probe.x_t[:used])

    def estimates(self, resolution: dict[str, float]) -> np.ndarray:
        """What the denoiser answers that knows each factor to ``resolution``.

        Returns:
            Clean images in the network's range, shape (n, N*N), float64, for the first n probes: all of them, on
            lattices of up to 16,384 points and probes of 256 images.
        """
        return self._exact.estimates(resolution)

    def fit(self, D: np.ndarray) -> dict[str, float]:
        """Least-squares resolution of a model's estimates.

        Args:
            D: estimates of the clean images given x_t and both labels, network's range, shape (n, N*N).

        Returns:
            resolution_x, resolution_y, or so for other factors, in their units of distance, within :attr:`limits`; at
            the upper limit the label is not used, at the lower one it is known exactly. NaN for a factor with one
            value.
        """
        D = np.asarray(D, dtype=np.float64)[: self._used]
        axes = list(self.limits)
        found = {f"resolution_{name}": math.nan for name in self.names}
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
    """Resolutions between which a lattice can tell."""
    length = float(factor.distance(factor.grid[:, None], factor.grid).max())
    return FINEST * float(np.diff(factor.coordinate(factor.grid)).min()), COARSEST * length

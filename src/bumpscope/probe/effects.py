"""How much of each label a denoiser uses, measured against exact Bayes denoisers: no sampling, no threshold.

The data are finitely many lattice images x_k with probabilities p_k. So the best estimate of a clean image from a noisy
one has a closed form, and so has that of a denoiser that knows only some of the labels. A model's
estimate is written as a mixture of these (:func:`decompose`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from bumpscope.config.lattice import Lattice
from bumpscope.store.names import XY, Names
from bumpscope.worlds.bumps import to_network
from bumpscope.worlds.exact import exact_of
from bumpscope.worlds.named import world_of

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
        labels: true labels, shape (n, F).
        x0: clean images in the network's range [-1, 1], shape (n, N, N).
        noise: the standard normal noise, shape (n, N, N).
        x_t: ``sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) noise``, shape (n, N, N).
        exact: known factors, by their place -> posterior means of x0 for a denoiser that knows these labels, (n, N*N):
            for none, for each, and where there are more than two factors for each pair.
        names: of the factors.
        varies: whether the lattice has more than one value of each factor; where it has one, that label says nothing,
            and neither has it an effect.
    """

    t: int
    labels: np.ndarray
    x0: np.ndarray
    noise: np.ndarray
    x_t: np.ndarray
    exact: dict[tuple[int, ...], np.ndarray]
    names: Names = XY
    varies: tuple[bool, ...] = (True, True)

    @property
    def D0(self) -> np.ndarray:
        """Posterior means of x0 for a denoiser that knows no label, shape (n, N*N)."""
        return self.exact[()]

    def known(self, *factors: int) -> np.ndarray:
        """Those of a denoiser that knows these factors, by their place; of all of them x0 itself."""
        return self.x0.reshape(self.D0.shape) if len(factors) == len(self.varies) else self.exact[factors]

    @property
    def fitted(self) -> np.ndarray:
        """Which of :func:`directions` exist."""
        return np.array([*self.varies, *(a and b for a, b in combinations(self.varies, 2))])


def make_probe(lattice: Lattice, alpha_bar_t: float, t: int, n: int, seed: int) -> EffectProbe:
    """Draw ``n`` labels with their training probabilities, noise their images to ``t`` and denoise them exactly.

    The draw depends only on (seed, t) and the lattice.
    """
    generator = np.random.default_rng([seed, t])
    points = world_of(lattice).points
    drawn = generator.choice(len(points.probability), size=n, p=points.probability)
    return noised_probe(points.labels[drawn], lattice, alpha_bar_t, t, generator)


def heldout_probe(lattice: Lattice, alpha_bar_t: float, t: int, n: int, seed: int) -> EffectProbe | None:
    """As :func:`make_probe`, but of withheld combinations; None where nothing is withheld.

    The exact denoisers know the whole lattice, so effects of 1 are those of a network to which nothing was withheld.
    """
    points = world_of(lattice).points
    withheld = np.flatnonzero(points.heldout)
    if not len(withheld):
        return None
    generator = np.random.default_rng([seed, t])
    drawn = generator.choice(withheld, size=n)
    whole = lattice.model_copy(update={"holdout": None, "shown": None})
    return noised_probe(points.labels[drawn], whole, alpha_bar_t, t, generator)


def noised_probe(
    labels: np.ndarray, lattice: Lattice, alpha_bar_t: float, t: int, generator: np.random.Generator
) -> EffectProbe:
    """Noise the images of given lattice points, shape (n, F), to ``t`` and denoise them exactly."""
    world = world_of(lattice)
    x0 = to_network(world.render(labels))
    noise = generator.standard_normal(x0.shape)
    x_t = math.sqrt(alpha_bar_t) * x0 + math.sqrt(1 - alpha_bar_t) * noise
    places = range(len(world.factors))
    known = [(), *((place,) for place in places), *(combinations(places, 2) if len(places) > 2 else ())]
    exact = exact_of(world).estimates(x_t, labels, alpha_bar_t, known)
    varies = tuple(len(factor.grid) > 1 for factor in world.factors)
    return EffectProbe(t, labels, x0, noise, x_t, dict(zip(known, exact, strict=True)), world.names, varies)


def decompose(D: np.ndarray, probe: EffectProbe) -> dict[str, float]:
    """Write a model's estimates D as a mixture of exact ones: of x and y
    ``D - D0 = a (Dx - D0) + b (Dy - D0) + c (x0 - Dx - Dy + D0) + rest``.

    One least-squares fit pooled over all probes and pixels. The label-blind optimum has (a, b, c) = (0, 0, 0),
    the optimum that knows x only (1, 0, 0), y only (0, 1, 0), both (1, 1, 1). There is a direction for each factor and
    one for each pair (:func:`directions`). Where the lattice has one value of a factor, those without it alone exist
    and are fitted.

    Args:
        D: estimates of the clean images given x_t and all labels, network's range, shape (n, N*N).

    Returns:
        effect_x, effect_y, effect_xy: a, b, c, named after the factors and their pairs. residual:
        ``|rest|^2 / |x0 - D0|^2``. effect_x_low, _high, and so for each factor: 95% percentile bootstrap over probes.
        All these are NaN where the fit means nothing (:func:`solvable`), and effects also for a factor with one value.
        excess: ``|D - x0|^2 / |x0 - D0|^2``. condition: condition number of the fitted directions, not normalised,
        since at low t the fit fails because they vanish; infinite without any.

    Raises:
        ValueError: when D has not one row of N*N numbers a probe.
    """
    gram, projection = projections(D, probe)
    x0 = probe.x0.reshape(probe.D0.shape)
    fitted = probe.fitted
    lengths = direction_lengths(gram.sum(0), fitted)
    effects, low, high = np.full((3, len(fitted)), np.nan)
    rest = np.full(probe.D0.shape, np.nan)
    if solvable(lengths, float(np.linalg.norm(x0))):
        own = gram[:, fitted][:, :, fitted]
        effects[fitted] = np.linalg.solve(own.sum(0), projection[:, fitted].sum(0))
        low[fitted], high[fitted] = _bootstrap(own, projection[:, fitted], probe.t)
        rest = D - probe.D0 - np.tensordot(effects[fitted], directions(probe)[fitted], 1)
    blind_error = ((x0 - probe.D0) ** 2).sum()
    found = {f"effect_{name}": float(value) for name, value in zip(direction_names(probe), effects, strict=True)}
    with np.errstate(divide="ignore", invalid="ignore"):
        found |= {
            "residual": float((rest**2).sum() / blind_error),
            "excess": float(((D - x0) ** 2).sum() / blind_error),
        }
    for place, name in enumerate(probe.names):
        found |= {f"effect_{name}_low": float(low[place]), f"effect_{name}_high": float(high[place])}
    exist = len(lengths) > 0 and lengths[0] > 0
    return found | {"condition": float(lengths[-1] / lengths[0]) if exist else math.inf}


def direction_names(probe: EffectProbe) -> list[str]:
    """What :func:`directions` are of: the factors, then their pairs."""
    return [*probe.names, *probe.names.pairs]


def direction_lengths(gram: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """Singular values of those of the directions with these inner products that are fitted, shortest first."""
    return np.sqrt(np.clip(np.linalg.eigvalsh(gram[np.ix_(fitted, fitted)]), 0, None))


def solvable(lengths: np.ndarray, scale: float) -> bool:
    """Whether a fit means something: no direction is lost in rounding, and the condition number is at most 100.

    Args:
        lengths: as from :func:`direction_lengths`.
        scale: norm of the clean images in the fit.
    """
    if not len(lengths):
        return False
    return bool(lengths[0] > VANISHED * scale and lengths[-1] <= LARGEST_CONDITION * lengths[0])


def directions(probe: EffectProbe) -> np.ndarray:
    """What knowing each label, and each two at once, adds to the blind estimate; shape (F + F (F - 1) / 2, n, N*N)."""
    places = range(len(probe.varies))
    alone = [probe.known(place) - probe.D0 for place in places]
    both = [probe.known(a, b) - probe.known(a) - probe.known(b) + probe.D0 for a, b in combinations(places, 2)]
    return np.stack([*alone, *both])


def projections(D: np.ndarray, probe: EffectProbe) -> tuple[np.ndarray, np.ndarray]:
    """Inner products over pixels for each probe, from which the fit and its resamples follow.

    Returns:
        Of the directions with each other, shape (n, k, k), and with D - D0, (n, k).

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
    """95% percentile interval of the coefficients, resampling probes."""
    n = len(gram)
    times_drawn = np.random.default_rng([n, t]).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    grams = np.tensordot(times_drawn, gram, 1)
    # A resample may miss all probes that carry a direction; the pseudo-inverse then leaves it out.
    coefficients = (np.linalg.pinv(grams, hermitian=True) @ (times_drawn @ projection)[:, :, None])[:, :, 0]
    low, high = np.quantile(coefficients, [0.025, 0.975], axis=0)
    return low, high

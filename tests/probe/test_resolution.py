"""The resolution of denoisers that know the labels to a known number of px."""

import math

import numpy as np
import pytest

from bumpscope.config.lattice import Lattice, Skew
from bumpscope.probe import resolution
from bumpscope.probe.effects import make_probe
from bumpscope.probe.resolution import ResolutionFit
from bumpscope.worlds.bumps import lattice_points, render, to_network

ALPHA_BAR = 0.13
# Each with resolutions along x and y that it can tell.
LATTICES = {
    "12 x 12": (Lattice(), (1.5, 4.0)),
    "72 x 2": (Lattice(dx=1 / 6, dy=6.0), (0.6, 3.0)),
    "2 x 72": (Lattice(dx=6.0, dy=1 / 6), (5.0, 1.0)),
    "72 x 1": (Lattice(dx=1 / 6, dy=12.0), (3.0, math.nan)),
    "1 x 2": (Lattice(dx=12.0, dy=6.0), (math.nan, 3.0)),
    "torus": (Lattice(sigma=2.0, boundary="torus"), (3.0, 1.0)),
    "skewed": (Lattice(skew=Skew(axis="x", alpha=2.0)), (3.0, 2.0)),
    "dark": (Lattice(polarity="dark"), (2.0, 3.0)),
}


def fitted(lattice, n=256):
    probe = make_probe(lattice, ALPHA_BAR, 450, n, seed=0)
    return probe, ResolutionFit(probe, ALPHA_BAR, lattice)


def noisy_labels(probe, lattice, known):
    """The posterior mean with noisy labels as its definition has it, over all images of the lattice."""
    points, estimates = lattice_points(lattice), []
    images = to_network(render(points.mu_x, points.mu_y, lattice)).reshape(len(points.mu_x), -1)
    for noisy, *centre in zip(
        probe.x_t.reshape(len(probe.x_t), -1), probe.labels[:, 0], probe.labels[:, 1], strict=True
    ):
        logits = -((noisy - math.sqrt(ALPHA_BAR) * images) ** 2).sum(1) / (2 * (1 - ALPHA_BAR))
        for mu, s, places in zip(centre, known, (points.mu_x, points.mu_y), strict=True):
            apart = np.abs(mu - places)
            apart = np.minimum(apart, 16 - apart) if lattice.boundary == "torus" else apart
            logits -= 0.0 if math.isnan(s) else apart**2 / (2 * s**2)
        weights = np.exp(logits - logits.max()) * points.probability
        estimates.append(weights @ images / weights.sum())
    return np.array(estimates)


@pytest.mark.parametrize("name", LATTICES)
def test_the_known_resolution_is_found_and_an_error_without_labels_does_not_move_it(name):
    lattice, known = LATTICES[name]
    probe, fit = fitted(lattice)
    D = noisy_labels(probe, lattice, known)
    found = fit.fit(D)
    assert list(found.values()) == pytest.approx(list(known), rel=1e-3, nan_ok=True)
    error = np.random.default_rng(0).standard_normal(D.shape)
    blind_error = ((probe.x0.reshape(D.shape) - probe.D0) ** 2).sum()
    error *= math.sqrt(0.5 * blind_error / (error**2).sum())
    assert list(fit.fit(D + error).values()) == pytest.approx(list(known), rel=0.1, nan_ok=True)


def test_a_blind_denoiser_and_a_perfect_one_lie_at_the_limits():
    lattice = LATTICES["12 x 12"][0]
    probe, fit = fitted(lattice)
    assert fit.limits == {"x": (0.25, 22.0), "y": (0.25, 22.0)}
    assert list(fit.fit(probe.D0).values()) == pytest.approx([22.0, 22.0], rel=0.01)
    assert list(fit.fit(probe.x0.reshape(probe.D0.shape)).values()) == pytest.approx([0.25, 0.25], rel=0.1)
    # One label known, the other not.
    assert list(fit.fit(probe.exact[0,]).values()) == pytest.approx([0.25, 22.0], rel=0.1)


@pytest.mark.parametrize("power", [0.7, 1.4])
def test_a_denoiser_that_trusts_the_image_too_much_or_too_little_reads_nearly_the_same(power):
    """Its error does not depend on the labels but is no noise either."""
    _, fit = fitted(LATTICES["72 x 2"][0])
    exact = fit._exact._posterior
    fit._exact._posterior = exact**power
    D = fit.estimates({"x": 3.0, "y": 3.0})
    fit._exact._posterior = exact
    assert list(fit.fit(D).values()) == pytest.approx([3.0, 3.0], rel=0.1)


def test_a_lattice_too_large_is_fitted_on_fewer_probes(monkeypatch):
    monkeypatch.setattr(resolution, "WEIGHTS", 40 * 144)
    lattice = LATTICES["12 x 12"][0]
    probe, fit = fitted(lattice, n=64)
    D = noisy_labels(probe, lattice, (2.0, 3.0))
    assert fit.estimates({"x": 2.0, "y": 3.0}).shape == (40, 256)
    assert list(fit.fit(D).values()) == pytest.approx([2.0, 3.0], rel=1e-3)


def test_a_lattice_of_one_image_has_no_resolution():
    probe, fit = fitted(Lattice(dx=12.0, dy=12.0), n=32)
    assert all(math.isnan(value) for value in fit.fit(probe.D0).values())

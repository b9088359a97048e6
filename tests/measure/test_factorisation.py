"""Factorisation of codes that are additive, a product, or one place a unit, with and without noise."""

import numpy as np
import pytest

from bumpscope.config.lattice import Lattice
from bumpscope.measure.factorisation import factorisation
from bumpscope.measure.order import Label
from bumpscope.worlds.bumps import render
from clouds import axes

AXIS = np.arange(12.0) + 2

METRICS = ("additive_share", "parallelism_x", "parallelism_y", "orthogonality", "tangent_cosine")


def requests(replicates=3, axis_x=AXIS, axis_y=AXIS):
    grid = np.stack(np.meshgrid(axis_x, axis_y), axis=-1).reshape(-1, 2)
    return np.tile(grid, (replicates, 1)).T


def rotated(code, rng, width=80):
    """The code in ``width`` dimensions of which it fills only some."""
    return code @ np.linalg.qr(rng.normal(size=(width, code.shape[1])))[0].T


def additive(mu_x, mu_y, rng):
    return rotated(np.stack([mu_x, np.sin(mu_x / 2), mu_y, 0.1 * mu_y**2], axis=1), rng)


def place(mu_x, mu_y, size=16, sigma=1.0):
    """Images of bumps, flattened."""
    return render(mu_x, mu_y, Lattice(image_size=size, sigma=sigma)).reshape(len(mu_x), -1)


def share_without_noise(code):
    """Two-way analysis of variance of one code a centre, row means and column means written out."""
    grid = code[:144].reshape(12, 12, -1)
    total = grid - grid.mean(axis=(0, 1))
    fitted = total.mean(axis=0, keepdims=True) + total.mean(axis=1, keepdims=True)
    return (fitted**2).sum() / (total**2).sum()


def numbers(codes, mu_x, mu_y, period=None):
    factors = axes("plane" if period is None else "torus", round(period or 16))
    return dict(factorisation(codes, Label(np.stack([mu_x, mu_y]), factors)))


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def test_an_additive_code_is_additive_whatever_the_noise(rng):
    mu_x, mu_y = requests()
    code = additive(mu_x, mu_y, rng)
    for noise in (0.0, 0.3, 1.0):
        found = numbers(code + noise * rng.normal(size=code.shape), mu_x, mu_y, None)
        assert abs(found["additive_share"] - 1) < 0.03
        assert abs(found["orthogonality"] - 1) < 0.05
        assert abs(found["parallelism_x"] - 1) < 0.05
        assert abs(found["parallelism_y"] - 1) < 0.05


def test_a_product_of_centred_factors_has_no_additive_part(rng):
    mu_x, mu_y = requests()
    code = rotated(((mu_x - mu_x.mean()) * (mu_y - mu_y.mean()))[:, None], rng)
    found = numbers(code + 0.5 * rng.normal(size=code.shape), mu_x, mu_y, None)
    assert abs(found["additive_share"]) < 0.02
    assert abs(found["parallelism_x"]) < 0.2


def test_bump_images_are_a_place_code(rng):
    mu_x, mu_y = requests(replicates=2)
    images = place(mu_x, mu_y)
    expected = share_without_noise(images)
    found = numbers(images, mu_x, mu_y, None)
    assert np.isclose(found["additive_share"], expected)
    assert 0.3 < expected < 0.5
    # Neighbouring bumps move in orthogonal directions, as in an additive code: the metric cannot tell them apart.
    assert found["tangent_cosine"] < 0.05
    assert found["parallelism_x"] < 0.5


def test_noise_is_taken_off_without_bias(rng):
    mu_x, mu_y = requests()
    images = place(mu_x, mu_y)
    expected = share_without_noise(images)
    draws = [
        numbers(images + 0.15 * rng.normal(size=images.shape), mu_x, mu_y, None)["additive_share"] for _ in range(30)
    ]
    standard_error = np.std(draws) / np.sqrt(len(draws))
    assert abs(np.mean(draws) - expected) < 4 * standard_error
    averaged = (images + 0.15 * rng.normal(size=images.shape)).reshape(3, 144, -1).mean(axis=0)
    assert share_without_noise(averaged) < expected - 20 * standard_error


def test_unequal_numbers_of_images_make_no_difference(rng):
    mu_x, mu_y = requests(replicates=4)
    kept = np.sort(rng.permutation(np.arange(144, 576))[:250])
    rows = np.concatenate([np.arange(144), kept])
    images = place(mu_x, mu_y)
    noisy = (images + 0.1 * rng.normal(size=images.shape))[rows]
    found = numbers(noisy, mu_x[rows], mu_y[rows], None)
    assert abs(found["additive_share"] - share_without_noise(images)) < 0.03


def test_a_withheld_block_leaves_the_rest_to_judge(rng):
    mu_x, mu_y = requests()
    seen = ~((mu_x > 5) & (mu_x < 9) & (mu_y > 5) & (mu_y < 9))
    code = additive(mu_x, mu_y, rng)[seen]
    found = numbers(code + 0.1 * rng.normal(size=code.shape), mu_x[seen], mu_y[seen], None)
    assert abs(found["additive_share"] - 1) < 0.03
    assert abs(found["orthogonality"] - 1) < 0.05
    assert np.isfinite(found["tangent_cosine"])


@pytest.mark.parametrize("degrees", [90.0, 60.0, 30.0])
def test_orthogonality_and_tangents_tell_the_angle_between_the_axes(rng, degrees):
    mu_x, mu_y = requests()
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    code = rotated(np.stack([mu_x + cosine * mu_y, sine * mu_y], axis=1), rng)
    found = numbers(code + 0.02 * rng.normal(size=code.shape), mu_x, mu_y, None)
    assert abs(found["orthogonality"] - (1 - cosine)) < 0.02
    assert abs(found["tangent_cosine"] - cosine) < 0.02


def test_parallelism_is_the_cosine_between_directions_that_turn(rng):
    # The x-direction turns with y by 2 pi in all, so that over all pairs the cosine averages to -1 / (J - 1).
    mu_x, mu_y = requests()
    angle = 2 * np.pi * (mu_y - 2) / 12
    code = rotated((mu_x - mu_x.mean())[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), rng)
    found = numbers(code + 0.1 * rng.normal(size=code.shape), mu_x, mu_y, None)
    assert abs(found["parallelism_x"] + 1 / 11) < 0.01


def test_on_a_torus_directions_are_those_of_the_angles(rng):
    axis = np.arange(16.0)
    mu_x, mu_y = requests(2, axis, axis)
    angles = 2 * np.pi * np.stack([mu_x, mu_y]) / 16
    code = rotated(np.concatenate([np.cos(angles), np.sin(angles)]).T, rng)
    code = code + 0.02 * rng.normal(size=code.shape)
    found = numbers(code, mu_x, mu_y, 16.0)
    assert np.allclose([found[name] for name in METRICS[:4]], 1, atol=0.03)
    assert found["tangent_cosine"] < 0.1


def cases_without_an_answer():
    rng = np.random.default_rng(2)
    mu_x, mu_y = requests()
    code = additive(mu_x, mu_y, rng)
    few = rng.permutation(144)[:60]
    some = np.concatenate([few, few + 144])
    return {
        "noise alone": (rng.normal(size=code.shape), mu_x, mu_y),
        "one image a centre": (code[:144], mu_x[:144], mu_y[:144]),
        "under half of the lattice": (code[some], mu_x[some], mu_y[some]),
        "one row": (code[mu_y == 5], mu_x[mu_y == 5], mu_y[mu_y == 5]),
        "no images": (code[:0], mu_x[:0], mu_y[:0]),
        "no components": (code[:, :0], mu_x, mu_y),
        "not finite": (np.full_like(code, np.nan), mu_x, mu_y),
    }


@pytest.mark.parametrize("name", cases_without_an_answer())
def test_without_a_lattice_or_a_signal_there_is_no_answer(name):
    found = numbers(*cases_without_an_answer()[name], None)
    assert tuple(found) == METRICS
    assert np.isnan(list(found.values())).all()


def test_an_axis_of_two_positions_has_an_additive_share_and_no_slope_of_its_own(rng):
    mu_x, mu_y = requests(axis_y=np.array([4.0, 10.0]))
    found = numbers(additive(mu_x, mu_y, rng) + 0.1 * rng.normal(size=(len(mu_x), 80)), mu_x, mu_y, None)
    assert found["additive_share"] == pytest.approx(1, abs=0.01)
    assert found["parallelism_x"] == pytest.approx(1, abs=0.02)
    assert np.isnan(found["parallelism_y"]) and np.isnan(found["orthogonality"])
    # Bumps 6 px apart do not overlap: half of the variance is that of a sum, the rest of the product.
    images = numbers(place(mu_x, mu_y), mu_x, mu_y, None)
    assert 0.4 < images["additive_share"] < 0.7
    for period in (None, 16.0):
        found = numbers(place(mu_x, mu_y), mu_x, mu_y, period)
        assert np.isnan(found["tangent_cosine"])


def test_a_cloud_without_noise_needs_one_code_a_centre(rng):
    mu_x, mu_y = requests(replicates=1)
    label = Label(np.stack([mu_x, mu_y]), axes("plane", 16))
    for code, share in ((additive(mu_x, mu_y, rng), 1.0), (images := place(mu_x, mu_y), share_without_noise(images))):
        assert dict(factorisation(code, label, noiseless=True))["additive_share"] == pytest.approx(share)
        assert np.isnan(dict(factorisation(code, label))["additive_share"])

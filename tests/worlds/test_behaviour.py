"""The behaviour instrument, against bumps drawn here and against the Cramér-Rao bound."""

import time

import numpy as np
import pytest
from scipy.optimize import approx_fprime, linear_sum_assignment

from bumpscope.config.checks import LEAST_SIGMA
from bumpscope.config.lattice import Lattice
from bumpscope.worlds import behaviour
from bumpscope.worlds.bumps import render
from drawn_bumps import drawn, random_bumps, shown
from measure_behaviour import position_errors

FAINT = 0.25
LATTICES = {
    "plane": Lattice(),
    "to the edge": Lattice(margin=0.0),
    "torus": Lattice(boundary="torus"),
    "dark": Lattice(margin=0.0, polarity="dark"),
    "large": Lattice(image_size=32, sigma=2.0, margin=0.0),
    "large torus": Lattice(image_size=32, sigma=1.0, boundary="torus"),
}
every_lattice = pytest.mark.parametrize("lattice", LATTICES.values(), ids=LATTICES.keys())


def classified(images, lattice, mu_x=0.0, mu_y=0.0, tolerance=1.0, faint=FAINT):
    ones = np.ones(len(images))
    return behaviour.classify(shown(images, lattice), mu_x * ones, mu_y * ones, lattice, tolerance, faint)


@pytest.mark.parametrize("boundary", ["plane", "torus"])
@pytest.mark.parametrize(("sigma", "read"), [(LEAST_SIGMA, True), (0.25, False)])
def test_bumps_are_read_back_down_to_the_least_sigma_that_is_allowed(boundary, sigma, read):
    lattice = Lattice(sigma=sigma, margin=0.0, boundary=boundary)
    beyond = np.linspace(0, 1, 11)
    places = [base + beyond for base in (-0.5, 5.0)]
    x, y = np.concatenate([np.array(np.meshgrid(place, place)).reshape(2, -1) for place in places], axis=1)
    found = behaviour.classify(render(x, y, lattice), x, y, lattice, 1.0, FAINT)
    exact = found["amplitude"].between(0.99, 1.01)
    assert (found["outcome"] == "correct").all() == read
    assert exact[x >= 5].all() == read
    if read:
        assert found["error"].max() < 0.3 and found["error"][x >= 5].max() < 1e-3


def test_distance_is_the_shortest_over_all_periodic_copies():
    generator = np.random.default_rng(0)
    x, y, mu_x, mu_y = generator.uniform(-0.5, 15.5, (4, 200))
    copies = [np.hypot(x - mu_x + a, y - mu_y + b) for a in (-16, 0, 16) for b in (-16, 0, 16)]
    assert np.allclose(behaviour.distance(x, y, mu_x, mu_y, LATTICES["torus"]), np.min(copies, axis=0))
    assert np.allclose(behaviour.distance(x, y, mu_x, mu_y, LATTICES["plane"]), copies[4])


@every_lattice
def test_bumps_four_sigma_apart_are_counted_without_a_miss(lattice):
    generator = np.random.default_rng(1)
    size = lattice.image_size
    truth = np.arange(240) % 4
    images = np.array([drawn(random_bumps(generator, k, lattice, (0.6, 1.2)), lattice) for k in truth])
    noise = generator.choice([0.0, 0.01, 0.02, 0.05], len(truth))
    images += noise[:, None, None] * generator.standard_normal((len(truth), size, size))
    assert (classified(images, lattice)["bumps"] == truth).all()


@pytest.mark.parametrize("boundary", ["plane", "torus"])
def test_a_weak_broad_bump_four_sigma_from_a_strong_one_is_counted(boundary):
    """Often it has no maximum of its own, and shows only as a shoulder."""
    generator = np.random.default_rng(2)
    lattice = Lattice(boundary=boundary)
    angles = generator.uniform(0, 2 * np.pi, 60)
    x, y = generator.uniform(7, 8, (2, 60))
    pairs = [
        [(a, b, 1.2, 1.3), (a + 4 * np.cos(angle), b + 4 * np.sin(angle), 0.6, 1.3)]
        for a, b, angle in zip(x, y, angles, strict=True)
    ]
    images = np.array([drawn(pair, lattice) for pair in pairs])
    assert (classified(images, lattice)["bumps"] == 2).all()
    assert (classified(images + 0.05 * generator.standard_normal(images.shape), lattice)["bumps"] == 2).all()


@every_lattice
def test_noise_alone_is_no_bump(lattice):
    size = lattice.image_size
    images = 0.05 * np.random.default_rng(3).standard_normal((200, size, size))
    table = classified(images, lattice)
    assert (table["outcome"] == "none").all()
    assert table["x"].isna().mean() > 0.9


@every_lattice
def test_without_noise_each_of_several_bumps_is_found_within_a_hundredth_of_a_pixel(lattice):
    generator = np.random.default_rng(4)
    for _ in range(60):
        truth = random_bumps(generator, generator.integers(1, 4), lattice, (0.3, 1.2))
        found = behaviour.find_bumps(shown(drawn(truth, lattice), lattice), lattice).to_numpy()
        gaps = behaviour.distance(truth[:, None, 0], truth[:, None, 1], found[:, 0], found[:, 1], lattice)
        rows, columns = linear_sum_assignment(gaps)
        assert len(found) == len(truth)
        assert gaps[rows, columns].max() <= 0.01
        assert np.allclose(found[columns, 2:], truth[rows, 2:], atol=0.02)


@pytest.mark.parametrize(
    "name",
    ["plane", pytest.param("to the edge", marks=pytest.mark.slow), pytest.param("torus", marks=pytest.mark.slow)],
)
def test_the_position_error_is_within_a_fifth_of_the_cramer_rao_bound(name):
    lattice = LATTICES[name]
    generator = np.random.default_rng(5)
    table = position_errors(lattice, (0.3, 0.6, 1.2), (1.0,), (0.01, 0.05), 100, generator)
    assert (table["ratio"] <= 1.2).all(), table.sort_values("ratio").tail().to_string()
    assert (table.query("amplitude > 0.5")["found"] == 1).all()


@pytest.mark.slow
@every_lattice
def test_the_position_error_keeps_to_the_bound_for_every_width_amplitude_and_noise(lattice):
    generator = np.random.default_rng(6)
    table = position_errors(lattice, (0.3, 0.6, 1.2), (0.8, 1.0, 1.3), (0.01, 0.02, 0.05), 200, generator)
    assert (table["ratio"] <= 1.2).all(), table.sort_values("ratio").tail().to_string()


def test_outcomes_follow_count_and_distance():
    lattice = LATTICES["plane"]
    images = [
        np.zeros((16, 16)),
        drawn([(5.2, 6.1, 0.9, 1.0)], lattice),
        drawn([(5.2, 6.1, 0.9, 1.0)], lattice),
        drawn([(5.2, 6.1, 0.9, 1.0), (11.0, 10.0, 0.5, 1.0)], lattice),
        drawn([(5.2, 6.1, 0.9, 1.0), (11.0, 10.0, 0.1, 1.0)], lattice),
    ]
    mu_x = np.array([5.0, 5.0, 6.3, 5.0, 5.0])
    table = behaviour.classify(np.array(images), mu_x, np.full(5, 6.0), lattice, 1.0, FAINT)
    assert list(table.columns) == ["bumps", "x", "y", "amplitude", "width", "error", "outcome"]
    assert table["outcome"].tolist() == ["none", "correct", "misplaced", "multiple", "correct"]
    assert table["bumps"].tolist() == [0, 1, 1, 2, 1]
    assert table.loc[0, ["x", "y", "amplitude", "width", "error"]].isna().all()
    assert table.loc[1:, "error"].to_numpy() == pytest.approx(np.hypot(mu_x[1:] - 5.2, 0.1), abs=0.01)
    wider = behaviour.classify(np.array(images), mu_x, np.full(5, 6.0), lattice, 2.0, FAINT)
    assert wider["outcome"].tolist() == ["none", "correct", "correct", "multiple", "correct"]


def test_a_bump_counts_by_its_amplitude_not_by_its_brightest_pixel():
    lattice = Lattice(sigma=0.8)
    images = np.array([drawn([(7.5, 8.5, amplitude, 0.8)], lattice) for amplitude in (0.3, 0.2)])
    assert images[0].max() < FAINT
    table = classified(images, lattice, 7.5, 8.5)
    assert table["outcome"].tolist() == ["correct", "none"]
    # The one too faint to count is told all the same.
    assert table["amplitude"].to_numpy() == pytest.approx([0.3, 0.2], abs=1e-3)
    assert table["error"].max() < 0.01


def test_a_bump_across_the_seam_of_a_torus_is_one_bump_in_its_place():
    lattice = LATTICES["torus"]
    places = [(-0.5, 7.0), (15.3, -0.2), (-0.5, -0.5), (3.0, 15.4)]
    images = np.array([drawn([(x, y, 1.0, 1.0)], lattice) for x, y in places])
    mu_x, mu_y = np.array(places).T
    table = behaviour.classify(images, (mu_x + 0.9) % 16, mu_y, lattice, 1.0, FAINT)
    assert (table["outcome"] == "correct").all()
    assert np.allclose(table["error"], 0.9, atol=0.01)
    assert table[["x", "y"]].min(axis=None) >= -0.5 and table[["x", "y"]].max(axis=None) <= 15.5


def test_a_grey_veil_displaces_nothing():
    lattice = LATTICES["plane"]
    image = drawn([(5.2, 6.1, 0.9, 1.1), (9.7, 10.4, 0.5, 0.9)], lattice)
    clear, veiled = behaviour.find_bumps(image, lattice), behaviour.find_bumps(image + 0.3, lattice)
    assert np.allclose(clear, veiled, atol=1e-4)
    assert np.allclose(clear, [(5.2, 6.1, 0.9, 1.1), (9.7, 10.4, 0.5, 0.9)], atol=1e-3)


def test_one_bright_pixel_in_a_corner_is_not_taken_for_the_flank_of_a_bump():
    image = np.zeros((16, 16))
    image[0, 0] = 0.24
    assert classified(image[None], LATTICES["plane"])["outcome"][0] == "none"


@every_lattice
def test_ragged_images_never_stop_the_table(lattice):
    generator = np.random.default_rng(7)
    size = lattice.image_size
    grid = np.add.outer(np.arange(size), np.arange(size))
    broken = np.tile(drawn([(7, 7, 1, lattice.sigma)], lattice), (4, 1, 1))
    broken[[0, 1, 2, 3], 3, 4] = [np.nan, np.inf, -np.inf, 1e200]
    ragged = [np.full((size, size), value) for value in (0.0, 0.5, -3.0)]
    ragged += [grid / size, grid % 2, 1e5 * generator.standard_normal((size, size))]
    ragged += [generator.random((size, size)) - offset for offset in (0, 0.5, 1)]
    for _ in range(30):
        count = generator.integers(1, 20)
        places = generator.uniform(-3, size + 2, (2, count))
        heights, widths = generator.normal(0, 0.8, count), generator.uniform(0.3, size / 3, count)
        ragged.append(drawn(np.column_stack([*places, heights, widths]), lattice))
    table = classified(np.array([*broken, *ragged]), lattice)
    assert (table.loc[:3, "outcome"] == "none").all() and table.loc[:3, "x"].isna().all()
    assert (table.loc[4:6, "outcome"] == "none").all()
    assert table["bumps"].between(0, behaviour.MOST).all()
    assert ((table["bumps"] == 0) == (table["outcome"] == "none")).all()
    assert ((table["bumps"] > 1) == (table["outcome"] == "multiple")).all()
    seen = table[table["x"].notna()]
    assert seen[["x", "y"]].stack().between(-0.5, size - 0.5).all()
    assert np.isfinite(seen[["amplitude", "width", "error"]]).all(axis=None)


def test_bumps_come_strongest_first():
    lattice = LATTICES["plane"]
    image = drawn([(3, 3, 0.4, 1), (12, 3, 1.1, 1), (4, 12, 0.7, 1)], lattice)
    table = behaviour.find_bumps(image, lattice)
    assert list(table.columns) == ["x", "y", "amplitude", "width"]
    assert table["amplitude"].to_numpy() == pytest.approx([1.1, 0.7, 0.4], abs=0.01)


@pytest.mark.parametrize("boundary", ["plane", "torus"])
def test_the_jacobian_is_the_derivative_of_the_residual(boundary):
    generator = np.random.default_rng(8)
    lattice = Lattice(boundary=boundary, margin=0.0)
    starts = np.array([(3, 4, 0.7, 1.0), (0, 15, 1.1, 1.2)])
    model = behaviour._Gaussians(generator.random((16, 16)), starts, lattice)
    free = model.start + 0.1 * generator.standard_normal(len(model.start))
    assert np.allclose(model.jacobian(free), approx_fprime(free, model.residual, 1e-7), atol=1e-5)


def test_images_that_do_not_fit_are_refused_and_none_make_an_empty_table():
    lattice, one = LATTICES["plane"], np.zeros(1)
    with pytest.raises(ValueError, match="16 px"):
        behaviour.classify(np.zeros((1, 8, 8)), one, one, lattice, 1.0, FAINT)
    with pytest.raises(ValueError, match="2 images"):
        behaviour.classify(np.zeros((2, 16, 16)), one, one, lattice, 1.0, FAINT)
    assert behaviour.classify(np.empty((0, 16, 16)), one[:0], one[:0], lattice, 1.0, FAINT).empty


@pytest.mark.slow
def test_an_image_takes_three_milliseconds_at_most_on_average():
    """A third noise, a third several bumps, a third one bump, each with noise: the mix of a training."""
    generator, lattice = np.random.default_rng(9), LATTICES["plane"]
    crowds = [drawn(random_bumps(generator, 3, lattice, (0.3, 1.2)), lattice) for _ in range(100)]
    single = [drawn(random_bumps(generator, 1, lattice, (0.3, 1.2)), lattice) for _ in range(100)]
    images = np.concatenate([generator.random((100, 16, 16)), crowds, single])
    images += 0.02 * generator.standard_normal(images.shape)
    begin = time.process_time()
    classified(images, lattice)
    assert (time.process_time() - begin) / len(images) < 3e-3

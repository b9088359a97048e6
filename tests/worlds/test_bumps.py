"""Bumps and lattices against their closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bumpscope.config.lattice import Holdout, Lattice, Skew
from bumpscope.worlds.bumps import (
    axis_positions,
    axis_probability,
    from_network,
    in_holdout,
    lattice_points,
    profiles,
    render,
    to_network,
)


def lattice(**keys):
    return Lattice(**{"image_size": 16, "sigma": 1.0, "margin": 2.0, "dx": 1.0, "dy": 1.0} | keys)


def one(x, y, **keys):
    return render(np.array([x]), np.array([y]), lattice(**keys))[0]


def test_a_bump_is_the_gaussian_of_its_definition():
    image = one(6.3, 9.8, sigma=1.5)
    for row, column in ((10, 6), (0, 15), (9, 3)):
        expected = math.exp(-((column - 6.3) ** 2 + (row - 9.8) ** 2) / (2 * 1.5**2))
        assert image[row, column] == pytest.approx(expected, rel=1e-12)


def test_row_is_y_and_column_is_x():
    assert np.unravel_index(one(3.0, 11.0).argmax(), (16, 16)) == (11, 3)


def test_a_bump_on_a_pixel_peaks_at_one_and_between_four_pixels_at_exp_minus_quarter_over_sigma_squared():
    assert one(7.0, 7.0).max() == 1.0
    assert one(7.5, 7.5, sigma=1.0).max() == pytest.approx(math.exp(-0.25), rel=1e-12)
    assert one(7.5, 7.5, sigma=0.7).max() == pytest.approx(math.exp(-0.25 / 0.49), rel=1e-12)


@pytest.mark.parametrize("centre", [(15.0, 15.0), (15.5, 15.25), (16.2, 14.9)])
@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0])
def test_a_bump_in_the_interior_sums_to_two_pi_sigma_squared(centre, sigma):
    # The sum over pixels of a Gaussian equals its integral up to exp(-2 pi^2 sigma^2) (Poisson summation).
    total = one(*centre, image_size=32, sigma=sigma).sum()
    assert total == pytest.approx(2 * math.pi * sigma**2, rel=10 * math.exp(-2 * math.pi**2 * sigma**2) + 1e-10)


def test_the_centre_of_mass_of_a_bump_is_its_centre():
    image = one(14.3, 17.8, image_size=32, sigma=1.5)
    rows, columns = np.mgrid[:32, :32]
    assert (image * columns).sum() / image.sum() == pytest.approx(14.3, abs=1e-9)
    assert (image * rows).sum() / image.sum() == pytest.approx(17.8, abs=1e-9)


def test_dark_is_one_minus_bright():
    np.testing.assert_array_equal(one(5.2, 6.1, polarity="dark"), 1 - one(5.2, 6.1))


@given(st.integers(-40, 40), st.integers(-40, 40), st.floats(0.3, 3.0))
@settings(max_examples=50)
def test_on_a_torus_moving_the_centre_by_whole_pixels_rolls_the_image(right, down, sigma):
    keys = {"boundary": "torus", "margin": 0.0, "sigma": sigma}
    moved = one(3.25 + right, 8.5 + down, **keys)
    np.testing.assert_allclose(moved, np.roll(one(3.25, 8.5, **keys), (down, right), axis=(0, 1)), rtol=0, atol=1e-12)


def test_on_a_torus_distances_go_the_shorter_way_round():
    across = profiles(np.array([-0.5]), np.array([-0.5]), lattice(boundary="torus"))[0][0]
    assert across[0] == pytest.approx(across[15])
    assert across[0] == pytest.approx(math.exp(-0.125))
    assert across[8] == pytest.approx(math.exp(-(7.5**2) / 2))


def test_on_a_plane_a_bump_is_cut_at_the_edge():
    image = one(-0.5, 8.0, margin=0.0)
    assert image[8, 0] == pytest.approx(math.exp(-0.125))
    assert image[8, 15] < 1e-50
    # Half of the bump lies outside.
    assert image.sum() == pytest.approx(math.pi, rel=0.03)
    # Inside, cutting changes nothing.
    np.testing.assert_array_equal(image, one(7.5, 8.0, image_size=24)[:16, 8:24])


def test_images_are_drawn_in_the_order_of_their_centres():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(2, 13, (2, 20))
    images = render(x, y, lattice())
    assert images.shape == (20, 16, 16)
    for k in (0, 7, 19):
        np.testing.assert_array_equal(images[k], one(x[k], y[k]))


@given(st.lists(st.floats(-2, 3), min_size=1, max_size=8))
@settings(max_examples=50)
def test_the_range_of_the_network_and_that_of_intensities_undo_each_other(values):
    values = np.array(values)
    np.testing.assert_allclose(from_network(to_network(values)), values, atol=1e-15)
    assert list(to_network(np.array([0.0, 0.5, 1.0]))) == [-1.0, 0.0, 1.0]


@pytest.mark.parametrize(("spacing", "count"), [(0.5, 24), (1.0, 12), (2.0, 6)])
def test_every_spacing_fills_the_same_support_with_its_own_number_of_centres(spacing, count):
    positions = axis_positions(16, 2.0, spacing)
    assert len(positions) == count
    np.testing.assert_allclose(np.diff(positions), spacing)
    # The cells around the outermost centres end where the margin begins.
    assert positions[0] - spacing / 2 == pytest.approx(1.5)
    assert positions[-1] + spacing / 2 == pytest.approx(13.5)


def test_the_imbalanced_lattice_has_exactly_the_number_of_images_of_the_balanced_one():
    assert len(lattice_points(lattice(dx=0.5, dy=2.0)).mu_x) == len(lattice_points(lattice()).mu_x) == 144


def test_without_a_margin_the_lattice_has_the_scale_of_the_paper():
    points = lattice_points(lattice(image_size=32, margin=0.0, dx=0.1, dy=1.0))
    assert (len(np.unique(points.mu_x)), len(np.unique(points.mu_y))) == (320, 32)
    assert len(points.mu_x) == 320 * 32
    assert points.mu_x.min() == pytest.approx(-0.45)
    assert points.mu_x.max() == pytest.approx(31.45)


def test_a_torus_lattice_is_even_across_its_seam():
    positions = axis_positions(16, 0.0, 2.0)
    np.testing.assert_allclose((positions[0] - positions[-1]) % 16, 2.0)


def test_y_is_outermost():
    points = lattice_points(lattice(dx=2.0, dy=4.0))
    np.testing.assert_array_equal(points.mu_x[:6], axis_positions(16, 2.0, 2.0))
    np.testing.assert_array_equal(points.mu_y[:6], 3.5)


SKEWS = [Skew(axis=axis, alpha=alpha) for axis, alpha in (("none", 0.0), ("x", 1.0), ("y", 0.5), ("both", 2.0))]


@pytest.mark.parametrize("skew", SKEWS, ids=lambda skew: skew.axis)
@pytest.mark.parametrize("holdout", [None, Holdout(x=[5.0, 8.0], y=[4.0, 6.0])], ids=["whole", "held out"])
def test_probabilities_sum_to_one(skew, holdout):
    points = lattice_points(lattice(dx=0.5, skew=skew, holdout=holdout))
    assert points.probability.sum() == pytest.approx(1.0, abs=1e-12)
    assert (points.probability >= 0).all()


@pytest.mark.parametrize("skew", SKEWS, ids=lambda skew: skew.axis)
def test_the_marginals_of_a_skew_are_exactly_the_truncated_power_law(skew):
    points = lattice_points(lattice(dx=0.5, dy=1.0, skew=skew))
    grid = points.probability.reshape(12, 24)
    np.testing.assert_allclose(grid, np.outer(grid.sum(1), grid.sum(0)), atol=1e-15)  # the axes are independent
    for marginal, axis in ((grid.sum(0), "x"), (grid.sum(1), "y")):
        alpha = skew.alpha if skew.axis in (axis, "both") else 0.0
        law = np.arange(1, len(marginal) + 1) ** -alpha
        np.testing.assert_allclose(np.sort(marginal)[::-1], law / law.sum(), rtol=1e-12)


@pytest.mark.parametrize("axis", ["x", "y"])
def test_how_often_a_position_is_drawn_has_nothing_to_do_with_where_it_is(axis):
    for count in (6, 8, 12, 24, 32, 320):
        probability = axis_probability(count, 1.0, axis)
        change = np.sign(np.diff(probability))
        assert set(change) == {-1.0, 1.0}, "the ranks are sorted by position"
        centred = np.arange(count) - (count - 1) / 2
        rank = probability.argsort().argsort()
        # Neither the position nor the distance from the middle tells how rare a centre is.
        for order in (centred, abs(centred)):
            assert abs(np.corrcoef(rank, order)[0, 1]) < 0.25


def test_a_skewed_axis_has_the_same_rare_positions_in_every_dataset():
    alone = lattice_points(lattice(skew=Skew(axis="x", alpha=1.0))).probability.reshape(12, 12).sum(0)
    both = lattice_points(lattice(skew=Skew(axis="both", alpha=1.0), dy=2.0)).probability.reshape(6, 12).sum(0)
    np.testing.assert_allclose(alone, both, rtol=1e-12)


def test_withheld_combinations_are_never_drawn_and_the_others_keep_their_proportions():
    skew = Skew(axis="both", alpha=1.0)
    whole = lattice_points(lattice(skew=skew))
    points = lattice_points(lattice(skew=skew, holdout=Holdout(x=[5.0, 8.0], y=[4.0, 6.0])))
    assert (points.probability[points.heldout] == 0).all()
    assert (points.probability[~points.heldout] > 0).all()
    assert points.heldout.sum() == 4 * 3
    ratio = points.probability[~points.heldout] / whole.probability[~points.heldout]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-12)


def test_every_withheld_x_and_every_withheld_y_occurs_elsewhere():
    points = lattice_points(lattice(holdout=Holdout(x=[2.0, 12.0], y=[4.0, 6.0])))
    for values in (points.mu_x, points.mu_y):
        assert set(values[points.heldout]) <= set(values[~points.heldout])


def test_both_ends_of_a_withheld_block_are_withheld_however_positions_are_rounded():
    # 1.5 + 11.5 * 0.1 is 2.6500000000000004 in binary; a block that ends at 2.65 holds it all the same.
    tenth = lattice(dx=0.1, dy=0.1, holdout=Holdout(x=[2.05, 2.65], y=[2.05, 2.65]))
    points = lattice_points(tenth)
    assert points.heldout.sum() == 7 * 7
    assert in_holdout(tenth, np.array([2.05, 2.65, 2.7]), np.array([2.65, 2.65, 2.65])).tolist() == [True, True, False]


@settings(max_examples=80)
@given(
    st.sampled_from([8, 16, 32]),
    st.sampled_from([0.0, 1.0, 2.0]),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(["none", "x", "y", "both"]),
    st.floats(0, 10),
)
def test_any_lattice_lies_inside_its_support_and_is_drawn_with_probability_one(size, margin, n_x, n_y, axis, alpha):
    length = size - 2 * margin
    points = lattice_points(
        lattice(image_size=size, margin=margin, dx=length / n_x, dy=length / n_y, skew=Skew(axis=axis, alpha=alpha))
    )
    assert len(points.mu_x) == n_x * n_y
    assert points.probability.sum() == pytest.approx(1.0)
    for values in (points.mu_x, points.mu_y):
        assert margin - 0.5 < values.min() <= values.max() < size - 0.5 - margin
        assert values.mean() == pytest.approx((size - 1) / 2)

"""Whether a cloud is a sheet, and whether one would be seen, on clouds of known shape."""

import numpy as np
import pytest

from bumpscope.measure.components import decompose
from bumpscope.measure.phases import THRESHOLDS, is_sheet, latent_phase
from bumpscope.measure.sheet import averaged, least_visible_sheet, local_shape, planted, sheet_numbers
from clouds import MIXTURES
from synthetic_clouds import cloud, untrained


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_a_line_has_no_breadth_a_sheet_no_thickness_and_a_solid_has_both(rng):
    line, square, cube = (rng.uniform(-1, 1, size=(300, dimension)) for dimension in (1, 2, 3))
    assert local_shape(line) == (0, 0)
    breadth, thickness = local_shape(square)
    assert 0.4 < breadth < 1 and thickness == 0
    assert local_shape(cube)[1] > THRESHOLDS.sheet_thickness
    assert min(local_shape(rng.normal(size=(300, 20)))) > THRESHOLDS.unstructured_thickness


def test_of_three_dimensions_a_surface_has_no_breadth_and_a_solid_no_thickness(rng):
    square, cube, more = (rng.uniform(-1, 1, size=(400, dimension)) for dimension in (2, 3, 4))
    assert local_shape(square, 3) == (0, 0)
    breadth, thickness = local_shape(cube, 3)
    assert 0.4 < breadth < 1 and thickness == 0
    assert local_shape(more, 3)[1] > THRESHOLDS.sheet_thickness
    components = decompose(rng.normal(size=(400, 8)) @ rng.normal(size=(8, 200)) + 0.1 * rng.normal(size=(400, 200)))
    share = (planted(components, 1.0, rng, 3)[:, -3:] ** 2).sum() / (components.scores**2).sum()
    assert share == pytest.approx(1.5, rel=0.02)  # as broad in each direction as a sheet of half the variance
    assert least_visible_sheet(decompose(rng.normal(size=(400, 400))), 0, 3) <= 1


def test_shape_depends_on_neither_place_nor_size_nor_direction(rng):
    points = rng.uniform(-1, 1, size=(300, 3)) * [1, 0.8, 0.2]
    turned = 1e3 * points @ np.linalg.qr(rng.normal(size=(3, 3)))[0] + 7
    assert local_shape(turned) == pytest.approx(local_shape(points))


def test_a_bent_sheet_is_flat_at_the_scale_between_its_noise_and_its_bend(rng):
    u = rng.uniform(-1, 1, size=(512, 2))
    half_pipe = np.stack([np.sin(2.5 * u[:, 0]), np.cos(2.5 * u[:, 0]), 2 * u[:, 1]], axis=1)
    assert local_shape(half_pipe)[1] < 0.1 < np.divide(*np.linalg.eigvalsh(np.cov(half_pipe.T))[:2])


def test_what_has_too_few_points_or_is_not_finite_has_no_shape(rng):
    assert np.isnan(local_shape(rng.normal(size=(40, 5)))).all()
    assert np.isnan(local_shape(np.full((100, 5), np.inf))).all()
    assert np.isnan(local_shape(np.zeros((100, 0)))).all()
    assert local_shape(np.zeros((100, 5))) == (0, 0)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("points", [60, 64, 80])
def test_noise_of_few_points_is_no_sheet(rng, points, dimension):
    assert min(local_shape(rng.normal(size=(points, 20)), dimension)) > THRESHOLDS.unstructured_thickness


def test_a_planted_sheet_is_as_large_as_asked_and_leaves_the_cloud_as_it_is(rng):
    components = decompose(rng.normal(size=(300, 8)) @ rng.normal(size=(8, 200)) + 0.1 * rng.normal(size=(300, 200)))
    both = planted(components, 2.0, rng)
    assert both.shape == (300, 10) and (both[:, :8] == components.denoised).all()
    share = (both[:, 8:] ** 2).sum() / (components.scores**2).sum()
    assert share == pytest.approx(4, rel=0.02)


def test_a_sheet_is_seen_in_noise_of_many_directions_and_not_in_a_solid(rng):
    def least(points):
        return least_visible_sheet(decompose(points), seed=0)

    assert least(rng.normal(size=(400, 400))) <= 1
    assert least(rng.normal(size=(400, 10))) == 1
    assert not least(rng.uniform(size=(400, 3))) <= 1
    assert least(np.ones((400, 10))) == 0.5


@pytest.mark.parametrize("mixture", ["", *MIXTURES])
@pytest.mark.parametrize("kind", ["ordered flat sheet", "ordered curved sheet", "ordered torus"])
def test_an_ordered_manifold_with_its_labels_permuted_is_in_disorder(kind, mixture):
    one = cloud(kind, 0.05, "whole", 1, mixture)
    table = one.measured()
    control = untrained(one).measured()
    assert latent_phase(table, control)[0] == "C"
    swapped = table.assign(label=table.label.replace({"requested": "shuffled", "shuffled": "requested"}))
    assert latent_phase(swapped, control)[0] == "B"


@pytest.mark.parametrize("mixture", MIXTURES)
def test_noise_and_strays_make_no_sheet_of_a_solid_or_a_circle(mixture):
    for kind in ("solid ball", "circle"):
        one = cloud(kind, 0.1, "whole", 2, mixture)
        found = dict(sheet_numbers(decompose(one.vectors), seed=0))
        assert not is_sheet(found["breadth"], found["thickness"], found["gaussian_p"]), kind


def test_averages_are_of_groups_with_several_points():
    points = np.array([[0.0, 0.0], [2.0, 4.0], [5.0, 5.0], [1.0, 1.0], [3.0, 1.0]])
    np.testing.assert_array_equal(averaged(points, np.array([7, 7, 3, 9, 9])), [[1, 2], [2, 1]])

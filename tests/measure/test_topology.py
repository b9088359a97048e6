"""Persistent homology of shapes whose Betti numbers are known, against gudhi's own where the two overlap."""

import numpy as np
import pandas as pd
import pytest
from gudhi import RipsComplex
from sklearn.metrics import euclidean_distances

from bumpscope.config.lattice import Lattice
from bumpscope.measure.betti import betti_numbers, expected_betti
from bumpscope.measure.topology import persistence, smoothed
from bumpscope.worlds.bumps import render
from bumpscope.worlds.factor import Factor
from synthetic_clouds import HARDER, KINDS, cloud


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def in_noise(points, rng, width=200, noise=0.005):
    axes = np.linalg.qr(rng.normal(size=(width, points.shape[1])))[0]
    return points @ axes.T + noise * rng.normal(size=(len(points), width))


def on_sphere(n, rng):
    points = rng.normal(size=(n, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.mark.parametrize("kind", [kind for kind, (*_, betti) in KINDS.items() if betti is not None])
def test_sheets_tori_and_circles_have_their_betti_numbers(kind):
    one = cloud(kind, 0.05, "coordinate", seed=0)
    assert betti_numbers(persistence(one.vectors, seed=0)) == one.betti


@pytest.mark.parametrize("kind", [kind for kind in HARDER if "torus" in kind])
def test_a_torus_is_seen_where_far_positions_are_equally_far_apart(kind):
    one = cloud(kind, 0.05, "coordinate", seed=2)
    assert betti_numbers(persistence(one.vectors, seed=0)) == one.betti


def test_holes_between_few_images_are_no_loops_of_a_torus(rng):
    # 256 positions at random leave holes nearly as wide as a bar must be long; the torus' own loops are clearly longer.
    angle = 2 * np.pi * rng.uniform(size=(256, 2))
    points = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    bars = persistence(in_noise(points, rng), seed=0)
    lengths = (bars.death - bars.birth)[bars.dimension == 1].sort_values(ascending=False).to_numpy()
    assert betti_numbers(bars) == (1, 2, 1)
    assert lengths[1] > 1.5 * lengths[2] > 1.5 * 0.2


def test_unequal_loops_both_count(rng):
    angle = 2 * np.pi * rng.uniform(size=(1000, 2))
    points = np.concatenate([np.cos(angle), np.sin(angle)], axis=1) * [1, 0.6, 1, 0.6]
    assert betti_numbers(persistence(in_noise(points, rng), seed=0)) == (1, 2, 1)


@pytest.mark.parametrize("length", [1.0, 4.0])
def test_a_cylinder_has_one_loop_however_long_it_is(rng, length):
    u = rng.uniform(size=(400, 2))
    angle = 2 * np.pi * u[:, 0]
    points = np.stack([np.cos(angle), np.sin(angle), length * u[:, 1]], axis=1)
    assert betti_numbers(persistence(in_noise(points, rng, noise=0.03), seed=0)) == (1, 1, 0)


def test_images_of_bars_at_x_in_every_direction_lie_on_a_cylinder(rng):
    u = rng.uniform(size=(400, 2))
    x, turned = 8 * u[:, :1, None] - 4, np.pi * u[:, 1:, None]  # a bar is the same after half a turn
    pixels = np.arange(16) - 7.5
    j, i = pixels - x, pixels[:, None]
    along, across = j * np.cos(turned) + i * np.sin(turned), i * np.cos(turned) - j * np.sin(turned)
    images = np.exp(-(along**2) / (2 * 3.5**2) - across**2 / (2 * 1.5**2)).reshape(len(u), -1)
    orientation = Factor("turned", "rad", np.linspace(0, np.pi, 12, endpoint=False), np.full(12, 1 / 12), np.pi)
    place = Factor("x", "px", np.linspace(-4, 4, 12), np.full(12, 1 / 12))
    bars = persistence(images + 0.02 * rng.normal(size=images.shape), seed=0)
    assert betti_numbers(bars) == expected_betti([place, orientation]) == (1, 1, 0)


def test_smoothing_keeps_places_on_a_flat_sheet_and_takes_noise_beside_it(rng):
    flat = np.pad(rng.uniform(-1, 1, size=(400, 2)), [(0, 0), (0, 4)])
    np.testing.assert_allclose(smoothed(flat), flat, atol=1e-12)
    beside = flat + np.pad(0.1 * rng.normal(size=(400, 4)), [(0, 0), (2, 0)])
    found = smoothed(beside)
    assert np.sqrt((found[:, 2:] ** 2).mean()) < 0.05
    assert np.sqrt(((found - flat)[:, :2] ** 2).mean()) < 0.05
    # Also where several images coincide, each is moved as itself.
    np.testing.assert_allclose(smoothed(np.repeat(flat, 3, axis=0)), np.repeat(flat, 3, axis=0), atol=1e-12)


def test_smoothing_turns_with_the_points_and_leaves_the_plane_and_a_handful_alone(rng):
    points = on_sphere(200, rng)
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    np.testing.assert_allclose(smoothed(points @ axes + 5), smoothed(points) @ axes + 5, atol=1e-8)
    for alone in (rng.normal(size=(300, 2)), rng.normal(size=(20, 6))):
        np.testing.assert_array_equal(smoothed(alone), alone)


@pytest.mark.parametrize("kind", ["full-dimensional random", "ten-dimensional random"])
def test_random_clouds_are_of_one_piece_without_holes(kind):
    for seed in range(4):
        assert betti_numbers(persistence(cloud(kind, 0.1, "whole", seed).vectors, seed)) == (1, 0, 0)


def test_a_sphere_has_a_void(rng):
    assert betti_numbers(persistence(in_noise(on_sphere(400, rng), rng), seed=0)) == (1, 0, 1)


def test_pieces_are_counted_but_odd_points_are_not(rng):
    centres = np.array([[0.0, 0, 0], [4, 0, 0], [0, 4, 0]])
    points = centres[np.arange(300) % 3] + rng.uniform(-0.5, 0.5, size=(300, 3))
    assert betti_numbers(persistence(in_noise(points, rng), seed=0))[0] == 3
    odd = rng.uniform(-1, 1, size=(300, 2))
    odd[:3] = [[8, 0], [0, 8], [-8, 0]]
    assert betti_numbers(persistence(in_noise(odd, rng), seed=0)) == (1, 0, 0)


@pytest.mark.parametrize(("boundary", "betti"), [("torus", (1, 2, 1)), ("plane", (1, 0, 0))])
def test_bump_images_have_the_topology_of_their_positions(rng, boundary, betti):
    lattice = Lattice(image_size=16, sigma=2.0, dx=1.0, dy=1.0, boundary=boundary)
    low = lattice.free_margin - 0.5
    mu_x, mu_y = rng.uniform(low, 15 - low, size=(2, 700))
    images = render(mu_x, mu_y, lattice).reshape(700, -1)
    bars = persistence(images + 0.02 * rng.normal(size=images.shape), seed=0)
    assert betti_numbers(bars) == betti


def test_bars_are_those_of_the_full_filtration(rng):
    # Few enough points that all are landmarks, and hardly any noise to take off: gudhi's plain pipeline is the oracle.
    points = on_sphere(60, rng) * [1, 1, 0.9]
    bars = persistence(in_noise(points, rng, noise=1e-9), seed=0)
    distance = euclidean_distances(smoothed(points))
    distance /= np.median(distance[np.triu_indices(60, k=1)])
    tree = RipsComplex(distance_matrix=distance).create_simplex_tree(max_dimension=3)
    tree.compute_persistence()
    for dimension in range(3):
        expected = tree.persistence_intervals_in_dimension(dimension)
        expected = expected[expected[:, 1] - expected[:, 0] > 0.02]
        found = bars[bars.dimension == dimension][["birth", "death"]].to_numpy()
        assert len(found) == len(expected) > 0
        for column in (0, 1):
            assert np.allclose(np.sort(found[:, column]), np.sort(expected[:, column]), atol=1e-6)


@pytest.mark.slow
def test_bars_do_not_depend_on_scale_and_repeat_with_the_seed(rng):
    vectors = cloud("ordered torus", 0.05, "whole", seed=1).vectors
    bars = persistence(vectors, seed=3)
    pd.testing.assert_frame_equal(bars, persistence(vectors, seed=3))
    pd.testing.assert_frame_equal(bars, persistence(1024 * vectors, seed=3), rtol=1e-6)


@pytest.mark.parametrize(
    "vectors",
    [
        np.ones((40, 10)),
        np.full((40, 10), np.nan),
        np.random.default_rng(0).normal(size=(400, 400)),
        np.random.default_rng(0).normal(size=(2, 10)),
    ],
    ids=["constant", "not finite", "noise alone", "two points"],
)
def test_a_cloud_without_structure_is_a_point(vectors):
    bars = persistence(vectors, seed=0)
    assert bars.to_dict("list") == {"dimension": [0], "birth": [0.0], "death": [np.inf], "significant": [True]}


@pytest.mark.parametrize("n", [3, 4, 5, 16])
def test_few_points_are_no_error(n):
    bars = persistence(np.random.default_rng(1).normal(size=(n, 2)), seed=0)
    assert betti_numbers(bars)[0] == 1
    assert (bars.death > bars.birth).all()

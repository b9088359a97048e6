"""Persistent homology of shapes whose Betti numbers are known, against gudhi's own where the two overlap."""

import numpy as np
import pandas as pd
import pytest
from gudhi import RipsComplex
from sklearn.metrics import euclidean_distances

from bumpscope.bumps import render
from bumpscope.settings import Lattice
from bumpscope.topology import betti_numbers, persistence
from synthetic_clouds import KINDS, cloud


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
    distance = euclidean_distances(points)
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

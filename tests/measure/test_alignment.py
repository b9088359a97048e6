"""Aligned pictures: nothing turns or flips from checkpoint to checkpoint, and no distance changes."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import ortho_group

from bumpscope.measure.alignment import align


def cloud(n=40, k=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, k)) * [3.0, 2.0, 1.0]


def centred(points):
    return points - points.mean(axis=0)


@pytest.mark.parametrize("seed", range(5))
def test_turned_and_mirrored_copies_of_a_cloud_come_to_lie_on_it(seed):
    last = cloud()
    turned = ortho_group.rvs(3, size=3, random_state=seed)  # turns and reflections alike
    aligned = align({100: last @ turned[0] + 5.0, 200: last @ turned[1], 300: last @ turned[2], 400: last})
    for step in (100, 200, 300, 400):
        np.testing.assert_allclose(aligned[step], centred(last), atol=1e-9)


def test_the_signs_that_pca_leaves_open_are_undone():
    last = cloud()
    for signs in ([-1, 1, 1], [1, -1, -1], [-1, -1, -1]):
        np.testing.assert_allclose(align({0: last * signs, 1: last})[0], centred(last), atol=1e-9)


def test_distances_within_a_cloud_stay_as_they_are():
    clouds = {step: cloud(seed=step) * (1 + step) for step in range(4)}
    aligned = align(clouds)
    assert sorted(aligned) == sorted(clouds)
    for step, points in clouds.items():
        np.testing.assert_allclose(pdist(aligned[step]), pdist(points), rtol=1e-9)
        np.testing.assert_allclose(aligned[step].mean(axis=0), 0, atol=1e-12)


def test_the_last_checkpoint_sets_the_basis_whatever_the_order_they_come_in():
    clouds = {step: cloud(seed=step) for step in (5, 1, 9, 3)}
    aligned = align(clouds)
    np.testing.assert_allclose(aligned[9], centred(clouds[9]))
    for step, points in align(dict(sorted(clouds.items()))).items():
        np.testing.assert_array_equal(aligned[step], points)


def test_each_cloud_is_turned_onto_its_successor_as_closely_as_turning_can():
    clouds = {0: cloud(seed=1), 1: cloud(seed=2)}
    aligned = align(clouds)
    best = ((aligned[0] - aligned[1]) ** 2).sum()
    for turn in ortho_group.rvs(3, size=200, random_state=0):
        assert ((centred(clouds[0]) @ turn - aligned[1]) ** 2).sum() >= best


def test_a_slow_change_stays_slow():
    # Points drift a little between checkpoints, each seen from another side.
    rng, truth, seen = np.random.default_rng(0), cloud(n=60), {}
    for step in range(10):
        seen[step] = truth @ ortho_group.rvs(3, random_state=step)
        truth = truth + rng.normal(scale=0.02, size=truth.shape)
    aligned = align(seen)
    for step in range(9):
        assert abs(aligned[step + 1] - aligned[step]).max() < 0.3


def test_one_checkpoint_is_only_centred():
    np.testing.assert_allclose(align({7: cloud()})[7], centred(cloud()))

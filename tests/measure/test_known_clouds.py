"""The clouds and bumps that instruments are judged by are what they claim to be."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

import fresh_clouds
from bumpscope.config.lattice import Lattice
from bumpscope.measure.components import decompose
from bumpscope.worlds.bumps import render
from bumpscope.worlds.requests import requested_centres
from clouds import expected_participation_ratio
from drawn_bumps import bound, drawn, random_bumps
from fresh_clouds import KINDS, NOISES, Noise, blocks, cloud, strips, untrained
from known_values import ACCEPTED, expected_scores, known_values

NONE = NOISES[0]
SHEETS = fresh_clouds.FLAT | fresh_clouds.CURVED | fresh_clouds.PLACE
EVERY_MANIFOLD = SHEETS | fresh_clouds.TORUS


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_drawn_bumps_are_those_of_the_dataset(rng):
    for lattice in (Lattice(), Lattice(sigma=1.5, boundary="torus")):
        x, y = rng.uniform(2, 13, size=(2, 5))
        images = [drawn([(a, b, 1.0, lattice.sigma)], lattice) for a, b in zip(x, y, strict=True)]
        # On a torus the dataset takes the shorter way round alone, which misses the far copies' faint tails.
        np.testing.assert_allclose(images, render(x, y, lattice), atol=1e-12 if lattice.boundary == "plane" else 1e-5)


def test_the_bound_is_that_of_a_whole_gaussian():
    # Fisher information of x, on a fine grid of unit pixels: pi A^2 / (2 noise^2), and x, y and the rest are apart.
    found = bound(np.array([8.0, 8.0, 0.7, 1.2]), Lattice(), noise=0.02)
    assert found == pytest.approx(2 / np.sqrt(np.pi) * 0.02 / 0.7, rel=1e-3)


def test_random_bumps_keep_apart(rng):
    lattice = Lattice(boundary="torus")
    for _ in range(20):
        x, y, amplitude, width = random_bumps(rng, 3, lattice, (0.3, 0.6)).T
        across, along = (np.minimum(d % 16, -d % 16) for d in (np.subtract.outer(x, x), np.subtract.outer(y, y)))
        assert np.hypot(across, along)[np.triu_indices(3, 1)].min() >= 4
        assert ((amplitude >= 0.3) & (amplitude <= 0.6) & (width >= 0.8) & (width <= 1.3)).all()


@pytest.mark.parametrize("shape", EVERY_MANIFOLD)
@pytest.mark.parametrize("seed", range(5))
def test_every_sheet_and_torus_is_two_dimensional_and_nowhere_meets_itself(shape, seed):
    make = EVERY_MANIFOLD[shape]
    grid = np.stack(np.meshgrid(np.arange(14), np.arange(14)), axis=-1).reshape(-1, 2) / 14 + 1 / 28

    def at(u):
        return make(u, np.random.default_rng(seed))

    step = 1e-5
    tangents = np.stack([(at(grid + step * e) - at(grid - step * e)) / (2 * step) for e in np.eye(2)])
    lengths = np.linalg.svd(tangents.transpose(1, 0, 2), compute_uv=False)
    assert lengths[:, 1].min() > 0.05 * lengths[:, 0].max()
    # Positions further apart than two steps of the grid are apart in the cloud as well.
    gaps = np.abs(grid[:, None] - grid)
    if shape in fresh_clouds.TORUS:
        gaps = np.minimum(gaps, 1 - gaps)
        np.testing.assert_allclose(at(grid), at(grid + np.array([1, 0])), atol=1e-9)
    far = np.linalg.norm(gaps, axis=2) > 2.5 / 14
    distance = squareform(pdist(at(grid)))
    assert distance[far].min() > 0.05 * np.median(distance)


@pytest.mark.parametrize("kind", KINDS)
def test_every_cloud_is_asked_for_what_a_probe_asks_for(kind):
    known = KINDS[kind]
    lattice = fresh_clouds.LATTICES[known.boundary]
    for samples in fresh_clouds.SAMPLES:
        one, centres = cloud(kind, NONE, samples, seed=0), requested_centres(lattice, samples)
        assert one.vectors.shape[0] == samples
        np.testing.assert_array_equal([one.mu_x, one.mu_y], centres[["mu_x", "mu_y"]].to_numpy().T)
        assert (one.seen == (centres.split == "seen")).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_a_cloud_is_the_one_it_claims(kind):
    one = cloud(kind, NONE, 512, seed=1)
    requested, realised = np.stack([one.mu_x, one.mu_y], axis=1), np.stack([one.x, one.y], axis=1)
    correlation = [abs(np.corrcoef(a, b)[0, 1]) for a, b in zip(requested.T, realised.T, strict=True)]
    assert (one.order == "ordered") == (one.phase == "C")
    if one.order == "ordered":
        np.testing.assert_allclose(realised, requested, atol=1e-9)
        return
    assert max(correlation) < 0.4
    if one.order == "permuted":
        assert {tuple(c) for c in requested.round(6)} == {tuple(c) for c in realised.round(6)}
        # Images of one centre stay together.
        pairs = {tuple(pair) for pair in np.concatenate([requested, realised], axis=1).round(6)}
        assert len(pairs) == len(np.unique(requested.round(6), axis=0))


@pytest.mark.parametrize("scramble", [strips, blocks])
@pytest.mark.parametrize("seed", range(6))
def test_scrambling_keeps_parts_whole_and_fills_the_square(scramble, seed, rng):
    u = rng.uniform(size=(4000, 2))
    moved = scramble(u, np.random.default_rng(seed))
    assert ((moved >= 0) & (moved <= 1)).all()
    filled, _, _ = np.histogram2d(*moved.T, bins=4, range=[(0, 1), (0, 1)])
    assert filled.min() > 180
    # Neighbours stay as far apart as they were, but for those on both sides of a cut.
    near = np.linalg.norm(u[:, None] - u[None, :400], axis=2)
    near[:400][np.eye(400, dtype=bool)] = np.inf
    neighbour = near.argmin(axis=0)
    before = near.min(axis=0)
    after = np.linalg.norm(moved[neighbour] - moved[:400], axis=1)
    assert np.isclose(before, after).mean() > 0.85
    assert np.median(np.linalg.norm(moved - u, axis=1)) > 0.2


def test_random_clouds_fill_the_dimensions_they_claim():
    ten = cloud("random, ten-dimensional", NONE, 256, seed=0).vectors.astype(np.float64)
    singular = np.linalg.svd(ten - ten.mean(axis=0), compute_uv=False)
    assert singular[9] > 0.5 * singular[0] and singular[10] < 1e-4 * singular[0]
    for kind in ("random, full-dimensional", "random, power-law spectrum", "untrained network"):
        full = cloud(kind, NONE, 256, seed=0).vectors.astype(np.float64)
        singular = np.linalg.svd(full - full.mean(axis=0), compute_uv=False)
        assert singular[100] > 0.03 * singular[0]


@pytest.mark.parametrize("noise", NOISES[1:], ids=str)
def test_noise_has_the_size_it_claims(noise, rng):
    drawn_noise = noise.drawn((400, 500), 3.0, rng)
    length = np.sqrt((drawn_noise**2).sum(axis=1).mean())
    wanted = noise.share * 3.0 * (1 if noise.spread == "in all" else np.sqrt(500))
    assert length == pytest.approx(wanted, rel=0.02)
    kurtosis = (drawn_noise**4).mean() / (drawn_noise**2).mean() ** 2
    assert {"uniform": 1.7 < kurtosis < 1.9, "Gaussian": 2.9 < kurtosis < 3.1, "Student t": kurtosis > 4}[
        noise.distribution
    ]


def test_the_expected_participation_ratio_is_that_of_many_draws(rng):
    signal, noise, n, d = np.array([4.0, 1.0]), 0.03, 200, 300
    found = []
    for _ in range(20):
        points = rng.normal(size=(n, 2))
        points -= points.mean(axis=0)
        white = points @ np.linalg.inv(np.linalg.cholesky(np.cov(points.T, bias=True))).T * np.sqrt(signal)
        vectors = np.pad(white, [(0, 0), (0, d - 2)]) + np.sqrt(noise) * rng.normal(size=(n, d))
        variance = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False) ** 2
        found.append(variance.sum() ** 2 / (variance**2).sum())
    assert np.mean(found) == pytest.approx(expected_participation_ratio(signal, noise, n, d), rel=0.03)


def test_known_values_follow_from_the_order():
    ordered = known_values(cloud("ordered flat sheet", NONE, 256, 0))
    assert ordered["trustworthiness"] == ordered["knn_r2"] == 1
    assert ordered["r2"] == pytest.approx(1) and 0.5 < ordered["knn_overlap"] <= 1
    assert ordered["dimension_mle"] == 2 and ordered["rank"] == 2
    scrambled = known_values(cloud("scrambled blocks", NONE, 256, 0))
    assert not {"r2", "trustworthiness", "knn_overlap", "knn_r2"} & set(scrambled)
    unrelated = known_values(cloud("random, ten-dimensional", NONE, 256, 0))
    assert unrelated["trustworthiness"] == 0.5 and unrelated["knn_r2"] == -1 / 8 and unrelated["rank"] == 10
    assert unrelated["r2"] == pytest.approx(-10 / (0.8 * 256 - 12))
    permuted = known_values(cloud("shuffled flat sheet", NONE, 512, 0))
    # 384 images at 144 centres and 128 elsewhere: 96 centres have three and 48 have two.
    together = (96 * 3 * 2 + 48 * 2 * 1) / 512 / 8
    assert permuted["trustworthiness"] == pytest.approx(0.5 + 0.5 * together)


def test_neighbours_by_label_are_all_found_on_a_square_without_noise():
    one = cloud("ordered flat sheet", NONE, 512, 0)
    square = np.stack([one.mu_x, one.mu_y], axis=1)
    known = known_values(dataclasses.replace(one, points=square, noise=0.0))
    assert known["knn_overlap"] == 1 and known["r2"] == pytest.approx(1)


@pytest.mark.parametrize("spread", ["in all", "a coordinate"])
@pytest.mark.parametrize("kind", ["ordered curved sheet", "ordered torus"])
def test_expected_scores_are_as_spread_and_as_noisy_as_those_of_a_cloud(kind, spread, rng):
    one = cloud(kind, Noise(0.1, spread, "Gaussian"), 512, seed=2)
    scores, found = expected_scores(one, rng), decompose(one.vectors).denoised
    # Components on the brink of the threshold are seen or not by chance.
    assert scores.shape[1] == pytest.approx(found.shape[1], rel=0.15)
    shared = min(scores.shape[1], found.shape[1])
    expected, spreads = (np.sort(x.std(axis=0))[::-1][:shared] for x in (scores, found))
    np.testing.assert_allclose(expected / expected[0], spreads / spreads[0], rtol=0.15)
    clean = one.points - one.points.mean(axis=0)
    shares = []
    for seen in (scores, found):
        rest = clean - seen @ np.linalg.lstsq(seen, clean, rcond=None)[0]
        shares.append((rest**2).sum() / (clean**2).sum())
    np.testing.assert_allclose(*shares, rtol=0.3, atol=0.01)


def test_regressors_without_a_meaning_predict_as_badly_as_they_should(rng):
    one = cloud("random, ten-dimensional", NONE, 256, 0)
    found = []
    for seed in range(20):
        vectors = np.pad(rng.normal(size=(256, 10)), [(0, 0), (0, 5)])
        table = dataclasses.replace(one, vectors=vectors).measured(seed)
        found.append(table.value[(table.metric == "r2") & (table.label == "requested")].iloc[0])
    assert np.mean(found) == pytest.approx(known_values(one)["r2"], abs=0.02)


def test_accepted_errors_are_shares_or_absolute():
    assert ACCEPTED["dimension_mle"].of(2.0) == pytest.approx(0.4)
    assert ACCEPTED["dimension_mle"].of(10.0) == pytest.approx(3.5)
    assert ACCEPTED["r2"].of(1.0) == ACCEPTED["r2"].of(0.0) == 0.1


def test_the_untrained_control_knows_nothing_of_the_requests():
    like = cloud("ordered torus", NONE, 256, 0)
    control = untrained(like)
    np.testing.assert_array_equal(control.mu_x, like.mu_x)
    table = control.measured()
    requested = table[(table.label == "requested") & (table.space == "raw")].set_index("metric").value
    assert requested["r2"] < 0.1 and abs(requested["trustworthiness"] - 0.5) < 0.05


def test_a_cloud_repeats_and_another_seed_is_another_cloud():
    noise = Noise(0.1, "a coordinate", "Student t")
    first, again, other = (cloud("ordered curved sheet", noise, 256, seed).vectors for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or not np.allclose(first, other)

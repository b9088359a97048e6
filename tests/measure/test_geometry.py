"""Geometry against closed forms, scikit-learn and clouds that are known by construction."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from sklearn.metrics import euclidean_distances

from bumpscope.measure.components import decompose, embed
from bumpscope.measure.dimension import gaussian_p
from bumpscope.measure.geometry import Centres, measure
from clouds import Cloud, axes
from synthetic_clouds import cloud


def numbers(table, space="raw", label="requested"):
    """The numbers of one space and label, by metric."""
    of_label = table.label.isna() if label is None else table.label == label
    return table[(table.space == space) & of_label].set_index("metric").value


def measured(vectors, mu_x, mu_y, x=None, y=None, boundary="plane"):
    """The geometry of a cloud with every centre on a lattice."""
    requested = np.stack([mu_x, mu_y])
    realised = requested if x is None else np.stack([x, y])
    centres = Centres(requested, realised, np.ones(len(vectors), bool), axes(boundary, 16))
    return measure(decompose(vectors), centres, seed=0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def lattice():
    """Two images at each centre of a 12 x 12 lattice."""
    grid = np.stack(np.meshgrid(np.arange(12.0) + 2, np.arange(12.0) + 2), axis=-1).reshape(-1, 2)
    return np.tile(grid, (2, 1)).T


@pytest.mark.parametrize("shape", [(60, 300), (300, 60), (80, 80)])
def test_components_are_those_of_pca_and_keep_every_distance(rng, shape):
    vectors = rng.normal(size=shape) * np.linspace(3, 1, shape[1]) + 5
    scores = decompose(vectors).scores
    assert scores.shape == (shape[0], min(shape[0] - 1, shape[1]))
    assert np.allclose(euclidean_distances(scores), euclidean_distances(vectors), atol=1e-5)
    reference = PCA().fit_transform(vectors)[:, : scores.shape[1]]
    assert np.allclose(np.abs(scores), np.abs(reference), atol=1e-6)


@pytest.mark.parametrize("shape", [(512, 512), (400, 1500), (900, 250)])
def test_pure_noise_has_no_component_above_noise(rng, shape):
    assert [decompose(rng.normal(size=shape)).rank for _ in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("rank", [1, 4, 20])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_the_rank_of_a_signal_in_noise_is_found_at_any_scale(rng, rank, scale):
    signal = rng.normal(size=(300, rank)) @ np.linalg.qr(rng.normal(size=(700, rank)))[0].T
    found = decompose(scale * (signal + 0.02 * rng.normal(size=signal.shape)))
    assert found.rank == rank
    assert found.denoised.shape == (300, rank)


def test_denoising_brings_distances_closer_to_the_truth(rng):
    signal = rng.uniform(-1, 1, size=(300, 2))
    noisy = np.pad(signal, [(0, 0), (0, 998)]) + 0.1 * rng.normal(size=(300, 1000))
    truth = euclidean_distances(signal)
    raw, denoised = (np.abs(euclidean_distances(v) - truth).mean() for v in (noisy, decompose(noisy).denoised))
    assert denoised < 0.15 * truth.mean() < raw


def test_the_spectrum_is_that_of_the_covariance(rng, lattice):
    deviations = np.array([4.0, 2.0, 1.0])
    vectors = np.linalg.qr(rng.normal(size=(288, 3)))[0]
    vectors = np.pad((vectors - vectors.mean(axis=0)) * deviations, [(0, 0), (0, 47)])
    shares = np.linalg.eigvalsh(np.cov(vectors.T))[::-1][:3]
    found = numbers(measured(vectors, *lattice), label=None)
    assert np.allclose([found[f"explained_variance_{k}"] for k in (1, 2, 3)], shares / shares.sum())
    assert abs(found["explained_variance_4"]) < 1e-12
    assert np.isclose(found["participation_ratio"], shares.sum() ** 2 / (shares**2).sum())
    assert found["rank"] == 3


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_gaussian_clouds_have_even_p_values_and_others_small_ones(rng, dimension):
    def p(points):
        # Turned, stretched and moved, which changes nothing.
        vectors = points @ rng.normal(size=(dimension, dimension)) + 3
        return gaussian_p(decompose(vectors).scores)

    gaussian = [p(rng.normal(size=(256, dimension))) for _ in range(300)]
    assert kstest(gaussian, "uniform").pvalue > 1e-3
    assert 0 <= np.mean(np.array(gaussian) < 0.01) < 0.03
    assert max(p(rng.uniform(size=(256, dimension))) for _ in range(20)) < 0.01
    assert np.median([p(rng.standard_t(3, size=(256, dimension))) for _ in range(20)]) < 0.01


def test_a_test_for_gaussian_clouds_needs_components_above_noise(rng, lattice):
    plain = numbers(measured(rng.normal(size=(288, 400)), *lattice), label=None)
    assert plain["rank"] == 0 and np.isnan(plain["gaussian_p"])


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_intrinsic_dimension_of_a_uniform_cloud_is_that_of_its_space(rng, lattice, dimension):
    flat = rng.uniform(size=(288, dimension))
    bent = np.concatenate([flat, 0.3 * np.sin(3 * flat)], axis=1) @ rng.normal(size=(2 * dimension, 300))
    found = numbers(measured(bent, *lattice), label=None)
    # Boundaries bias both downwards, the more so in many dimensions.
    assert 0.75 * dimension < found["dimension_mle"] < 1.2 * dimension
    assert 0.75 * dimension < found["dimension_twonn"] < 1.25 * dimension
    assert 0.75 * dimension < found["dimension_mada"] < 1.25 * dimension


def test_denoising_recovers_the_dimension_that_noise_hides(rng, lattice):
    flat = rng.uniform(-1, 1, size=(288, 2)) @ np.linalg.qr(rng.normal(size=(900, 2)))[0].T
    found = numbers(measured(flat + 0.05 * rng.normal(size=flat.shape), *lattice), label=None)
    assert found["dimension_mle"] > 20
    assert 1.6 < found["dimension_mle_denoised"] < 2.3
    assert 1.6 < found["dimension_twonn_denoised"] < 2.4
    assert 1.6 < found["dimension_mada_denoised"] < 2.4


def test_images_of_one_centre_that_nearly_coincide_mislead_the_nearest_neighbours_but_not_further_ones(rng):
    flat = np.repeat(rng.uniform(-1, 1, size=(96, 2)), 4, axis=0)
    vectors = (flat + 1e-3 * rng.normal(size=flat.shape)) @ rng.normal(size=(2, 300))
    lattice = flat[:, 0], flat[:, 1]
    found = numbers(measured(vectors, *lattice), label=None)
    assert found["dimension_mle"] < 1.2
    assert 1.7 < found["dimension_mada"] < 2.2


def test_trustworthiness_is_that_of_scikit_learn_where_no_labels_tie(rng):
    label = rng.uniform(2, 13, size=(200, 2))
    vectors = label @ rng.normal(size=(2, 30)) + 10 * rng.normal(size=(200, 30))
    expected = trustworthiness(label, vectors, n_neighbors=8)
    assert 0.55 < expected < 0.95
    assert np.isclose(numbers(measured(vectors, *label.T))["trustworthiness"], expected)


def test_knn_overlap_is_the_share_of_common_neighbours(rng):
    label = rng.uniform(2, 13, size=(120, 2))
    vectors = label @ rng.normal(size=(2, 30)) + 3 * rng.normal(size=(120, 30))
    by_label, by_vector = (np.argsort(euclidean_distances(p), axis=1)[:, 1:9] for p in (label, vectors))
    common = [len(set(a) & set(b)) / 8 for a, b in zip(by_label, by_vector, strict=True)]
    assert np.isclose(numbers(measured(vectors, *label.T))["knn_overlap"], np.mean(common))


def test_a_linear_code_is_decoded_whole_and_shuffled_labels_are_not(rng, lattice):
    vectors = np.stack(lattice, axis=1) @ rng.normal(size=(2, 300)) + 0.1 * rng.normal(size=(288, 300))
    table = measured(vectors, *lattice)
    for space in ("raw", "pca3"):
        assert (numbers(table, space)[["r2", "r2_x", "r2_y", "knn_r2", "trustworthiness"]] > 0.95).all()
        assert (numbers(table, space, "shuffled")[["r2", "r2_x", "r2_y", "knn_r2"]] < 0.1).all()
    assert set(table.space) == {"raw", "pca3"}


def test_one_coordinate_can_be_decoded_without_the_other(rng, lattice):
    mu_x, mu_y = lattice
    vectors = mu_y[:, None] * rng.normal(size=(1, 100)) + rng.normal(size=(288, 100))
    found = numbers(measured(vectors, mu_x, mu_y))
    assert found["r2_y"] > 0.9
    assert found["r2_x"] < 0.1
    assert np.isclose(found["r2"], (found["r2_x"] + found["r2_y"]) / 2)


def test_a_lookup_table_of_centres_is_no_code_for_position(rng):
    # Six images a centre would tell each other's label, were they not kept in one fold.
    grid = np.tile(np.stack(np.meshgrid(np.arange(7.0), np.arange(7.0)), axis=-1).reshape(-1, 2), (6, 1))
    codes = rng.normal(size=(49, 200))[np.tile(np.arange(49), 6)] + 0.01 * rng.normal(size=(294, 200))
    found = numbers(measured(codes, *grid.T))
    assert found[["r2", "knn_r2"]].max() < 0.1


def test_a_torus_is_judged_by_angles_and_by_the_shorter_way_round(rng):
    mu = np.tile(np.stack(np.meshgrid(np.arange(16.0), np.arange(16.0)), axis=-1).reshape(-1, 2), (2, 1))
    angle = 2 * np.pi * mu / 16
    code = np.concatenate([np.cos(angle), np.sin(angle)], axis=1) @ rng.normal(size=(4, 50))
    code += 0.01 * rng.normal(size=code.shape)
    torus, plane = (numbers(measured(code, *mu.T, boundary=boundary)) for boundary in ("torus", "plane"))
    for metric in ("r2", "knn_r2", "trustworthiness", "knn_overlap"):
        assert torus[metric] > 0.97
        assert torus[metric] > plane[metric] + 0.02


def test_images_without_a_bump_are_left_out_of_the_realised_label(rng, lattice):
    mu_x, mu_y = lattice
    x, y = rng.uniform(2, 13, size=(2, 288))
    vectors = np.stack([x, y], axis=1) @ rng.normal(size=(2, 100)) + 0.5 * rng.normal(size=(288, 100))
    lost = rng.uniform(size=288) < 0.3
    x, y = np.where(lost, np.nan, x), np.where(lost, np.nan, y)
    table = measured(vectors, mu_x, mu_y, x, y)
    assert numbers(table, label="realised")["r2"] > 0.9
    assert numbers(table, label="requested")["r2"] < 0.1
    kept = ~lost
    expected = trustworthiness(np.stack([x, y], axis=1)[kept], vectors[kept], n_neighbors=8)
    assert np.isclose(numbers(table, label="realised")["trustworthiness"], expected)
    nothing = measured(vectors, mu_x, mu_y, np.full(288, np.nan), np.full(288, np.nan))
    assert numbers(nothing, label="realised").isna().all()
    pd.testing.assert_series_equal(numbers(nothing), numbers(table))


def test_shuffling_deals_whole_centres(rng, lattice):
    # Images of a centre that lie together stay together under the shuffled label: two of eight neighbours are right.
    grid = np.tile(np.stack(lattice, axis=1)[:144], (3, 1))
    codes = rng.normal(size=(144, 100))[np.tile(np.arange(144), 3)] + 0.01 * rng.normal(size=(432, 100))
    overlap = numbers(measured(codes, *grid.T), label="shuffled")["knn_overlap"]
    assert 0.24 < overlap < 0.35


def test_the_same_seed_gives_the_same_numbers():
    one = cloud("ordered curved sheet", 0.1, "coordinate", seed=1)
    pd.testing.assert_frame_equal(one.measured(3), one.measured(3))


def clouds_without_an_answer():
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 8, size=(2, 100)).astype(float)
    noise = rng.normal(size=(100, 40)).astype(np.float32)
    nowhere = np.full(100, np.nan)
    broken = noise.copy()
    broken[3, 5] = np.nan
    return {
        "constant": (np.full((100, 40), 3.3, np.float32), *centres, *centres),
        "constant but for rounding": (np.float32(1e4) + noise * 1e-4, *centres, *centres),
        "not finite": (broken, *centres, *centres),
        "one centre": (noise, np.ones(100), np.ones(100), *centres),
        "one coordinate": (noise[:, :1], *centres, *centres),
        "no bumps": (noise, *centres, nowhere, nowhere),
        "all images alike at a centre": (np.repeat(noise[:10], 10, axis=0), *centres, *centres),
        "very few": (noise[:5], *centres[:, :5], *centres[:, :5]),
        "sixteen": (noise[:16], *centres[:, :16], *centres[:, :16]),
    }


@pytest.mark.parametrize("name", clouds_without_an_answer())
def test_what_is_undefined_is_empty_and_never_an_error(name):
    vectors, mu_x, mu_y, x, y = clouds_without_an_answer()[name]
    table = measured(vectors, mu_x, mu_y, x, y)
    regular = cloud("ordered flat sheet", 0.1, "whole", seed=0).measured()
    names = ["space", "label", "metric"]
    pd.testing.assert_frame_equal(table[names], regular[names])
    assert not np.isinf(table.value).any()
    if name in ("constant", "not finite", "very few"):
        assert table[table.label.notna()].value.isna().all()


def test_a_cloud_is_embedded_in_three_dimensions_and_the_same_way_each_time(lattice, rng):
    vectors = np.stack(lattice, axis=1) @ rng.normal(size=(2, 60)) + 0.05 * rng.normal(size=(288, 60))
    components = decompose(vectors)
    umap = embed(components, seed=5)
    assert umap.shape == (288, 3)
    assert trustworthiness(np.stack(lattice, axis=1), umap, n_neighbors=8) > 0.9
    assert np.array_equal(embed(components, seed=5), umap)
    few = embed(decompose(vectors[:16]), seed=5)
    assert few.shape == (16, 3)
    assert np.isfinite(few).all()


def test_a_cloud_without_spread_has_no_umap():
    for vectors, leading in ((np.ones((50, 20)), 0.0), (np.full((50, 20), np.inf), np.nan)):
        components = decompose(vectors)
        np.testing.assert_array_equal(components.leading, np.full((50, 3), leading))
        assert np.isnan(embed(components, seed=0)).all()


def test_synthetic_clouds_have_the_dimension_they_claim():
    for kind in ("unrelated curved sheet", "unrelated torus", "circle", "ten-dimensional random"):
        one: Cloud = cloud(kind, 0.05, "whole", seed=0)
        found = numbers(one.measured(), label=None)
        assert 0.8 * one.dimension < found["dimension_mle_denoised"] < 1.2 * one.dimension, kind
        # Looking further out it sees more of the boundary, which in ten dimensions is everywhere.
        least = 0.8 if one.dimension < 10 else 0.65
        assert least * one.dimension < found["dimension_mada_denoised"] < 1.2 * one.dimension, kind


@pytest.mark.slow
def test_what_umap_compiles_is_kept_for_the_next_process():
    code = (
        "import numpy; from bumpscope.measure.components import decompose, embed; from umap import umap_\n"
        "embed(decompose(numpy.random.default_rng(0).normal(size=(64, 8))), 0)\n"
        "print(sum(umap_.smooth_knn_dist.stats.cache_hits.values()))"
    )
    for _ in range(2):  # the first may still have to compile
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == 1

"""Label effects by frequency bin, of models whose use of the labels is known."""

import numpy as np
import pytest

from bumpscope.config.lattice import Holdout, Lattice, Skew
from bumpscope.probe.frequency import ALL, FEWEST_A_CELL, effects_by_bin, make_binned_probe
from bumpscope.worlds.bayes import bayes_estimates
from bumpscope.worlds.bumps import BINS, axis_positions, factors, frequency_bins, lattice_points, render, to_network

ALPHA_BAR, T = 0.13, 450
SKEWED = Lattice(margin=2.0, skew=Skew(axis="x", alpha=2.0))
BALANCED = Lattice(margin=2.0)


def obeys(lattice, x=True, y=True):
    """The Bayes denoiser that knows the labels named."""

    def model(x_t, labels):
        mu_x, mu_y = labels.T
        if x and y:
            return to_network(render(mu_x, mu_y, lattice)).reshape(len(x_t), -1)
        blind, knows_x, knows_y = bayes_estimates(x_t, mu_x, mu_y, ALPHA_BAR, lattice)
        return knows_x if x else knows_y if y else blind

    return model


def measured(model, lattice=SKEWED, n=576):
    binned = make_binned_probe(lattice, ALPHA_BAR, T, n, seed=3)
    return effects_by_bin(model, binned, lattice).set_index(["bin_x", "bin_y"])


def test_bins_are_thirds_of_the_ranks_and_the_rare_ones_are_drawn_least():
    points = lattice_points(SKEWED)
    x = axis_positions(16, 2.0, 1.0)
    share = np.array([points.probability[points.mu_x == value].sum() for value in x])
    bins = frequency_bins(x, factors(SKEWED)[0])
    assert [int((bins == name).sum()) for name in BINS] == [4, 4, 4]
    assert share[bins == "common"].min() > share[bins == "middle"].max()
    assert share[bins == "middle"].min() > share[bins == "rare"].max()


def test_a_balanced_lattice_is_read_at_the_places_that_would_be_rare():
    x = axis_positions(16, 2.0, 1.0)
    np.testing.assert_array_equal(frequency_bins(x, factors(BALANCED)[0]), frequency_bins(x, factors(SKEWED)[0]))
    with pytest.raises(ValueError, match="x: "):
        frequency_bins(x + 0.3, factors(BALANCED)[0])


def test_centres_fill_every_pair_of_bins_and_are_weighted_back_to_training():
    binned = make_binned_probe(SKEWED, ALPHA_BAR, T, 576, seed=0)
    for name_x in BINS:
        for name_y in BINS:
            inside = (binned.bins[:, 0] == name_x) & (binned.bins[:, 1] == name_y)
            assert inside.sum() == 64
    points = lattice_points(SKEWED)
    bins = frequency_bins(points.mu_x, factors(SKEWED)[0])
    for name in BINS:
        assert binned.weight[binned.bins[:, 0] == name].sum() == pytest.approx(points.probability[bins == name].sum())
    few = make_binned_probe(SKEWED, ALPHA_BAR, T, 32, seed=0)
    assert len(few.weight) == 9 * FEWEST_A_CELL


def test_a_model_that_knows_both_labels_uses_both_everywhere():
    table = measured(obeys(SKEWED))
    for column in ("effect_x", "effect_y", "use_x", "use_y"):
        np.testing.assert_allclose(table[column], 1, atol=1e-9)
    np.testing.assert_allclose(table["excess"], 0, atol=1e-12)


def test_a_blind_model_uses_no_label_and_the_control_tells_what_else_its_effects_are():
    """Its bins' effects are exactly 0 only because it is the very denoiser that effects are measured from."""
    table = measured(obeys(SKEWED, x=False, y=False))
    np.testing.assert_allclose(table[["use_x", "use_y", "effect_x", "effect_y"]], 0, atol=1e-9)
    blur = measured(lambda x_t, labels: 0.5 * obeys(SKEWED, False, False)(x_t, labels) - 0.5)
    np.testing.assert_allclose(blur[["use_x", "use_y"]], 0, atol=1e-9)
    rare = blur.loc[("rare", ALL)]
    assert abs(rare["effect_x"]) > 0.1
    assert rare["effect_x"] == pytest.approx(rare["effect_x_permuted"], abs=1e-9)


@pytest.mark.parametrize("axis", ["x", "y"])
def test_a_model_that_knows_one_label_uses_that_one_alone(axis):
    other = "y" if axis == "x" else "x"
    table = measured(obeys(SKEWED, x=axis == "x", y=axis == "y"))
    np.testing.assert_allclose(table[f"effect_{axis}"], 1, atol=1e-9)
    np.testing.assert_allclose(table[[f"effect_{other}", f"use_{other}"]], 0, atol=1e-9)
    assert (table[f"use_{axis}"] > 0.3).all()


def test_use_does_not_see_an_error_that_ignores_the_labels():
    """Whatever is added to all answers alike stands in both errors and cancels but for its product with the labels."""
    noise = np.random.default_rng(0).standard_normal(256)
    noise *= 20 / np.linalg.norm(noise)
    table = measured(lambda *given: obeys(SKEWED)(*given) + noise, n=2304)
    assert table.loc[(ALL, ALL), "excess"] > 5
    np.testing.assert_allclose(table.loc[("rare", ALL), ["use_x", "use_y"]].astype(float), 1, atol=0.15)


def test_a_model_that_has_learnt_common_positions_alone_is_told_from_one_that_knows_them_all():
    def common_only(x_t, labels):
        known = (frequency_bins(labels[:, 0], factors(SKEWED)[0]) == "common")[:, None]
        return np.where(known, obeys(SKEWED)(x_t, labels), obeys(SKEWED, x=False)(x_t, labels))

    table = measured(common_only)
    assert table.loc[("common", ALL), "effect_x"] == pytest.approx(1)
    assert table.loc[("rare", ALL), "effect_x"] == pytest.approx(0, abs=1e-9)
    assert table.loc[("rare", ALL), "use_x"] < 0.5 * table.loc[("common", ALL), "use_x"]
    # Rows that pool bins of different effects mix them.
    np.testing.assert_allclose(table.drop(index=ALL, level="bin_x")["effect_y"], 1, atol=1e-9)


def test_effects_of_an_ill_conditioned_fit_are_blank_and_the_use_of_labels_is_not():
    lattice = Lattice(margin=2.0, skew=Skew(axis="x", alpha=10.0))
    table = measured(obeys(lattice), lattice)
    common = table.loc[("common", ALL)]
    assert common[["effect_x", "effect_y", "effect_x_permuted", "effect_y_permuted"]].isna().all()
    assert common["use_x"] == pytest.approx(1) and common["use_y"] == pytest.approx(1)


def test_pairs_of_bins_that_training_never_draws_are_left_out():
    x = axis_positions(16, 2.0, 4.0)  # three positions, one a bin
    names = dict(zip(frequency_bins(x, factors(Lattice(margin=2.0, dx=4.0, dy=4.0))[0]), x, strict=True))
    rare, common = names["rare"], names["common"]
    y = axis_positions(16, 2.0, 4.0)
    lattice = Lattice(margin=2.0, dx=4.0, dy=4.0, holdout=Holdout(x=[rare, rare], y=[y[0], y[0]]))
    table = measured(obeys(lattice), lattice)
    hidden = frequency_bins(y[:1], factors(lattice)[1])[0]
    assert ("rare", hidden) not in table.index and ("common", hidden) in table.index
    assert common != rare

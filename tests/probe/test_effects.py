"""The label-effect probe against brute force and against models whose effects are known."""

import math
import tracemalloc

import numpy as np
import pytest

from bumpscope.config.lattice import Holdout, Lattice, Shown, Skew
from bumpscope.probe.effects import decompose, heldout_probe, make_probe, solvable
from bumpscope.worlds.bayes import bayes_estimates
from bumpscope.worlds.bumps import lattice_points, render, to_network
from measure_effects import bayes_denoisers

LATTICES = {
    "plane": Lattice(image_size=8, sigma=1.0, margin=1.0, dx=1.0, dy=1.0),
    "uneven": Lattice(image_size=8, sigma=1.0, margin=1.0, dx=0.5, dy=2.0),
    "torus": Lattice(image_size=8, sigma=1.0, dx=1.0, dy=0.5, boundary="torus"),
    "dark": Lattice(image_size=8, sigma=1.0, margin=1.0, dx=1.0, dy=1.0, polarity="dark"),
    "skewed": Lattice(image_size=8, sigma=1.0, margin=1.0, dx=1.0, dy=1.0, skew=Skew(axis="x", alpha=1.5)),
    "held out": Lattice(
        image_size=8, sigma=1.0, margin=1.0, dx=1.0, dy=1.0, holdout=Holdout(x=[2.0, 4.0], y=[1.0, 3.0])
    ),
}


@pytest.mark.parametrize("alpha_bar", [0.02, 0.4, 0.97])
@pytest.mark.parametrize("name", LATTICES)
def test_posterior_means_agree_with_brute_force(name, alpha_bar):
    lattice = LATTICES[name]
    probe = make_probe(lattice, alpha_bar, 300, 16, seed=1)
    references = bayes_denoisers(probe, alpha_bar, lattice)
    own = {"blind": probe.D0, "x only": probe.exact[0,], "y only": probe.exact[1,], "both": probe.x0.reshape(16, -1)}
    for name, reference in references.items():
        np.testing.assert_allclose(own[name], reference, rtol=0, atol=1e-12)


def test_estimates_do_not_depend_on_how_probes_are_chunked(monkeypatch):
    lattice = LATTICES["plane"]
    probe = make_probe(lattice, 0.3, 400, 20, seed=0)
    monkeypatch.setattr("bumpscope.worlds.bayes.CHUNK_WEIGHTS", 3 * 36)
    chunked = bayes_estimates(probe.x_t, probe.labels[:, 0], probe.labels[:, 1], 0.3, lattice)
    np.testing.assert_allclose(
        np.stack(chunked), np.stack([probe.D0, probe.exact[0,], probe.exact[1,]]), rtol=0, atol=1e-13
    )


def test_probe_is_the_forward_process_at_lattice_centres_and_repeats():
    lattice = LATTICES["uneven"]
    probe = make_probe(lattice, 0.3, 300, 50, seed=4)
    np.testing.assert_allclose(probe.x0, to_network(render(probe.labels[:, 0], probe.labels[:, 1], lattice)))
    np.testing.assert_allclose(probe.x_t, math.sqrt(0.3) * probe.x0 + math.sqrt(0.7) * probe.noise)
    again, other = make_probe(lattice, 0.3, 300, 50, seed=4), make_probe(lattice, 0.3, 301, 50, seed=4)
    np.testing.assert_array_equal(probe.x_t, again.x_t)
    assert not np.allclose(probe.noise, other.noise)


@pytest.mark.parametrize("withheld", [{"holdout": Holdout(x=[2.0, 4.0], y=[1.0, 3.0])}, {"shown": Shown(each=2)}])
def test_withheld_combinations_are_probed_as_if_nothing_were_withheld(withheld):
    lattice = LATTICES["plane"].model_copy(update=withheld)
    probe, points = heldout_probe(lattice, 0.4, 450, 64, seed=2), lattice_points(lattice)
    hidden = set(zip(points.mu_x[points.heldout], points.mu_y[points.heldout], strict=True))
    assert set(zip(probe.labels[:, 0], probe.labels[:, 1], strict=True)) <= hidden
    # An oracle that was shown them, and one that memorised the others: the second uses labels it cannot combine.
    whole = bayes_estimates(probe.x_t, probe.labels[:, 0], probe.labels[:, 1], 0.4, LATTICES["plane"])
    np.testing.assert_allclose(np.stack(whole), np.stack([probe.D0, probe.exact[0,], probe.exact[1,]]))
    able = decompose(probe.x0.reshape(64, -1), probe)
    assert [able[f"effect_{name}"] for name in ("x", "y", "xy")] == pytest.approx([1, 1, 1])
    blind, *_ = bayes_estimates(probe.x_t, probe.labels[:, 0], probe.labels[:, 1], 0.4, lattice)
    assert abs(decompose(blind, probe)["effect_xy"]) < 0.5
    assert heldout_probe(LATTICES["plane"], 0.4, 450, 64, seed=2) is None


def test_centres_are_drawn_with_their_training_probability():
    lattice = LATTICES["skewed"]
    points = lattice_points(lattice)
    probe = make_probe(lattice, 0.3, 300, 4000, seed=0)
    drawn = np.array([np.mean(np.isclose(probe.labels[:, 0], x)) for x in np.unique(points.mu_x)])
    wanted = np.array([points.probability[points.mu_x == x].sum() for x in np.unique(points.mu_x)])
    assert np.all(np.abs(drawn - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / 4000))


def test_no_withheld_centre_is_drawn():
    probe = make_probe(LATTICES["held out"], 0.3, 300, 2000, seed=0)
    inside = (
        (probe.labels[:, 0] >= 2) & (probe.labels[:, 0] <= 4) & (probe.labels[:, 1] >= 1) & (probe.labels[:, 1] <= 3)
    )
    assert not inside.any()


def test_a_label_off_the_lattice_is_refused():
    lattice = LATTICES["plane"]
    probe = make_probe(lattice, 0.3, 300, 4, seed=0)
    with pytest.raises(ValueError, match="y: "):
        bayes_estimates(probe.x_t, probe.labels[:, 0], probe.labels[:, 1] + 0.3, 0.3, lattice)


@pytest.mark.parametrize("name", LATTICES)
def test_each_bayes_denoiser_has_its_own_coefficients(name):
    probe = make_probe(LATTICES[name], 0.2, 300, 256, seed=2)
    x0 = probe.x0.reshape(len(probe.x0), -1)
    cases = {(0, 0, 0): probe.D0, (1, 0, 0): probe.exact[0,], (0, 1, 0): probe.exact[1,], (1, 1, 1): x0}
    for wanted, estimate in cases.items():
        result = decompose(estimate, probe)
        got = [result[key] for key in ("effect_x", "effect_y", "effect_xy")]
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-10)
        assert result["residual"] == pytest.approx(0, abs=1e-20)
        ends = [result[f"effect_{axis}_{end}"] for axis in "xy" for end in ("low", "high")]
        np.testing.assert_allclose(ends, np.repeat(wanted[:2], 2), rtol=0, atol=1e-9)


def test_excess_is_zero_for_the_perfect_and_one_for_the_blind_denoiser():
    probe = make_probe(LATTICES["plane"], 0.2, 300, 64, seed=2)
    assert decompose(probe.x0.reshape(64, -1), probe)["excess"] == 0
    assert decompose(probe.D0, probe)["excess"] == 1


def test_error_that_ignores_the_labels_shows_as_residual_and_not_as_an_effect():
    probe = make_probe(LATTICES["plane"], 0.2, 300, 512, seed=3)
    noise = np.random.default_rng(0).standard_normal(probe.D0.shape)
    blind_error = ((probe.x0.reshape(512, -1) - probe.D0) ** 2).sum()
    noise *= math.sqrt(0.25 * blind_error / (noise**2).sum())
    mixture = probe.D0 + 0.6 * (probe.exact[0,] - probe.D0) + 0.2 * (probe.exact[1,] - probe.D0) + noise
    result = decompose(mixture, probe)
    assert result["effect_x"] == pytest.approx(0.6, abs=0.05)
    assert result["effect_y"] == pytest.approx(0.2, abs=0.05)
    assert result["effect_xy"] == pytest.approx(0.0, abs=0.05)
    assert result["residual"] == pytest.approx(0.25, abs=0.01)
    assert result["effect_x_low"] < result["effect_x"] < result["effect_x_high"]
    assert result["condition"] < 10


def test_bootstrap_interval_covers_the_truth_about_as_often_as_it_says():
    """Each probe has its own coefficients about 0.5, so that the fit truly varies from probe to probe."""
    covered = []
    for seed in range(60):
        probe = make_probe(LATTICES["plane"], 0.2, 300, 128, seed=seed)
        a = 0.5 + 0.5 * np.random.default_rng(seed).standard_normal((128, 1))
        result = decompose(probe.D0 + a * (probe.exact[0,] - probe.D0), probe)
        covered.append(result["effect_x_low"] <= 0.5 <= result["effect_x_high"])
    assert 0.84 <= np.mean(covered) <= 1.0


def test_directions_lost_in_rounding_give_no_effects():
    fine = make_probe(LATTICES["plane"], 0.99999, 0, 64, seed=0)
    result = decompose(fine.x0.reshape(64, -1), fine)
    assert math.isnan(result["effect_x"]) and math.isnan(result["effect_x_low"])


@pytest.mark.parametrize("one", ["x", "y"])
def test_an_axis_with_one_position_has_no_effect_and_the_other_has(one):
    other, spacing = {"x": "y", "y": "x"}[one], {"dx": 1.0, "dy": 1.0} | {f"d{one}": 6.0}
    probe = make_probe(Lattice(image_size=8, margin=1.0, **spacing), 0.2, 300, 64, seed=0)
    x0 = probe.x0.reshape(64, -1)
    result = decompose(probe.D0 + 0.3 * (x0 - probe.D0), probe)
    assert result[f"effect_{other}"] == pytest.approx(0.3) and result[f"effect_{other}_low"] == pytest.approx(0.3)
    assert math.isnan(result[f"effect_{one}"]) and math.isnan(result["effect_xy"]) and result["condition"] == 1
    assert result["residual"] == pytest.approx(0, abs=1e-20) and result["excess"] == pytest.approx(0.49)


def test_a_lattice_of_one_image_has_no_effects():
    probe = make_probe(Lattice(image_size=8, margin=1.0, dx=6.0, dy=6.0), 0.2, 300, 64, seed=0)
    result = decompose(probe.D0, probe)
    assert math.isnan(result["effect_x"]) and math.isnan(result["effect_y"]) and result["condition"] == math.inf


def test_effects_of_an_ill_conditioned_fit_are_blank_and_the_error_is_not():
    lattice = Lattice(margin=2.0, skew=Skew(axis="x", alpha=10.0))
    probe = make_probe(lattice, 0.13, 450, 256, seed=0)
    answer = probe.D0 + 0.1 * np.random.default_rng(0).standard_normal(probe.D0.shape)
    result = decompose(answer, probe)
    assert result["condition"] > 100
    assert all(math.isnan(value) for name, value in result.items() if name not in ("condition", "excess"))
    assert result["excess"] > 0
    # A weaker skew of the same lattice is read.
    weak = make_probe(lattice.model_copy(update={"skew": Skew(axis="x", alpha=2.0)}), 0.13, 450, 256, seed=0)
    assert decompose(weak.exact[0,], weak)["effect_x"] == pytest.approx(1)


@pytest.mark.parametrize(("condition", "wanted"), [(100.0, True), (100.1, False), (math.inf, False)])
def test_a_fit_means_something_up_to_a_condition_of_a_hundred(condition, wanted):
    assert solvable(np.array([1 / condition, 0.5, 1.0]), 1.0) == wanted
    assert not solvable(np.array([1e-7, 1e-7, 1e-7]), 1.0)


def test_estimates_of_another_shape_are_refused():
    probe = make_probe(LATTICES["plane"], 0.2, 300, 8, seed=0)
    with pytest.raises(ValueError, match="shape"):
        decompose(probe.D0[:4], probe)


def test_memory_stays_bounded_on_a_lattice_of_a_hundred_thousand_points():
    lattice = Lattice(image_size=32, sigma=1.0, margin=0.0, dx=0.1, dy=0.1)
    tracemalloc.start()
    try:
        make_probe(lattice, 0.1, 450, 256, seed=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 300e6  # the images alone would be 102,400 x 1024 x 8 bytes = 839 MB

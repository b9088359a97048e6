"""C4 on experiments made up so that the right verdict is known."""

import math

import numpy as np
import pytest

from made_up_runs import Experiment, number, r2, rise


def c4(onset, seeds=5, spacings=(0.5, 1.0, 2.0), **other):
    experiment = Experiment()
    for seed in range(seeds):
        factor = math.exp(0.2 * np.random.default_rng(seed).standard_normal())
        for k, spacing in enumerate(spacings):
            shape = r2("requested", rise(onset(spacing) * factor * (1 + 0.01 * ((seed + k) % 3))))
            experiment.add(f"spacing{spacing}", seed, shape, dx=spacing, dy=spacing, **other)
    return experiment


def test_c4_earlier_onsets_on_denser_lattices_support_it():
    row = c4(lambda spacing: 600 * spacing**0.4).judge("C4")
    assert row.verdict == "supported" and row.runs == 15
    assert row.estimate == pytest.approx(0.4, abs=0.03) and row.low < 0.4 < row.high


def test_c4_per_epoch_adds_the_mechanical_two_and_does_not_count():
    experiment = c4(lambda spacing: 600 * spacing**0.4)
    slope = experiment.judge("C4").estimate
    assert number(experiment.checks("C4"), "slope per epoch") == pytest.approx(slope + 2)


def test_c4_later_onsets_on_denser_lattices_contradict_it_whatever_they_are_per_epoch():
    row = c4(lambda spacing: 600 * spacing**-0.4).judge("C4")
    assert row.verdict == "contradicted" and row.estimate < 0


def test_c4_onsets_that_do_not_depend_on_density_contradict_it():
    assert c4(lambda spacing: 600).judge("C4").verdict == "contradicted"


def test_c4_below_five_seeds_it_is_descriptive():
    row = c4(lambda spacing: 600 * spacing**0.4, seeds=3).judge("C4")
    assert row.verdict == "undetermined" and row.estimate == pytest.approx(0.4, abs=0.05)


def test_c4_a_coarsest_lattice_that_never_got_there_still_supports_it():
    experiment = c4(lambda spacing: 600 if spacing < 2 else 9999)
    assert experiment.judge("C4").verdict == "supported"
    assert number(experiment.checks("C4"), "onsets never reached") == 5


def test_c4_two_lattices_that_never_got_there_decide_nothing():
    assert c4(lambda spacing: 600 if spacing < 1 else 9999).judge("C4").verdict == "undetermined"


def test_c4_structure_that_is_there_at_the_first_checkpoint_decides_nothing():
    experiment = c4(lambda spacing: 20)
    assert experiment.judge("C4").verdict == "undetermined"
    assert number(experiment.checks("C4"), "onsets that cannot be timed") == 15


def test_c4_needs_two_spacings_of_otherwise_equal_lattices():
    assert c4(lambda spacing: 600, spacings=(1.0,)).judge("C4").runs == 0
    experiment = Experiment()
    for seed in range(5):
        experiment.add("small", seed, r2("requested", rise(300)), dx=0.5, dy=0.5)
        experiment.add("large", seed, r2("requested", rise(900)), image_size=32)
    assert experiment.judge("C4").runs == 0


def test_c4_structure_is_that_of_the_axis_that_is_told_worse():
    experiment = Experiment()
    for seed in range(5):
        for k, spacing in enumerate((0.5, 1.0, 2.0)):
            slow = 600 * spacing**0.4 * (1 + 0.01 * ((seed + k) % 3))
            curves = r2("requested", rise(slow), rise(300 * spacing**-0.4))
            experiment.add(f"spacing{spacing}", seed, curves, dx=spacing, dy=spacing)
    assert experiment.judge("C4").estimate == pytest.approx(0.4, abs=0.03)


def test_c4_an_early_reading_of_a_noisy_curve_is_no_onset():
    def noisy(spacing, seed):
        curve = rise(600 * spacing**0.4)
        curve[2 + (seed + round(2 * spacing)) % 3] = 0.9
        return curve

    experiment = Experiment()
    for seed in range(5):
        for spacing in (0.5, 1.0, 2.0):
            experiment.add(f"spacing{spacing}", seed, r2("requested", noisy(spacing, seed)), dx=spacing, dy=spacing)
    row = experiment.judge("C4")
    assert row.verdict == "supported" and row.estimate == pytest.approx(0.4, abs=0.1)


def test_c4_a_factor_that_is_no_denser_does_not_count():
    experiment = Experiment()
    sizes = {"world": '{"kind": "sized"}', "factors": "x size"}
    for seed in range(5):
        for k, spacing in enumerate((0.5, 1.0, 2.0)):
            x = r2("requested", rise(300 * spacing**0.4 * (1 + 0.01 * ((seed + k) % 3))), 0.0)
            size = {tuple(("factor", "size") if key[0] == "factor" else key for key in name): rise(900) for name in x}
            x = {name: curve for name, curve in x.items() if ("factor", "x") in name}
            experiment.add(f"spacing{spacing}", seed, x | size, dx=spacing, **sizes)
    row = experiment.judge("C4")
    assert row.verdict == "supported" and row.estimate == pytest.approx(0.4, abs=0.03)

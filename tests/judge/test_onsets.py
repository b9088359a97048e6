"""Tests of fitted onsets, with true curves that are known."""

import numpy as np
import pytest

from bumpscope.judge.onsets import fitted_onset, onset

STEPS = np.round(np.geomspace(100, 1600, 24))
TRUE = 500.0


def logistic(sharpness: float = 4.0) -> np.ndarray:
    return 1 / (1 + np.exp(-sharpness * np.log(STEPS / TRUE)))


def test_a_curve_that_never_falls_has_the_same_onset_fitted_or_not():
    assert fitted_onset(STEPS, logistic()) == onset(STEPS, logistic())


def test_the_fitted_onset_of_a_noisy_curve_is_not_early():
    generator = np.random.default_rng(0)
    curves = [logistic() + generator.normal(0, 0.2, len(STEPS)) for _ in range(400)]
    first = np.mean([np.log(onset(STEPS, curve).time / TRUE) for curve in curves])
    fitted = np.mean([np.log(fitted_onset(STEPS, curve).time / TRUE) for curve in curves])
    assert first < -0.1
    assert fitted == pytest.approx(0, abs=0.03)


def test_one_early_reading_does_not_move_the_fitted_onset_far():
    curve = logistic(8)
    curve[3] = 0.9
    assert onset(STEPS, curve).time < 200
    assert np.log(fitted_onset(STEPS, curve).time / TRUE) == pytest.approx(0, abs=0.1)


def test_a_fitted_onset_leaves_out_the_untrained_network_and_undefined_values():
    steps, values = [0, 100, 200, 300], [0.9, 0.1, np.nan, 0.7]
    assert fitted_onset(steps, values) == onset(steps, values)
    assert fitted_onset([0], [1.0]) is None


@pytest.mark.parametrize("values", ([0.1, 0.2, 0.3], [0.1, 0.6, 0.1]))
def test_a_curve_that_does_not_rise_for_good_has_no_fitted_onset(values):
    found = fitted_onset([100, 200, 400], values)
    assert found.censored
    assert found.by == 400

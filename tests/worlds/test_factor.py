"""A factor of variation: differences, distances and targets, periodic and not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bumpscope.worlds.factor import Factor

GRID = np.arange(16.0)
LINE, RING = (Factor("x", "px", GRID, np.full(16, 1 / 16), period) for period in (None, 16.0))
places = st.floats(-40, 40)


@given(places, places)
def test_differences_are_the_smallest_of_all_copies(a, b):
    assert LINE.difference(a, b) == a - b
    assert LINE.distance(a, b) == abs(a - b)
    smallest = min(abs(a - b + 16 * k) for k in range(-6, 7))
    assert abs(RING.difference(a, b)) == pytest.approx(smallest, abs=1e-9)
    assert RING.distance(a, b) == pytest.approx(smallest, abs=1e-9)
    # It leads from b to a.
    assert np.cos((b + RING.difference(a, b) - a) * np.pi / 8) == pytest.approx(1)


def test_targets_of_a_period_close():
    np.testing.assert_array_equal(LINE.targets(GRID), GRID[:, None])
    np.testing.assert_allclose(RING.targets(GRID), RING.targets(GRID + 16), atol=1e-12)
    np.testing.assert_allclose(RING.targets(np.array([0.0, 4.0])), [[1, 0], [0, 1]], atol=1e-12)


def test_a_value_is_found_on_the_grid_or_refused():
    np.testing.assert_array_equal(LINE.index(np.array([3.0, 15.0, 0.0])), [3, 15, 0])
    with pytest.raises(ValueError, match="x: "):
        LINE.index(np.array([3.3]))

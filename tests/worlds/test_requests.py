"""The centres that a probe requests."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from bumpscope.config.lattice import Holdout, Lattice
from bumpscope.worlds.bumps import in_holdout, lattice_points
from bumpscope.worlds.requests import one_a_centre, requested_centres

PLANE = Lattice(image_size=16, sigma=1.0, margin=2.0, dx=1.0, dy=1.0)
BLOCK = Holdout(x=[5.0, 8.0], y=[5.0, 8.0])


def plane(**keys):
    return PLANE.model_copy(update=keys)


def pairs(frame):
    return list(zip(frame.mu_x, frame.mu_y, strict=True))


def support_of(lattice):
    points = lattice_points(lattice)
    return {pair for pair, p in zip(zip(points.mu_x, points.mu_y, strict=True), points.probability, strict=True) if p}


def test_requests_are_numbered_and_shared_out():
    centres = requested_centres(plane(), 512)
    assert list(centres.columns) == ["sample", "mu_x", "mu_y", "split"]
    assert centres["sample"].tolist() == list(range(512))
    assert centres.split.value_counts().to_dict() == {"seen": 384, "between": 128}
    held_out = requested_centres(plane(holdout=BLOCK), 512)
    counts = held_out.split.value_counts()
    assert counts["seen"] == 256
    assert counts["heldout"] >= 128
    assert counts.sum() == 512


@pytest.mark.parametrize("lattice", [plane(), plane(dx=0.25), plane(dx=0.1, dy=0.1), plane(dx=0.5, dy=2.0)])
@pytest.mark.parametrize("samples", [64, 512])
def test_seen_requests_are_a_grid_of_training_centres_each_at_least_twice(lattice, samples):
    seen = requested_centres(lattice, samples).query("split == 'seen'")
    counts = seen.value_counts(["mu_x", "mu_y"])
    assert counts.min() >= 2
    assert counts.max() - counts.min() <= 1
    assert set(pairs(seen)) <= support_of(lattice)
    assert len(counts) == seen.mu_x.nunique() * seen.mu_y.nunique()
    # It spans the lattice: no side is left out.
    for values, spacing in ((seen.mu_x, lattice.dx), (seen.mu_y, lattice.dy)):
        assert values.mean() == pytest.approx(7.5, abs=max(0.5, spacing))
        assert values.max() - values.min() >= 12 * (1 - 1 / values.nunique()) - 2 * spacing


def test_a_small_lattice_is_asked_for_whole():
    seen = requested_centres(plane(dx=2.0, dy=2.0), 512).query("split == 'seen'")
    assert set(pairs(seen)) == support_of(plane(dx=2.0, dy=2.0))


@pytest.mark.parametrize("samples", [64, 512, 1000])
def test_the_same_centres_between_lattice_points_are_asked_of_every_spacing(samples):
    def between(lattice):
        return requested_centres(lattice, samples).query("split == 'between'")[["mu_x", "mu_y"]].to_numpy()

    reference = between(plane())
    assert len(reference) == samples - round(0.75 * samples)
    for lattice in (plane(dx=0.5), plane(dx=0.5, dy=2.0), plane(dx=2.0, dy=0.5), plane(dx=0.1, dy=0.1)):
        np.testing.assert_array_equal(between(lattice), reference)
    # Where combinations are withheld, the same centres; those inside the block count as held out.
    withheld = requested_centres(plane(holdout=BLOCK), samples)
    rest = pairs(withheld.query("split == 'between'"))
    assert set(rest) <= set(map(tuple, reference))
    inside = [pair for pair in map(tuple, reference) if 5 <= pair[0] <= 8 and 5 <= pair[1] <= 8]
    assert set(inside) <= set(pairs(withheld.query("split == 'heldout'")))


def test_centres_between_lattice_points_fill_the_support_evenly():
    between = requested_centres(plane(), 1024).query("split == 'between'")
    for values in (between.mu_x, between.mu_y):
        assert kstest((values - 1.5) / 12, "uniform").pvalue > 0.5
    assert not set(pairs(between)) & support_of(plane())


def test_on_a_torus_centres_lie_all_round():
    between = requested_centres(Lattice(boundary="torus"), 1024).query("split == 'between'")
    assert between.mu_x.min() < 0 and between.mu_x.max() > 15


def test_held_out_requests_are_withheld_combinations_and_seen_ones_are_not():
    lattice = plane(holdout=BLOCK)
    points = lattice_points(lattice)
    withheld = {
        pair for pair, out in zip(zip(points.mu_x, points.mu_y, strict=True), points.heldout, strict=True) if out
    }
    centres = requested_centres(lattice, 512)
    heldout = centres.query("split == 'heldout'")
    assert in_holdout(lattice, heldout.mu_x.to_numpy(), heldout.mu_y.to_numpy()).all()
    counts = heldout[:128].value_counts(["mu_x", "mu_y"])
    assert set(counts.index) == withheld
    assert counts.max() - counts.min() <= 1
    assert not set(pairs(centres.query("split == 'seen'"))) & withheld


def test_a_centre_on_the_end_of_a_withheld_block_is_never_asked_for_as_seen():
    # 2.6500000000000004 is the lattice position at the end of this block.
    lattice = plane(dx=0.1, dy=0.1, holdout=Holdout(x=[2.0, 2.65], y=[2.0, 12.0]))
    seen = requested_centres(lattice, 60_000).query("split == 'seen'")
    assert set(pairs(seen)) <= support_of(lattice)


@settings(max_examples=60)
@given(
    st.integers(16, 700),
    st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0]),
    st.sampled_from([0.5, 1.0, 3.0]),
    st.none() | st.tuples(st.floats(1.5, 13.4), st.floats(1.5, 13.4), st.floats(1.5, 13.4), st.floats(1.5, 13.4)),
)
def test_any_probe_of_any_lattice_asks_for_as_many_centres_as_it_should(samples, dx, dy, block):
    holdout = None
    if block is not None:
        holdout = Holdout(x=sorted(block[:2]), y=sorted(block[2:]))
    lattice = plane(dx=dx, dy=dy, holdout=holdout)
    points = lattice_points(plane(dx=dx, dy=dy, holdout=holdout))
    if points.heldout.all() or (holdout and not points.heldout.any()):
        return  # refused by the configuration
    centres = requested_centres(lattice, samples)
    assert len(centres) == samples
    assert centres.notna().all(axis=None)
    seen = centres.query("split == 'seen'")
    assert len(seen) >= samples // 2 - 1
    assert set(pairs(seen)) <= support_of(lattice)


def test_a_block_that_leaves_only_a_rim_still_has_seen_centres():
    lattice = plane(holdout=Holdout(x=[1.5, 12.5], y=[1.5, 12.5]))
    for samples in (16, 64, 512):
        seen = requested_centres(lattice, samples).query("split == 'seen'")
        assert set(pairs(seen)) <= support_of(lattice)
        assert seen.value_counts(["mu_x", "mu_y"]).min() >= 2


def test_the_control_asks_once_for_each_seen_centre():
    control = one_a_centre(requested_centres(plane(), 512))
    assert len(control) == len(control[["mu_x", "mu_y"]].drop_duplicates()) == 144
    assert set(control["split"]) == {"seen"}

"""Probing by generation: what is asked for, and that each image depends on its own request and noise alone."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Holdout, Lattice
from bumpscope.config.model import Model
from bumpscope.config.probe import Probe
from bumpscope.denoise.process import Process
from bumpscope.denoise.samplers import SAMPLERS, ddim, trailing_timesteps
from bumpscope.denoise.unet import new_network
from bumpscope.probe import generation as module
from bumpscope.probe.generation import generate, noise_seeds, shared_noise_seeds, visited_timesteps
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


def test_the_nearest_steps_of_the_sampler_are_read_each_once():
    steps = trailing_timesteps(1000, 25)
    assert visited_timesteps([239, 39], steps) == [239, 39]
    assert visited_timesteps([250, 230, 0, 999, 1], steps) == [239, 39, 999]
    assert visited_timesteps([260], steps) == [279]
    assert visited_timesteps([500], [999]) == [999]


def test_every_sample_has_a_seed_of_its_own_that_other_samples_do_not_change():
    seeds = noise_seeds(0, 600)
    assert len(set(seeds.tolist())) == 600
    np.testing.assert_array_equal(noise_seeds(0, 10), seeds[:10])
    assert not set(noise_seeds(1, 600).tolist()) & set(seeds.tolist())
    assert (seeds >= 0).all()


SMALL = Lattice(image_size=8, sigma=1.0, margin=2.0, dx=1.0, dy=1.0)
MODEL = Model(channel_multipliers=[1, 1, 1], attention_resolutions=[1], embedding_width=8)
SAMPLES = 24
PROBE = Probe(samples=SAMPLES, sampling_steps=5, layers=["down3", "up3"], timesteps=[500, 100], checkpoints=[0])
PROCESS = Process.from_config(Diffusion(prediction="v"))


@pytest.fixture(scope="module")
def network():
    network = new_network(8, MODEL, 0).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():  # an untrained network answers zero; this one depends on what it is asked
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return network


class InDouble(torch.nn.Module):
    """A network computed in double precision, whose rounding is far below what is compared."""

    def __init__(self, network):
        super().__init__()
        self.network = copy.deepcopy(network).double()
        self.image_size, self.layers = network.image_size, network.layers

    def forward(self, x, t, labels, keep=None, taps=None):
        return self.network(x.double(), t, labels.double(), keep, taps).to(x.dtype)


def generated(network, probe=PROBE, rows=slice(None), seed=0):
    torch.set_num_threads(1)
    centres = requested_centres(SMALL, SAMPLES)[rows]
    return generate(network, PROCESS, probe, centres, noise_seeds(seed, SAMPLES)[rows])


def sampled_by_hand(network, sampler, sample):
    """One image, alone, straight from the definition."""
    centre = requested_centres(SMALL, SAMPLES).iloc[sample]
    mu = torch.tensor([[centre.mu_x, centre.mu_y]], dtype=torch.float32)
    draw = torch.Generator().manual_seed(int(noise_seeds(0, SAMPLES)[sample]))

    def noise(_=0):
        return torch.randn(1, 8, 8, generator=draw)[None]

    def denoiser(x, t):
        return network(x, t, mu)

    steps = trailing_timesteps(1000, 5)
    with torch.no_grad():
        image = SAMPLERS[sampler](denoiser, noise(), PROCESS, steps, noise)
    return (image[0, 0].numpy() + 1) / 2


@pytest.mark.parametrize("sampler", ["ddim", "ancestral"])
def test_each_image_is_drawn_from_its_own_request_and_noise(network, sampler):
    network = InDouble(network)
    found = generated(network, PROBE.model_copy(update={"sampler": sampler}))
    assert found.images.shape == (SAMPLES, 8, 8)
    for sample in (0, 13, 23):
        np.testing.assert_allclose(found.images[sample], sampled_by_hand(network, sampler, sample), rtol=0, atol=1e-5)


@pytest.mark.parametrize("sampler", ["ddim", "ancestral"])
@pytest.mark.parametrize("chunk", [1, 7, 24])
def test_how_images_are_batched_does_not_matter(network, monkeypatch, sampler, chunk):
    probe = PROBE.model_copy(update={"sampler": sampler})
    exact = InDouble(network)
    whole, single = generated(exact, probe), generated(network, probe)
    monkeypatch.setattr(module, "CHUNK", chunk)
    parts = generated(exact, probe)
    np.testing.assert_allclose(parts.images, whole.images, rtol=0, atol=1e-5)
    for key, vectors in whole.activations.items():
        np.testing.assert_allclose(parts.activations[key], vectors, rtol=1e-5, atol=1e-5)
    # In single precision convolutions of another batch size round otherwise.
    np.testing.assert_allclose(generated(network, probe).images, single.images, rtol=0, atol=2e-4)


def test_a_sample_is_the_same_with_and_without_the_others(network):
    network = InDouble(network)
    some = generated(network, rows=slice(4, 9))
    np.testing.assert_allclose(some.images, generated(network).images[4:9], rtol=0, atol=1e-5)


@pytest.mark.parametrize("sampler", ["ddim", "ancestral"])
def test_the_same_images_come_out_whatever_was_drawn_before(network, sampler):
    probe = PROBE.model_copy(update={"sampler": sampler})
    torch.manual_seed(0)
    first = generated(network, probe)
    torch.manual_seed(99)
    torch.randn(1000)
    again = generated(network, probe)
    np.testing.assert_array_equal(first.images, again.images)
    for key, vectors in first.activations.items():
        np.testing.assert_array_equal(again.activations[key], vectors)


def test_generating_leaves_the_global_stream_alone(network):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    generated(network)
    assert torch.equal(torch.rand(3), expected)


def test_other_noise_and_other_requests_give_other_images(network):
    first = generated(network)
    assert (abs(generated(network, seed=1).images - first.images).max(axis=(1, 2)) > 1e-3).all()
    # Samples 0 and 9 ask for the same centre, each with noise of its own.
    centres = requested_centres(SMALL, SAMPLES)
    assert pairs(centres)[0] == pairs(centres)[9]
    assert abs(first.images[0] - first.images[9]).max() > 1e-3


def test_activations_are_flat_and_named_by_layer_and_the_timestep_really_visited(network):
    found = generated(network)
    # 5 steps visit 999, 799, 599, 399 and 199.
    assert set(found.activations) == {("down3", 599), ("down3", 199), ("up3", 599), ("up3", 199)}
    assert found.activations["down3", 599].shape == (SAMPLES, 8 * 2 * 2)
    assert found.activations["up3", 199].shape == (SAMPLES, 8 * 8 * 8)
    assert found.activations["down3", 599].dtype == np.float32


def test_activations_are_those_of_the_network_at_that_timestep_in_channel_row_column_order(network):
    seen = {}

    def recording(denoiser, x, process, timesteps, noise, callback):
        def keep(t, x_t, x0):
            seen[t] = x_t.clone()
            callback(t, x_t, x0)

        return ddim(denoiser, x, process, timesteps, callback=keep)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SAMPLERS, "ddim", recording)
        found = generated(network)
    centres = requested_centres(SMALL, SAMPLES)
    mu = torch.tensor(centres[["mu_x", "mu_y"]].to_numpy(), dtype=torch.float32)
    expected = {}
    with torch.no_grad():
        network(seen[199], torch.full((SAMPLES,), 199), mu, taps=expected)
    np.testing.assert_allclose(
        found.activations["down3", 199].reshape(SAMPLES, 8, 2, 2), expected["down3"].numpy(), rtol=1e-4, atol=1e-5
    )


def test_images_are_intensities_and_not_clipped_to_them(network):
    # The untrained denoiser answers zero: v = 0 means that the clean image is sqrt(alpha_bar) x_t.
    untrained = new_network(8, MODEL, 0).eval()
    images = generated(untrained, PROBE.model_copy(update={"sampling_steps": 2})).images
    assert images.min() >= 0 and images.max() <= 1  # the last estimate is cut to the range of the data
    assert 0.4 < images.mean() < 0.6


def test_the_control_with_shared_noise_asks_once_for_each_seen_centre_and_starts_all_alike():
    centres = requested_centres(plane(), 512)
    control = one_a_centre(centres)
    assert len(control) == len(control[["mu_x", "mu_y"]].drop_duplicates()) == 144
    assert set(control["split"]) == {"seen"}
    seeds = shared_noise_seeds(3, len(control))
    assert len(set(seeds)) == 1 and seeds[0] not in noise_seeds(3, 512)
    assert seeds[0] != shared_noise_seeds(4, 1)[0]

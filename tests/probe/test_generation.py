"""Probing by generation: each image depends only on its own request and noise."""

import copy

import numpy as np
import pytest
import torch

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice
from bumpscope.config.model import Model
from bumpscope.config.probe import Probe
from bumpscope.denoise.process import Process
from bumpscope.denoise.samplers import SAMPLERS, ddim, trailing_timesteps
from bumpscope.denoise.unet import new_network
from bumpscope.probe import generation as module
from bumpscope.probe.generation import generate, noise_seeds, shared_noise_seeds, visited_timesteps
from bumpscope.worlds.requests import requested_centres


def test_the_nearest_steps_of_the_sampler_are_read_each_once():
    steps = trailing_timesteps(1000, 25)
    assert visited_timesteps([239, 39], steps) == [239, 39]
    assert visited_timesteps([250, 230, 20, 999, 1], steps) == [239, 39, 999, 0]
    assert visited_timesteps([260], steps) == [279]
    assert visited_timesteps([500], [999]) == [999]
    # Below half of the last step the finished image is nearer.
    assert visited_timesteps([20, 19], [79, 39]) == [39, 0]
    assert visited_timesteps([3, 0], [2, 1, 0]) == [2, 0]


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


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_each_image_is_drawn_from_its_own_request_and_noise(network, sampler):
    network = InDouble(network)
    found = generated(network, PROBE.model_copy(update={"sampler": sampler}))
    assert found.images.shape == (SAMPLES, 8, 8)
    for sample in (0, 13, 23):
        np.testing.assert_allclose(found.images[sample], sampled_by_hand(network, sampler, sample), rtol=0, atol=1e-5)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("chunk", [1, 7, 24])
def test_how_images_are_batched_does_not_matter(network, monkeypatch, sampler, chunk):
    probe = PROBE.model_copy(update={"sampler": sampler})
    exact = InDouble(network)
    whole, single = generated(exact, probe), generated(network, probe)
    monkeypatch.setitem(module.CHUNK, "cpu", chunk)
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


@pytest.mark.parametrize("sampler", SAMPLERS)
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
    assert centres[["mu_x", "mu_y"]].iloc[0].equals(centres[["mu_x", "mu_y"]].iloc[9])
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


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_at_t_0_the_finished_image_is_shown_once_more_with_its_request(network, sampler):
    probe = PROBE.model_copy(update={"timesteps": [500, 0], "sampler": sampler})
    found, without = generated(network, probe), generated(network, PROBE.model_copy(update={"sampler": sampler}))
    assert {t for _, t in found.activations} == {599, 0}
    np.testing.assert_array_equal(found.images, without.images)
    np.testing.assert_array_equal(found.activations["up3", 599], without.activations["up3", 599])
    mu = torch.tensor(requested_centres(SMALL, SAMPLES)[["mu_x", "mu_y"]].to_numpy(), dtype=torch.float32)
    image, expected = 2 * torch.from_numpy(found.images)[:, None] - 1, {}
    with torch.no_grad():
        network(image, torch.zeros(SAMPLES, dtype=torch.long), mu, taps=expected)
    for layer in probe.layers:
        wanted = expected[layer].flatten(1).numpy()
        np.testing.assert_allclose(found.activations[layer, 0], wanted, rtol=1e-4, atol=1e-5)


def test_a_sampler_that_visits_t_0_itself_is_read_there_on_its_way(network):
    shown = []
    hook = network.first.register_forward_pre_hook(lambda _, given: shown.append(len(given[0])))
    process = Process.from_config(Diffusion(timesteps=10))
    probe = PROBE.model_copy(update={"timesteps": [0], "sampling_steps": 10})
    centres = requested_centres(SMALL, SAMPLES)
    found = generate(network, process, probe, centres, noise_seeds(0, SAMPLES))
    hook.remove()
    assert set(found.activations) == {("down3", 0), ("up3", 0)} and len(found.activations["up3", 0]) == SAMPLES
    assert len(shown) == 10


def test_images_are_intensities_and_not_clipped_to_them(network):
    # The untrained denoiser answers zero: v = 0 means that the clean image is sqrt(alpha_bar) x_t.
    untrained = new_network(8, MODEL, 0).eval()
    images = generated(untrained, PROBE.model_copy(update={"sampling_steps": 2})).images
    assert images.min() >= 0 and images.max() <= 1  # the last estimate is cut to the range of the data
    assert 0.4 < images.mean() < 0.6


def test_the_control_with_shared_noise_starts_all_images_alike():
    seeds = shared_noise_seeds(3, 144)
    assert len(set(seeds)) == 1 and seeds[0] not in noise_seeds(3, 512)
    assert seeds[0] != shared_noise_seeds(4, 1)[0]


def test_layers_and_samplers_that_there_are_not_are_refused_by_name(network):
    with pytest.raises(ValueError, match=r"no layer down9.*down1, down2"):
        generated(network, PROBE.model_copy(update={"layers": ["down9"]}))
    with pytest.raises(ValueError, match="unknown sampler 'heun'"):
        generated(network, PROBE.model_copy(update={"sampler": "heun"}))

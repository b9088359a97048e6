"""Predictions that are recorded once for each number of images: the same numbers, whatever the weights meanwhile."""

import logging

import numpy as np
import pytest
import torch

from bumpscope.config.denoiser import BUILT_IN, DenoiserChoice
from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice
from bumpscope.config.model import Model
from bumpscope.config.probe import Probe
from bumpscope.denoise.named import new_denoiser, with_default_weights
from bumpscope.denoise.predictions import RepeatedPredictions, repeated
from bumpscope.denoise.process import Process
from bumpscope.denoise.recorder import WARM_UP, CudaRecorder
from bumpscope.probe.checkpoint import Estimator
from bumpscope.probe.generation import generate, noise_seeds
from bumpscope.worlds.requests import requested_centres
from recorded_steps import CpuRecorder, operations

LATTICE = Lattice(image_size=16, margin=2.0)
MODEL = Model(channel_multipliers=[1, 1, 1], attention_resolutions=[2], embedding_width=8)
PROBE = Probe(samples=20, sampling_steps=6, layers=["down3", "up3"], timesteps=[500, 0], checkpoints=[0])
PROCESS = Process.from_config(Diffusion(prediction="v"))
CENTRES = requested_centres(LATTICE, PROBE.samples)


@pytest.fixture(autouse=True)
def apart(monkeypatch):
    """What is brought from the device is a copy, as it is from a GPU."""
    monkeypatch.setattr(torch.Tensor, "cpu", torch.Tensor.clone)


def denoiser(kind="unet", seed=0):
    torch.set_num_threads(1)
    built = new_denoiser(LATTICE, MODEL, Diffusion(prediction="v"), 0, DenoiserChoice(kind=kind))
    return with_default_weights(built, seed).eval()


def recorded(network):
    recorder = CpuRecorder(list)  # a prediction changes nothing that is kept
    return RepeatedPredictions(network, recorder), recorder


def drawn(asked, probe=PROBE, count=None):
    return generate(asked, PROCESS, probe, CENTRES[:count], noise_seeds(0, len(CENTRES))[:count])


def assert_same(one, other):
    np.testing.assert_array_equal(one.images, other.images)
    assert one.activations.keys() == other.activations.keys()
    for place, vectors in one.activations.items():
        np.testing.assert_array_equal(vectors, other.activations[place])


@pytest.mark.parametrize("sampler", ["ddim", "ancestral"])
def test_recorded_predictions_draw_the_same_images_and_activations(sampler):
    network = denoiser()
    asked, recorder = recorded(network)
    probe = PROBE.model_copy(update={"sampler": sampler})
    assert_same(drawn(network, probe), drawn(asked, probe))
    # The finished image is shown once more.
    assert (recorder.recordings, recorder.runs) == (1, WARM_UP)
    assert recorder.repeats == probe.sampling_steps + 1 - WARM_UP


def test_the_weights_of_the_next_checkpoint_are_read_by_what_was_recorded():
    network, other = denoiser(), denoiser(seed=1)
    asked, recorder = recorded(network)
    drawn(asked)
    network.load_state_dict(other.state_dict())
    assert_same(drawn(other), drawn(asked))
    assert recorder.recordings == 1


def test_another_number_of_images_is_recorded_apart():
    network = denoiser()
    asked, recorder = recorded(network)
    for count in (None, 7, None, 7):
        assert_same(drawn(network, count=count), drawn(asked, count=count))
    assert recorder.recordings == 2


def test_estimates_of_label_effects_are_the_same():
    network = denoiser()
    asked, recorder = recorded(network)
    draw = np.random.default_rng(0)
    x, mu = draw.standard_normal((9, 16, 16)), draw.uniform(2, 14, (9, 2))
    for t in (300, 450, 600, 300, 450, 600):
        np.testing.assert_array_equal(Estimator(network, PROCESS, t)(x, mu), Estimator(asked, PROCESS, t)(x, mu))
    assert (recorder.recordings, recorder.repeats) == (1, 3)


@pytest.mark.parametrize("kind", BUILT_IN)
def test_every_denoiser_can_be_recorded(kind):
    network = denoiser(kind)
    x, t = torch.randn(3, 1, 16, 16), torch.full((3,), 400)
    with torch.inference_mode():
        network(x, t, torch.full((3, 2), 6.0), taps={})  # what is moved to the device at the first time
        assert operations(lambda: network(x, t, torch.full((3, 2), 6.0), taps={}))


def test_composed_scores_can_be_recorded():
    choice = DenoiserChoice(kind="dropout", composed=True)
    network = new_denoiser(LATTICE, MODEL, Diffusion(prediction="v"), 0, choice).eval()
    x, t = torch.randn(3, 1, 16, 16), torch.full((3,), 400)
    assert operations(lambda: network(x, t, torch.full((3, 2), 6.0), taps={}))


def test_predictions_that_cannot_be_recorded_are_made_one_by_one_and_that_is_told_once(caplog):
    class Refusing(CpuRecorder):
        def record(self, calls):
            raise RuntimeError("operation not permitted when stream is capturing\nmore")

    network = denoiser()
    asked = RepeatedPredictions(network, Refusing(list))
    with caplog.at_level(logging.WARNING):
        assert_same(drawn(network), drawn(asked))
        assert_same(drawn(network, count=7), drawn(asked, count=7))
    assert caplog.messages == [
        "predictions cannot be recorded as a CUDA graph, so each is launched anew: operation not permitted when "
        "stream is capturing"
    ]


def test_on_a_cpu_a_network_is_asked_as_it_is():
    network = denoiser()
    assert repeated(network, torch.device("cpu")) is network
    asked = repeated(network, torch.device("cuda:1"))
    assert isinstance(asked._recorder, CudaRecorder) and asked._recorder.device == torch.device("cuda:1")

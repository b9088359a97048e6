"""The reference models: factorised and coupled by construction, as far as construction goes."""

import copy

import numpy as np
import pytest
import torch

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice
from bumpscope.config.model import Model
from bumpscope.config.training import Training
from bumpscope.denoise.loop import train
from bumpscope.denoise.named import new_denoiser
from bumpscope.denoise.process import Process
from bumpscope.denoise.references import GATE_OPENS, Gated, ProductOfStripes
from bumpscope.denoise.trainer import Trainer, TrainingData
from bumpscope.denoise.unet import UNet, new_network
from bumpscope.probe.checkpoint import Estimator
from bumpscope.probe.effects import decompose, make_probe
from bumpscope.worlds.bumps import lattice_points, render, to_network

CPU = torch.device("cpu")
SMALL = {"channel_multipliers": [1, 1, 1], "attention_resolutions": [1], "embedding_width": 8}
TORUS = Lattice(image_size=8, sigma=1.0, boundary="torus")
TRAINING = Training(steps=12, batch_size=8, warmup_steps=2, log_every=2, checkpoints=[0, 12])


def model(reference):
    return Model(**SMALL, reference=reference)


def data(lattice, mu_y=None):
    """A lattice's images; with ``mu_y`` each centre's y is moved there."""
    points = lattice_points(lattice)
    y = points.mu_y if mu_y is None else np.full_like(points.mu_y, mu_y)
    images = torch.tensor(to_network(render(points.mu_x, y, lattice))[:, None], dtype=torch.float32)
    mu = torch.tensor(np.stack([points.mu_x, y], axis=1), dtype=torch.float32)
    return TrainingData(images, mu, torch.tensor(points.probability))


def trainer(reference, given=None, lattice=TORUS, prediction="epsilon", **keys):
    torch.set_num_threads(1)
    diffusion = Diffusion(prediction=prediction)
    network = new_denoiser(lattice, model(reference), diffusion, 0)
    given = data(lattice) if given is None else given
    return Trainer(0, given, network, diffusion, TRAINING.model_copy(update=keys), CPU)


def test_the_denoiser_under_study_is_the_plain_network():
    plain = new_denoiser(TORUS, model("none"), Diffusion(), 3)
    assert type(plain) is UNet
    torch.testing.assert_close(plain.state_dict(), new_network(8, model("none"), 3).state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("lattice", [TORUS, Lattice(image_size=16, margin=4.0)], ids=["torus", "plane"])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_noised_images_sums_are_a_noised_stripe(lattice, axis):
    denoiser = new_denoiser(lattice, model("factorised"), Diffusion(), 0)
    process = Process.from_config(Diffusion())
    images, mu = data(lattice).images, data(lattice).labels
    t = torch.full((len(images),), 300)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    stripe, signal, sigma = denoiser._stripe(process.noised(images, noise, t), t, axis, process)
    torch.testing.assert_close(signal**2 + sigma**2, torch.ones_like(signal))
    distance = torch.arange(lattice.image_size) - mu[:, axis, None]
    if lattice.boundary == "torus":
        distance = (distance + 4) % 8 - 4
    profile = 2 * torch.exp(-(distance**2) / 2) - 1
    rest = (stripe - signal * profile) / sigma
    expected = noise.sum(dim=(1, 2 if axis == 0 else 3)) / np.sqrt(lattice.image_size)
    torch.testing.assert_close(rest, expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_stripes_denoised_exactly_multiply_to_the_exact_image(monkeypatch, prediction):
    diffusion = Diffusion(prediction=prediction)
    denoiser = new_denoiser(TORUS, model("factorised"), diffusion, 0)
    process = Process.from_config(diffusion)

    def exact(network, stripe, t, mu, axis, *_):
        distance = (torch.arange(8) - mu[:, axis, None] + 4) % 8 - 4
        clean = 2 * torch.exp(-(distance**2) / 2) - 1
        scale = torch.full((len(t), 1, 1, 1), 0.0)
        signal, sigma = process.scales(t, scale)
        noise = sigma * np.sqrt(8) / denoiser.mass
        signal, noise = (part.view(-1, 1) / (signal**2 + noise**2).sqrt().view(-1, 1) for part in (signal, noise))
        drawn = (stripe - signal * clean) / noise
        return drawn if prediction == "epsilon" else signal * drawn - noise * clean

    monkeypatch.setattr(denoiser, "_answer", exact)
    probe = make_probe(TORUS, process.alpha_bar[450].item(), 450, 64, 0)
    found = decompose(Estimator(denoiser, process, 450)(probe.x_t, probe.labels), probe)
    np.testing.assert_allclose([found[f"effect_{axis}"] for axis in ("x", "y", "xy")], 1, atol=2e-3)
    assert found["excess"] < 1e-4


def test_what_one_stripe_denoiser_learns_does_not_depend_on_the_other_axis():
    """The same x in the same order, y spread out or all alike: the x-stripe denoiser's weights are the same."""
    spread, alike = trainer("factorised"), trainer("factorised", data(TORUS, mu_y=3.0))
    for _ in range(8):
        spread.advance()
        alike.advance()
    assert isinstance(spread.network, ProductOfStripes)
    for name, weight in spread.network.x.state_dict().items():
        torch.testing.assert_close(weight, alike.network.x.state_dict()[name], rtol=0, atol=1e-4)
    moved = max(
        float((weight - alike.network.y.state_dict()[name]).abs().max())
        for name, weight in spread.network.y.state_dict().items()
    )
    assert moved > 1e-3


@pytest.mark.parametrize(("reference", "depends"), [("own_resolution", False), ("equal_resolution", True)])
def test_of_own_resolution_what_lowers_one_does_not_depend_on_the_other(reference, depends):
    """The slope of the loss along ln s of x, with y hardly known and with y known well."""
    one = trainer(reference)
    slopes = []
    for ln_y in (1.5, -1.5):
        ln = torch.tensor([1.0, ln_y], requires_grad=True)
        if depends:
            batch = one.batch(1)
            noised = one.process.noised(batch.images, batch.noise, batch.t)
            target = one.process.target(batch.images, batch.noise, batch.t)
            loss = ((one.network(noised, batch.t, batch.labels, ln_resolution=ln) - target) ** 2).mean()
        else:
            one.network.ln_resolution.data.copy_(ln.data)
            ln, loss = one.network.ln_resolution, one.network.loss(one.process, one.batch(1), 0.0)
        slopes.append(float(torch.autograd.grad(loss, ln)[0][0]))
    assert (abs(slopes[0] - slopes[1]) > 0.1 * abs(slopes[0])) == depends and slopes[0] > 0
    if not depends:
        assert slopes[0] == slopes[1]


def test_an_x_label_moves_the_x_profile_alone():
    denoiser = new_denoiser(TORUS, model("factorised"), Diffusion(prediction="v"), 0)
    with torch.no_grad():
        for parameter in denoiser.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    x_t = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    t = torch.full((4,), 500)
    process = Process.from_config(Diffusion(prediction="v"))
    here, there = torch.full((4, 2), 2.0), torch.tensor([[5.0, 2.0]]).expand(4, 2)
    images = [(process.denoised(denoiser(x_t, t, mu), x_t, t)[:, 0] + 1) / 2 for mu in (here, there)]
    # An outer product's rows are all alike but for their height, which is the y profile.
    for image in images:
        assert torch.linalg.svdvals(image)[:, 1].max() < 1e-4
    left = [torch.linalg.svd(image)[0][:, :, 0] for image in images]
    torch.testing.assert_close((left[0] * left[1]).sum(dim=1).abs(), torch.ones(4), rtol=0, atol=1e-3)
    assert (images[0] - images[1]).abs().max().item() > 1e-3


def test_activations_of_a_product_are_those_of_both():
    denoiser = new_denoiser(TORUS, model("factorised"), Diffusion(), 0)
    taps = {}
    denoiser(torch.zeros(2, 1, 8, 8), torch.zeros(2, dtype=torch.long), torch.zeros(2, 2), taps=taps)
    alone = {}
    denoiser.x(torch.zeros(2, 1, 8, 8), torch.zeros(2, dtype=torch.long), torch.zeros(2, 2), taps=alone)
    assert {name: 2 * tap.shape[1] for name, tap in alone.items()} == {name: tap.shape[1] for name, tap in taps.items()}


def test_a_gate_is_shut_until_it_opens_and_then_alone_is_trained():
    run = trainer("gated", steps=20)
    assert isinstance(run.network, Gated)
    images, mu, t, _ = run.batch(1)
    while run.step < 20 * GATE_OPENS:
        run.advance()
        assert run.network.gate.item() == 0
    shut = [run.network(images, t, labels) for labels in (mu, mu.flip(0))]
    assert torch.equal(*shut)
    kept = copy.deepcopy(run.network.network.state_dict())
    while run.step < 20:
        run.advance()
    torch.testing.assert_close(run.network.network.state_dict(), kept, rtol=0, atol=0)
    assert run.network.gate.item() != 0
    # The averaged weights follow the gate.
    assert 0 < abs(run.average.gate.item()) < abs(run.network.gate.item())


def test_a_gate_that_is_open_leaves_the_network_as_it_is():
    network = new_network(8, model("none"), 0)
    gated = Gated(copy.deepcopy(network))
    gated.gate.data.fill_(1.0)
    x, t, mu = torch.randn(3, 1, 8, 8), torch.tensor([1, 2, 3]), torch.rand(3, 2)
    assert torch.equal(gated(x, t, mu), network(x, t, mu))


def test_a_network_learns_both_labels_before_its_gate_opens():
    """Most images are given their labels, whatever the gate."""
    run = trainer("gated")
    batch = run.batch(1)
    swapped = batch._replace(labels=batch.labels.flip(0))
    with torch.no_grad():
        for parameter in run.network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        run.network.gate.zero_()
        found = [run.network.loss(run.process, one, 0.1) for one in (batch, swapped)]
        late = [run.network.loss(run.process, one, 0.9) for one in (batch, swapped)]
    assert not torch.equal(*found) and torch.equal(*late)


@pytest.mark.parametrize("reference", ["factorised", "gated"])
def test_a_reference_that_was_killed_goes_on_bit_for_bit(tmp_path, reference):
    whole = trainer(reference)
    train(whole, tmp_path / "whole", {})
    cut = trainer(reference)
    for _ in range(8):  # past the opening of the gate
        cut.advance()
    resumed = trainer(reference)
    resumed.restore({name: tensor.clone() for name, tensor in cut.state().items()})
    while resumed.step < TRAINING.steps:
        resumed.advance()
    torch.testing.assert_close(resumed.weights(), whole.weights(), rtol=0, atol=0)

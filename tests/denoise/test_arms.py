"""Denoisers with an inductive bias: what each is told, where it may look, and its size."""

import numpy as np
import pytest
import torch

from bumpscope.config.denoiser import BUILT_IN, KNOWN, DenoiserChoice
from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice, Shown
from bumpscope.config.loading import validate
from bumpscope.config.model import Model
from bumpscope.config.training import Training
from bumpscope.config.world import WorldChoice
from bumpscope.denoise.arms.rendering import Stripes
from bumpscope.denoise.denoiser import Batch
from bumpscope.denoise.examine import examine
from bumpscope.denoise.named import new_denoiser, with_default_weights
from bumpscope.denoise.process import Process
from bumpscope.denoise.trainer import Trainer, TrainingData
from bumpscope.denoise.unet import ResidualBlock
from bumpscope.worlds.bumps import render, to_network, training_points
from bumpscope.worlds.named import world_of
from recorded_steps import operations

ARMS = [kind for kind in BUILT_IN if kind not in KNOWN]
SMALL = Model(channel_multipliers=[1, 1, 1], embedding_width=8, attention_resolutions=[2])
PLANE = Lattice(image_size=16, margin=2.0)
TORUS = Lattice(image_size=16, sigma=2.0, boundary="torus")
N = 16


def arm(kind, lattice=PLANE, **keys):
    """A denoiser all of whose weights are random."""
    built = new_denoiser(lattice, SMALL, Diffusion(prediction="v"), 0, DenoiserChoice(kind=kind, **keys))
    return with_default_weights(built, 0).eval()


def asked(seed=0, n=3):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, 1, N, N, generator=draw), torch.full((n,), 400), 3 + 9 * torch.rand(n, 2, generator=draw)


def seen_by(network, *given):
    """What the inner UNet is given."""
    found = []
    network.unet.register_forward_pre_hook(lambda _module, inputs: found.append(inputs))
    network(*given)
    return found


@pytest.mark.parametrize("kind", [kind for kind in BUILT_IN if kind not in ("equal_resolution", "own_resolution")])
def test_whatever_network_a_step_calls_is_compiled(kind, monkeypatch):
    inside, convolved = [], []
    convolve = torch.nn.Conv2d.forward

    def compile(module, **_):
        def compiled(*given, **keys):
            inside.append(module)
            try:
                return module._call_impl(*given, **keys)
            finally:
                inside.pop()

        module._compiled_call_impl = compiled

    monkeypatch.setattr(torch.nn.Module, "compile", compile)
    monkeypatch.setattr(torch.nn.Conv2d, "forward", lambda *given: convolved.append(bool(inside)) or convolve(*given))
    points = training_points(PLANE)
    images = torch.tensor(to_network(render(points.mu_x, points.mu_y, PLANE))[:, None], dtype=torch.float32)
    labels = torch.tensor(np.stack([points.mu_x, points.mu_y], axis=1), dtype=torch.float32)
    data = TrainingData(images, labels, torch.tensor(points.probability))
    training = Training(steps=4, batch_size=4, warmup_steps=1, log_every=1, checkpoints=[4], compile=True)
    diffusion = Diffusion()
    built = new_denoiser(PLANE, SMALL, diffusion, 0, DenoiserChoice(kind=kind))
    trainer = Trainer(0, data, built, diffusion, training, torch.device("cpu"))
    while trainer.step < training.steps:
        trainer.advance()
    assert convolved and all(convolved)


@pytest.mark.parametrize("kind", ARMS)
def test_arms_train_on_designs_with_stripes(kind):
    lattice = PLANE.model_copy(update={"shown": Shown(each=2), "stripes": 0.4})
    points = training_points(lattice)
    drawn = points.probability > 0
    images = to_network(render(points.mu_x, points.mu_y, lattice))[drawn, None]
    labels = np.stack([points.mu_x, points.mu_y], axis=1)[drawn]
    images, labels = (torch.tensor(each, dtype=torch.float32) for each in (images, labels))
    data = TrainingData(images, labels, torch.tensor(points.probability[drawn]))
    training = Training(steps=3, batch_size=16, warmup_steps=1, log_every=1, checkpoints=[3])
    network = new_denoiser(lattice, SMALL, Diffusion(prediction="v"), 0, DenoiserChoice(kind=kind))
    trainer = Trainer(0, data, network, Diffusion(prediction="v"), training, torch.device("cpu"))
    before = trainer.weights_flat.clone()
    for _ in range(training.steps):
        trainer.draw()
        assert operations(trainer.compute)  # so a GPU can record it
        trainer.finish()
    assert np.isfinite(trainer.log.losses).all()
    assert not torch.equal(before, trainer.weights_flat)


# Per kind: operations of a prediction and of a training step, in those of the UNet, where they are no more alike.
UNLIKE = {"coind": (1, 2), "local": (13.1, 13.1)}


def sizes(kind, **model):
    one = {"image_size": 16, "margin": 2.0, "denoiser": {"kind": kind}, "model": model, "probe": {"layers": ["up3"]}}
    (run,) = validate({"seeds": [0], "datasets": {"one": one}}).runs()
    return examine(run)


@pytest.mark.parametrize("kind", [*ARMS, "product"])
def test_arms_are_as_large_as_the_unet(kind):
    model = {"channel_multipliers": [1, 1, 2], "embedding_width": 40} if kind == "product" else {}
    own, unet = sizes("factorised" if kind == "product" else kind, **model), sizes("unet")
    assert own.parameters / unet.parameters == pytest.approx(1, abs=0.1)
    forward, trained = UNLIKE.get(kind, (1, 1))
    assert own.forward / unet.forward == pytest.approx(forward, rel=0.1)
    assert own.trained / unet.trained == pytest.approx(trained, rel=0.1)


def test_a_rendered_label_is_a_stripe_and_reaches_the_network_nowhere_else():
    network = arm("rendering")
    x, t, labels = asked()
    keep = torch.tensor([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    ((seen, _, _, hidden, _),) = seen_by(network, x, t, labels, keep)
    assert not hidden.any()
    torch.testing.assert_close(seen[:, :1], x)
    along_x, along_y = seen[:, 1], seen[:, 2]
    assert (along_x == along_x[:, :1]).all() and (along_y == along_y[:, :, :1]).all()
    assert along_x[[0, 2]].std() > 0 and not along_x[1].any() and not along_y[2].any()
    moved = labels + torch.tensor([0.0, 2.0])
    ((again, *_),) = seen_by(network, x, t, moved, keep)[-1:]
    torch.testing.assert_close(again[:, 1], along_x)
    assert not torch.equal(again[0, 2], along_y[0])


@pytest.mark.parametrize("lattice", [PLANE, TORUS], ids=["plane", "torus"])
def test_relative_channels_are_0_at_the_request(lattice):
    x, t, _ = asked(n=2)
    labels, keep = torch.tensor([[4.0, 11.0], [15.0, 2.0]]), torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    ((seen, _, _, hidden, _),) = seen_by(arm("relative", lattice), x, t, labels, keep)
    assert not hidden.any() and not seen[1, 2].any()
    j, i = np.arange(N)[None, :], np.arange(N)[:, None]

    def away(pixel, centre):
        return (pixel - centre + 8) % 16 - 8 if lattice.boundary == "torus" else pixel - centre

    np.testing.assert_allclose(seen[0, 1], np.broadcast_to(away(j, 4.0) / 8, (N, N)))
    np.testing.assert_allclose(seen[0, 2], np.broadcast_to(away(i, 11.0) / 8, (N, N)))
    np.testing.assert_allclose(seen[1, 1], np.broadcast_to(away(j, 15.0) / 8, (N, N)))


def test_plain_coordinates_say_nothing_of_the_request():
    x, t, labels = asked()
    ((seen, _, given, keep, _),) = seen_by(arm("coordconv"), x, t, labels)
    assert keep is None and torch.equal(given, labels)
    np.testing.assert_allclose(seen[2, 1, 5], (np.arange(N) - 7.5) / 8)
    np.testing.assert_allclose(seen[0, 2, :, 5], (np.arange(N) - 7.5) / 8)


def test_x_modulates_one_half_of_the_channels_and_y_the_other():
    network = arm("split_film")
    found = {}
    for name, module in network.named_modules():
        if isinstance(module, ResidualBlock):
            module.modulation.register_forward_hook(
                lambda _m, _i, out, name=name: found.setdefault(name, []).append(out)
            )
    x, t, labels = asked()
    for move in ([0.0, 0.0], [2.0, 0.0], [0.0, 2.0]):
        network(x, t, labels + torch.tensor(move))
    assert len(found) == 8
    for usual, x_moved, y_moved in found.values():
        halves = [out.unflatten(1, (2, 2, -1)) for out in (usual, x_moved, y_moved)]  # scale or shift, half, channel
        for moved, (own, other) in zip(halves[1:], ((0, 1), (1, 0)), strict=True):
            assert torch.equal(moved[:, :, other], halves[0][:, :, other])
            assert not torch.equal(moved[:, :, own], halves[0][:, :, own])


def batch(n=4000, size=4):
    draw = torch.Generator().manual_seed(3)
    images, noise = torch.zeros(n, 1, size, size), torch.randn(n, 1, size, size, generator=draw)
    return Batch(images, torch.full((n, 2), 7.0), torch.full((n,), 300), noise)


def test_labels_are_dropped_one_by_one_in_the_share_asked_for():
    kept = arm("dropout", drop=0.2)._kept(batch())
    assert torch.equal(kept, arm("dropout", drop=0.2)._kept(batch()))
    share = 1 - kept.mean(dim=0)
    assert share.tolist() == pytest.approx([0.2, 0.2], abs=0.03)
    assert ((1 - kept[:, 0]) * (1 - kept[:, 1])).mean().item() == pytest.approx(0.04, abs=0.015)


def test_composed_scores_are_those_of_each_label_less_that_of_none():
    plain, composed = arm("dropout"), arm("dropout", composed=True)
    x, t, labels = asked()

    def alone(*keep):
        return plain(x, t, labels, torch.tensor([keep]).expand_as(labels))

    taps = {}
    expected = alone(1.0, 0.0) + alone(0.0, 1.0) - alone(0.0, 0.0)
    torch.testing.assert_close(composed(x, t, labels, None, taps), expected)
    assert set(taps) == set(plain.layers)
    torch.testing.assert_close(composed(x, t, labels, torch.tensor([[1.0, 0.0]]).expand_as(labels)), alone(1.0, 0.0))


def test_the_penalty_is_what_both_labels_say_beyond_each():
    process = Process.from_config(Diffusion(prediction="v"))
    x, t, labels = asked(n=8)
    given = Batch(x, labels, t, asked(1, 8)[0])
    plain, penalised = arm("dropout"), arm("coind", weight=2.0)
    noised = process.noised(given.images, given.noise, t)[:2]
    pairs = torch.stack([labels[:2, 0], labels[[7, 0], 1]], dim=1)
    both, own_x, own_y, neither = (
        plain(noised, t[:2], pairs, torch.tensor([keep]).expand_as(pairs))
        for keep in ([1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0])
    )
    extra = 2 * (both - own_x - own_y + neither).square().mean()
    assert extra > 0
    found = penalised.loss(process, given, 0.0)
    torch.testing.assert_close(found, plain.loss(process, given, 0.0) + extra)


def test_a_local_denoiser_sees_eleven_pixels():
    network = arm("local", width=16)
    x, t, labels = asked(n=1)
    x.requires_grad_()
    network(x, t, labels)[0, 0, 8, 7].backward()
    rows, columns = np.nonzero(x.grad[0, 0].numpy())
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 13, 2, 12)


def test_wrong_keys_of_an_arm_are_told():
    with pytest.raises(ValueError, match="drop is 2"):
        arm("dropout", drop=2)


@pytest.mark.parametrize("kind", ["rendering", "coordconv", "local"])
def test_arms_that_know_where_pixels_are_take_a_size_as_the_unet_does(kind):
    lattice = Lattice(image_size=16, margin=2.0, world=WorldChoice(kind="sized", sizes=4))
    network = arm(kind, lattice)
    x, t, _ = asked(n=1)
    answers = [network(x, t, torch.tensor([[8.0, size]])) for size in (1.2, 2.4)]
    assert not torch.equal(*answers)
    hidden = [network(x, t, torch.tensor([[8.0, size]]), torch.tensor([[1.0, 0.0]])) for size in (0.0, 2.4)]
    assert torch.equal(*hidden) and hidden[0].isfinite().all()


def test_a_rendered_size_goes_by_its_logarithm():
    network = arm("rendering", Lattice(image_size=16, margin=2.0, world=WorldChoice(kind="sized")))
    sizes = torch.tensor([1.0, 3.0**0.5, 3.0])
    np.testing.assert_allclose(network.stripes.coordinates[1](sizes), [0.0, 7.5, 15.0], atol=1e-5)


def test_three_labels_have_no_axes_to_be_rendered_on():
    with pytest.raises(ValueError, match="two labels"):
        Stripes(16, 8, [*world_of(PLANE).factors, world_of(PLANE).factors[0]])

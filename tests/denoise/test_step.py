"""The training step: the same numbers as a plain loop, and nothing in its recorded part that a GPU could not repeat."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from bumpscope.denoise.denoiser import Batch
from bumpscope.denoise.devices import TF32
from bumpscope.denoise.flat import flatten_parameters, slices
from bumpscope.denoise.trainer import adamw, learning_rate
from bumpscope.seeding import derived_seed
from recorded_steps import operations
from small_trainings import TRAINING, trainer

CASES = [
    *[
        (reference, "v", "float32")
        for reference in ("none", "factorised", "gated", "equal_resolution", "own_resolution")
    ],
    ("none", "epsilon", "bfloat16"),
]


def plain_loop(one):
    """Weights, average, moments and losses of a training written out, with nothing of the trainer's but its start."""
    network, training, process = copy.deepcopy(one.network), one.training, one.process
    average = copy.deepcopy(network)
    weights, averaged = flatten_parameters(network, True), flatten_parameters(average, True)
    parts = slices(weights, network.parts())
    optimizer = torch.optim.AdamW([weights], lr=1.0, weight_decay=training.weight_decay, fused=True)
    cumulative = one.data.probability.double().cumsum(0)
    losses = []
    for step in range(1, training.steps + 1):
        draw = torch.Generator().manual_seed(derived_seed(one.seed, "batch", step))
        uniform = torch.rand(training.batch_size, generator=draw, dtype=torch.float64)
        index = torch.searchsorted(cumulative, uniform * cumulative[-1], right=True).clamp(max=len(cumulative) - 1)
        t = torch.randint(process.timesteps, (training.batch_size,), generator=draw)
        images = one.data.images[index]
        batch = Batch(images, one.data.labels[index], t, torch.randn(images.shape, generator=draw))
        progress = (step - 1) / training.steps
        with torch.autocast("cpu", torch.bfloat16, enabled=training.precision == "bfloat16"):
            loss = network.loss(process, batch, progress)
        optimizer.zero_grad(set_to_none=False)
        loss.backward()
        optimizer.param_groups[0]["lr"] = learning_rate(step, training)
        for part in parts:
            nn.utils.clip_grad_norm_([part], training.gradient_clip)
        network.update(progress, optimizer.step)
        with torch.no_grad():
            averaged.lerp_(weights, 1 - training.ema_decay if step > 1 else 1.0)
        losses.append(loss.item())
    moments = optimizer.state_dict()["state"].get(0, {})
    return network.state_dict(), average.state_dict(), moments, losses


def alone(tensors, prefix):
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


@pytest.mark.parametrize(("reference", "prediction", "precision"), CASES)
def test_every_number_of_a_training_is_that_of_a_plain_loop(reference, prediction, precision):
    one = trainer(reference, prediction, precision)
    weights, average, moments, losses = plain_loop(one)
    while one.step < TRAINING.steps:
        one.advance()
    state = one.state()
    for prefix, expected in (("raw.", weights), ("ema.", average), ("optimizer.", moments)):
        found = alone(state, prefix)
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            assert torch.equal(found[name], tensor), f"{prefix}{name}"
    rows = np.split(np.array(losses), [3, 6])
    assert one.log.losses == [np.mean(row) for row in rows]


@pytest.mark.parametrize("reference", ["none", "factorised", "gated", "equal_resolution", "own_resolution"])
def test_what_is_computed_reads_no_number_back_and_draws_nothing(reference):
    one = trainer(reference)
    while one.step < TRAINING.steps:
        one.draw()
        made = {str(func) for func, *_ in operations(one.compute)}
        assert len(made) > 5
        drawing = ("rand", "uniform", "normal_", "bernoulli", "dropout")
        assert not [name for name in made if any(word in name for word in drawing)]
        one.finish()


def test_a_step_that_reads_a_number_back_is_noticed():
    one = trainer()
    one.draw()
    compute = one.network.loss
    one.network.loss = lambda *given: compute(*given) * float(one.weights_flat.detach().norm())
    with pytest.raises(RuntimeError, match="reads from the device"):
        operations(one.compute)


def test_steps_of_one_form_make_the_same_operations():
    """The first step, whose average starts anew, and each stage of the gated reference have forms of their own."""
    one, made = trainer("gated"), {}
    while one.step < TRAINING.steps:
        one.draw()
        made.setdefault(one.form, set()).add(tuple(str(func) for func, *_ in operations(one.compute)))
        one.finish()
    assert list(made) == [(True, 0), (False, 0), (False, 1)]
    first = made.pop((True, 0))
    assert all(len(found) == 1 for found in (first, *made.values()))
    assert made[False, 0] != made[False, 1]


@pytest.fixture
def no_tf32():
    before = [backend.allow_tf32 for backend in TF32]
    for backend in TF32:
        backend.allow_tf32 = False
    yield
    for backend, was in zip(TF32, before, strict=True):
        backend.allow_tf32 = was


@pytest.mark.parametrize(("precision", "allowed"), [("float32", False), ("tf32", True), ("bfloat16", False)])
def test_products_are_rounded_to_tf32_only_where_asked_for_and_only_meanwhile(no_tf32, precision, allowed):
    one, seen = trainer(precision=precision), []
    loss = one.network.loss

    def look(*given):
        found = loss(*given)
        found.register_hook(lambda _: seen.append([backend.allow_tf32 for backend in TF32]))
        seen.append([backend.allow_tf32 for backend in TF32])
        return found

    one.network.loss = look
    one.advance()
    assert seen == 2 * [[allowed, allowed]]  # forward and backward
    assert not any(backend.allow_tf32 for backend in TF32)


def test_drawing_writes_into_the_same_memory():
    one = trainer()
    places = []
    for _ in range(3):
        one.draw()
        drawn = one._drawn()
        places.append((one._uniform.data_ptr(), drawn.t.data_ptr(), drawn.noise.data_ptr()))
        one.step += 1
    assert len(set(places)) == 1


def test_a_learning_rate_kept_in_memory_follows_the_schedule_up_to_rounding():
    one, other = trainer(), trainer()
    other.optimizer = adamw(other.weights_flat, TRAINING, rate_in_memory=True)
    rate = other.optimizer.param_groups[0]["lr"]
    while one.step < TRAINING.steps:
        one.advance()
        other.advance()
        assert other.optimizer.param_groups[0]["lr"] is rate
        assert rate.item() == pytest.approx(learning_rate(one.step, TRAINING), rel=1e-6, abs=1e-12)
    torch.testing.assert_close(other.weights(), one.weights(), rtol=1e-5, atol=1e-7)


def test_a_resumed_training_reads_its_learning_rate_from_memory_again():
    one, other = trainer(), trainer()
    for each in (one, other):
        each.optimizer = adamw(each.weights_flat, TRAINING, rate_in_memory=True)
    while one.step < 4:
        one.advance()
    other.restore({name: tensor.clone() for name, tensor in one.state().items()})
    while one.step < TRAINING.steps:
        one.advance()
        other.advance()
    for name, tensor in one.state().items():
        assert torch.equal(other.state()[name], tensor), name

"""Training: it learns, it resumes to the bit, and it depends on nothing but its settings."""

import errno
import hashlib
import json
import logging
import math
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from bumpscope.commands import train as train_command
from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Holdout, Lattice, Skew
from bumpscope.config.loading import validate
from bumpscope.config.model import Model
from bumpscope.config.section import canonical_json
from bumpscope.config.steps import step_settings
from bumpscope.config.training import Training
from bumpscope.denoise import assignment
from bumpscope.denoise import loop as module
from bumpscope.denoise.loop import train
from bumpscope.denoise.trainer import Trainer, TrainingData, TrainingError, learning_rate
from bumpscope.denoise.unet import new_network
from bumpscope.store.checkpoints import load_tensors, load_weights, save_tensors
from bumpscope.store.files import FileError
from bumpscope.store.tables import read_table
from bumpscope.worlds.bumps import lattice_points, render, to_network

LATTICE = Lattice(image_size=8, sigma=1.0, margin=2.0, dx=1.0, dy=1.0)
MODEL = Model(channel_multipliers=[1, 1, 1], attention_resolutions=[1], embedding_width=8)
TRAINING = Training(
    steps=12, batch_size=4, learning_rate=2e-3, warmup_steps=3, ema_decay=0.9, log_every=3, checkpoints=[0, 4, 9, 12]
)
CPU = torch.device("cpu")


def data(lattice=LATTICE):
    points = lattice_points(lattice)
    images = to_network(render(points.mu_x, points.mu_y, lattice))[:, None]
    mu = np.stack([points.mu_x, points.mu_y], axis=1)
    return TrainingData(
        torch.tensor(images, dtype=torch.float32),
        torch.tensor(mu, dtype=torch.float32),
        torch.tensor(points.probability),
    )


def trainer(seed=0, lattice=LATTICE, prediction="v", **keys):
    torch.set_num_threads(1)
    network = new_network(lattice.image_size, MODEL, seed)
    return Trainer(
        seed, data(lattice), network, Diffusion(prediction=prediction), TRAINING.model_copy(update=keys), CPU
    )


def advanced(one, steps):
    for _ in range(steps):
        one.advance()
    return one


def assert_same(one, other):
    """Two training states, or two sets of weights, are the same with zero tolerance."""
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=0, equal_nan=True, msg=lambda m, n=name: n + m)


def stopped(one, after, folder):
    """Train, as ``train`` does, until the process dies when it begins step ``after`` + 1."""

    class Killed(BaseException):
        pass

    advance = one.advance

    def until():
        if one.step == after:
            raise Killed
        advance()

    one.advance = until
    with pytest.raises(Killed):
        train(one, folder, {"run": "r"})


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The final state of an undisturbed run and the files that it leaves."""
    folder = tmp_path_factory.mktemp("straight")
    one = trainer()
    log = train(one, folder, {"run": "r"})
    return one.state(), contents(folder), log


def test_the_files_of_a_run_are_its_checkpoints_and_its_state(straight):
    _, files, log = straight
    assert set(files) == {"state.safetensors", *(f"step={step}.safetensors" for step in TRAINING.checkpoints)}
    assert log.steps == [3, 6, 9, 12]


def test_a_checkpoint_holds_raw_and_averaged_weights_of_its_step(straight, tmp_path):
    state, files, _ = straight
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    tensors, metadata = load_tensors(tmp_path / "step=9.safetensors")
    assert (metadata["step"], metadata["run"]) == ("9", "r")
    assert_same(tensors, advanced(trainer(), 9).weights())
    last = load_tensors(tmp_path / "step=12.safetensors")[0]
    assert_same(last, {name: state[name] for name in last})
    untrained = new_network(8, MODEL, 0).state_dict()
    for weights in ("raw", "ema"):
        assert_same(load_weights(tmp_path / "step=0.safetensors", weights), untrained)


@pytest.mark.parametrize("cut", [0, 1, 3, 7, 11])
def test_a_state_saved_at_any_step_is_resumed_to_the_bit(straight, tmp_path, cut):
    save_tensors(tmp_path / "state", advanced(trainer(), cut).state(), {})
    resumed = trainer()
    resumed.restore(load_tensors(tmp_path / "state")[0])
    assert resumed.step == cut
    # Weights, their average, both moments of the optimiser, the losses: all of it.
    final = advanced(resumed, 12 - cut).state()
    assert_same(final, straight[0])
    assert {name.split(".")[-1] for name in final if name.startswith("optimizer")} == {"exp_avg", "exp_avg_sq", "step"}


@pytest.mark.parametrize(("kill", "resumed_at"), [(2, None), (5, 3), (10, 9)])
def test_a_killed_training_goes_on_to_the_same_files(straight, tmp_path, monkeypatch, kill, resumed_at):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_STATES", 0.0)
    monkeypatch.setattr(module, "SHARE_OF_STATES", math.inf)
    monkeypatch.setattr(module, "SECONDS_BETWEEN_REPORTS", math.inf)  # however slow the machine
    stopped(trainer(), kill, tmp_path)
    told = []
    log = train(trainer(), tmp_path, {"run": "r"}, told.append)
    assert told[:-1] == ([] if resumed_at is None else [f"resumed at step {resumed_at} of 12"])
    assert contents(tmp_path) == straight[1]
    assert log == straight[2]


@pytest.mark.parametrize(("saving", "together", "between"), [(0.01, 8, 30), (2, 1, 40), (2, 8, 320), (60, 8, 600)])
def test_states_that_are_slow_to_save_are_saved_less_often(tmp_path, monkeypatch, saving, together, between):
    clock = iter([0.0, float(saving)])
    course = module.Course(trainer(), tmp_path, {}, together=together)
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    course._save_state()
    assert course._between_states == pytest.approx(between)


def test_a_training_killed_twice_goes_on_to_the_same_files(straight, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_STATES", 0.0)
    monkeypatch.setattr(module, "SHARE_OF_STATES", math.inf)
    for kill in (4, 8):
        stopped(trainer(), kill, tmp_path)
    train(trainer(), tmp_path, {"run": "r"})
    assert contents(tmp_path) == straight[1]


def test_a_finished_training_is_not_done_again(straight, tmp_path, monkeypatch):
    for name, content in straight[1].items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(Trainer, "advance", lambda self: pytest.fail("trained again"))
    assert train(trainer(), tmp_path, {"run": "r"}) == straight[2]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "garbage"])
def test_a_broken_state_is_told_and_training_starts_again(straight, tmp_path, damage):
    raw = straight[1]["state.safetensors"]
    flipped = raw[:-1] + bytes([raw[-1] ^ 1])
    broken = {"truncated": raw[:-100], "flipped": flipped, "garbage": b"nothing"}[damage]
    (tmp_path / "state.safetensors").write_bytes(broken)
    told = []
    train(trainer(), tmp_path, {"run": "r"}, told.append)
    assert told[0].startswith(f"{tmp_path / 'state.safetensors'}: ")
    assert told[0].endswith("(starting again from step 0)")
    assert contents(tmp_path) == straight[1]


@pytest.mark.parametrize("change", [{"run": "other"}, {"settings": "0123456789abcdef"}])
def test_a_state_of_another_training_is_told_and_training_starts_again(straight, tmp_path, change):
    path = tmp_path / "state.safetensors"
    path.write_bytes(straight[1][path.name])
    tensors, metadata = load_tensors(path)
    save_tensors(path, tensors, metadata | change)
    told = []
    train(trainer(), tmp_path, {"run": "r"}, told.append)
    assert told[0].startswith(f"{path}: is of another training (") and told[0].endswith("starting again from step 0)")
    assert contents(tmp_path) == straight[1]


def test_a_run_does_not_depend_on_its_neighbours_or_on_what_was_drawn_before(straight):
    advanced(trainer(seed=1), 2)
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    one = trainer()
    for _ in range(12):
        one.advance()
        # Sampling in between, and anything else that draws from the global streams.
        with torch.inference_mode():
            one.network.eval()(torch.randn(2, 1, 8, 8), torch.tensor([5, 7]), torch.rand(2, 2))
            one.network.train()
        np.random.rand(5)  # noqa: NPY002
    assert_same(one.state(), straight[0])


def test_another_seed_is_another_run():
    assert not torch.equal(new_network(8, MODEL, 0).first.weight, new_network(8, MODEL, 1).first.weight)
    assert not torch.equal(trainer(seed=0).batch(1)[3], trainer(seed=1).batch(1)[3])


def test_a_new_network_leaves_the_global_stream_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    new_network(8, MODEL, 5)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_the_first_loss_is_the_mean_square_of_the_target(prediction):
    one = trainer(prediction=prediction, log_every=1)
    images, _, t, noise = one.batch(1)
    expected = one.process.target(images, noise, t).square().mean().item()  # an untrained network answers zero
    one.advance()
    assert one.log.losses == [pytest.approx(expected, rel=1e-6)]


def test_logged_losses_are_means_since_the_row_before():
    every, third = trainer(log_every=1, steps=7), trainer(log_every=3, steps=7)
    advanced(every, 7)
    advanced(third, 7)
    assert third.log.steps == [3, 6, 7]
    losses = every.log.losses
    expected = [np.mean(losses[:3]), np.mean(losses[3:6]), losses[6]]
    np.testing.assert_allclose(third.log.losses, expected, rtol=1e-12)


def test_the_loss_decreases():
    one = advanced(trainer(steps=50, batch_size=16, log_every=1, learning_rate=5e-3), 50)
    # The first loss is that of a network which answers zero.
    assert np.mean(one.log.losses[-10:]) < 0.5 * one.log.losses[0]


def test_the_average_is_the_recursion_by_hand():
    one, expected = trainer(), None
    for _ in range(6):
        one.advance()
        raw = {name: tensor.double().clone() for name, tensor in one.network.state_dict().items()}
        # The average starts from the weights after the first step.
        expected = raw if expected is None else {n: 0.9 * expected[n] + 0.1 * raw[n] for n in raw}
    for name, tensor in one.average.state_dict().items():
        torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-7)


def test_an_optimiser_step_is_adamw_on_the_clipped_gradient():
    keys = {"weight_decay": 0.1, "gradient_clip": 1e-3, "warmup_steps": 0, "learning_rate_schedule": "constant"}
    one, other = trainer(**keys), trainer(**keys)
    plain = torch.optim.AdamW(other.network.parameters(), lr=2e-3, weight_decay=0.1, foreach=False, fused=False)
    for step in (1, 2, 3):
        one.advance()
        images, mu, t, noise = other.batch(step)
        answer = other.network(other.process.noised(images, noise, t), t, mu)
        plain.zero_grad()
        (answer - other.process.target(images, noise, t)).square().mean().backward()
        norm = math.sqrt(sum(p.grad.square().sum().item() for p in other.network.parameters()))
        assert norm > 1e-3
        for parameter in other.network.parameters():
            parameter.grad *= 1e-3 / (norm + 1e-6)
        plain.step()
    for name, tensor in one.network.state_dict().items():
        torch.testing.assert_close(tensor, other.network.state_dict()[name], rtol=1e-3, atol=2e-5)


def test_bfloat16_takes_nearly_the_same_steps():
    plain, half = advanced(trainer(), 12), advanced(trainer(precision="bfloat16"), 12)
    assert half.network.first.weight.dtype == torch.float32
    assert half.log.losses != plain.log.losses
    # bfloat16 has eight significant bits.
    assert half.log.losses == pytest.approx(plain.log.losses, rel=2e-2)


@pytest.mark.slow  # the compiler takes a minute or two
def test_a_compiled_step_is_the_plain_one_up_to_rounding():
    plain, compiled = advanced(trainer(), 12), advanced(trainer(compile=True), 12)
    assert compiled.log.losses == pytest.approx(plain.log.losses, rel=1e-4)
    for name, tensor in compiled.weights().items():
        torch.testing.assert_close(tensor, plain.weights()[name], rtol=1e-2, atol=2e-4, msg=name)


RATES = Training(steps=100, warmup_steps=20, learning_rate=0.01, checkpoints=[0])


def test_the_learning_rate_rises_linearly_and_falls_as_a_cosine_to_zero():
    for step in range(1, 21):
        assert learning_rate(step, RATES) == pytest.approx(0.01 * step / 20, rel=1e-12)
    for step in range(20, 101):
        expected = 0.01 * math.cos(math.pi / 2 * (step - 20) / 80) ** 2
        assert learning_rate(step, RATES) == pytest.approx(expected, rel=1e-9, abs=1e-15)
    assert learning_rate(100, RATES) == pytest.approx(0.0, abs=1e-15)


def test_a_constant_learning_rate_stays_and_no_warm_up_starts_at_the_peak():
    constant = RATES.model_copy(update={"learning_rate_schedule": "constant"})
    assert {learning_rate(step, constant) for step in range(20, 101)} == {0.01}
    at_once = RATES.model_copy(update={"learning_rate_schedule": "constant", "warmup_steps": 0})
    assert {learning_rate(step, at_once) for step in range(1, 101)} == {0.01}
    warm_up_only = RATES.model_copy(update={"warmup_steps": 100})
    assert learning_rate(100, warm_up_only) == pytest.approx(0.01)


def test_the_optimiser_uses_the_scheduled_rate():
    one = trainer()
    for step in range(1, 6):
        one.advance()
        assert one.optimizer.param_groups[0]["lr"] == learning_rate(step, TRAINING)


def drawn(lattice, batches=6, size=4096):
    """Indices of the lattice points that training draws, and the timesteps."""
    one = trainer(lattice=lattice, batch_size=size)
    points = lattice_points(lattice)
    index = {(x, y): k for k, (x, y) in enumerate(np.stack([points.mu_x, points.mu_y], axis=1).astype(np.float32))}
    found, times = [], []
    for step in range(1, batches + 1):
        images, mu, t, _ = one.batch(step)
        found += [index[tuple(centre)] for centre in mu.numpy()]
        times.append(t.numpy())
        np.testing.assert_array_equal(images.numpy(), one.data.images[found[-size:]].numpy())
    return np.array(found), np.concatenate(times), points


@pytest.mark.parametrize(
    "lattice",
    [
        LATTICE,
        LATTICE.model_copy(update={"skew": Skew(axis="x", alpha=1.0)}),
        LATTICE.model_copy(update={"skew": Skew(axis="both", alpha=0.5), "dx": 0.5}),
        LATTICE.model_copy(update={"holdout": Holdout(x=[2.0, 3.0], y=[3.0, 4.0])}),
    ],
    ids=["even", "skew x", "skew both", "held out"],
)
def test_images_are_drawn_with_their_probabilities(lattice):
    found, times, points = drawn(lattice)
    counts = np.bincount(found, minlength=len(points.mu_x))
    assert (counts[points.heldout] == 0).all()
    expected = points.probability * len(found)
    seen = ~points.heldout
    assert chisquare(counts[seen], expected[seen]).pvalue > 0.001
    assert chisquare(np.bincount(times, minlength=1000)).pvalue > 0.001


def test_permuted_labels_are_those_of_other_images_and_always_the_same():
    own, permuted = data(), data().with_permuted_labels(0)
    assert torch.equal(permuted.images, own.images) and torch.equal(permuted.probability, own.probability)
    assert (permuted.labels != own.labels).any(dim=1).all()
    assert sorted(permuted.labels.tolist()) == sorted(own.labels.tolist())
    assert torch.equal(permuted.labels, data().with_permuted_labels(0).labels)
    assert not torch.equal(permuted.labels, data().with_permuted_labels(1).labels)


def test_the_noise_is_standard_normal_and_new_at_each_step():
    one = trainer(batch_size=512)
    first, second = one.batch(1)[3], one.batch(2)[3]
    n = first.numel()
    for noise in (first, second):
        assert noise.mean().item() == pytest.approx(0, abs=4 / math.sqrt(n))
        assert noise.var().item() == pytest.approx(1, abs=4 * math.sqrt(2 / n))
    assert abs((first * second).mean().item()) < 4 / math.sqrt(n)


def test_a_batch_depends_on_its_step_only():
    one, other = trainer(), trainer()
    other.batch(1), other.batch(9)
    for left, right in zip(one.batch(5), other.batch(5), strict=True):
        assert torch.equal(left, right)


def test_a_loss_that_is_not_finite_ends_the_training_and_keeps_the_last_good_state(straight, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_STATES", 0.0)
    monkeypatch.setattr(module, "SHARE_OF_STATES", math.inf)
    one = trainer()
    advance = one.advance

    def poisoned():
        if one.step == 7:
            one.data.images[:] = float("nan")
        advance()

    one.advance = poisoned
    with pytest.raises(TrainingError) as caught:
        train(one, tmp_path, {"run": "r"})
    message = str(caught.value)
    assert "\n" not in message
    losses = straight[2].losses
    for part in (
        "between steps 7 and 9",
        f"(loss before: {losses[0]:.4g} at step 3, {losses[1]:.4g} at step 6)",
        "training.learning_rate (now 0.002)",
        "training.gradient_clip (now 1.0)",
        f"the last good state, of step 6, is kept in {tmp_path / 'state.safetensors'}",
    ):
        assert part in message
    state = load_tensors(tmp_path / "state.safetensors")[0]
    assert int(state["step"]) == 6
    assert all(tensor.isfinite().all() for tensor in state.values())
    # From there, with the cause gone, the run is what it would have been.
    train(trainer(), tmp_path, {"run": "r"})
    assert contents(tmp_path) == straight[1]


def test_weights_that_are_not_finite_end_the_training_before_they_are_kept(tmp_path):
    one = trainer(steps=3)
    # The backward pass overflows at the last step, where the loss is still finite.
    one.network.first.weight.register_hook(lambda gradient: gradient * (float("inf") if one.step == 2 else 1.0))
    with pytest.raises(TrainingError, match=r"weights are not finite between steps 1 and 3:.*; no state was saved"):
        train(one, tmp_path, {"run": "r"})
    assert not (tmp_path / "state.safetensors").exists()


def test_a_learning_rate_that_is_far_too_high_never_leaves_broken_results(tmp_path):
    one = trainer(learning_rate=1.0, gradient_clip=1e30, warmup_steps=0)
    try:
        train(one, tmp_path, {"run": "r"})
    except TrainingError as error:
        assert "lower training.learning_rate (now 1.0)" in str(error)
    else:
        assert all(tensor.isfinite().all() for tensor in load_tensors(tmp_path / "step=12.safetensors")[0].values())


def test_progress_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_REPORTS", 0.0)
    told = []
    train(trainer(), tmp_path, {"run": "r"}, told.append)
    assert [line.split(",")[0] for line in told] == [f"step {step} of 12" for step in (3, 6, 9, 12)]
    assert "steps/s" in told[0] and "left" in told[0]


STEPS = 40
PLAIN = {
    "seeds": [3],
    "datasets": {"small": LATTICE.model_dump(mode="json", exclude_none=True)},
    "model": MODEL.model_dump(mode="json"),
    "training": {
        **{"steps": STEPS, "batch_size": 4, "warmup_steps": 5, "log_every": 5},
        "checkpoints": list(range(0, STEPS + 1, 5)),
    },
    "probe": {"checkpoints": [0]},
}


@pytest.fixture(scope="module")
def run():
    return next(validate(PLAIN).runs())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, run):
    from bumpscope.commands.dataset import dataset as draw

    path = tmp_path_factory.mktemp("datasets") / "small.parquet"
    draw(canonical_json(step_settings(run, "dataset")), path)
    return path


def command(run, dataset, folder, **keys):
    """The arguments of the train command."""
    settings = step_settings(run, "train")
    settings["training"] |= keys
    return {
        "settings": canonical_json(settings),
        "dataset": dataset,
        "output": folder / "run",
        "state": folder / "state",
        "device": "cpu",
    }


def digests(folder):
    files = [*(folder / "run").glob("*.parquet"), *(folder / "run").glob("checkpoints/*")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()}


@pytest.mark.slow  # test_assignment kills a job of several runs
def test_a_training_killed_for_real_and_run_again_leaves_the_same_bytes(run, dataset, tmp_path):
    from bumpscope.commands.train import train as train_command

    def start():
        arguments = command(run, dataset, tmp_path / "killed")
        options = [part for name, value in arguments.items() for part in (f"--{name}", str(value))]
        return subprocess.Popen(
            [sys.executable, "-m", "bumpscope", "train", *options], stderr=subprocess.PIPE, text=True
        )

    # As soon as there is a state to resume from, and again in the middle of what is left.
    for awaited in ("state.safetensors", "step=20.safetensors"):
        process = start()
        while process.poll() is None and not list(tmp_path.glob(f"killed/state/*/{awaited}")):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
        assert not (tmp_path / "killed" / "run").exists()
    last = start()
    told = last.communicate()[1]
    assert last.returncode == 0, told
    assert "resumed at step" in told
    train_command(**command(run, dataset, tmp_path / "undisturbed"))
    expected = digests(tmp_path / "undisturbed")
    assert set(expected) == {"losses.parquet", *(f"step={step}.safetensors" for step in range(0, STEPS + 1, 5))}
    assert digests(tmp_path / "killed") == expected
    # Nothing temporary is left among the results.
    assert not list((tmp_path / "killed" / "run").rglob("*.part"))


def test_the_loss_table_counts_images_and_names_the_rate(run, dataset, tmp_path):
    from bumpscope.commands.train import train as train_command

    train_command(**command(run, dataset, tmp_path, steps=12, checkpoints=[0, 12]))
    losses = read_table("losses", tmp_path / "run" / "losses.parquet")
    assert losses.step.tolist() == [5, 10, 12]
    assert losses.images_seen.tolist() == [20, 40, 48]
    settings = run.training.model_copy(update={"steps": 12})
    assert losses.learning_rate.tolist() == [learning_rate(step, settings) for step in (5, 10, 12)]
    metadata = load_tensors(tmp_path / "run" / "checkpoints" / "step=12.safetensors")[1]
    assert json.loads(metadata["config"])["training"]["steps"] == 12
    assert int(metadata["parameters"]) == sum(p.numel() for p in new_network(8, MODEL, 3).parameters())


def test_a_disk_that_is_full_when_checkpoints_are_published_keeps_the_training(run, dataset, tmp_path, monkeypatch):
    from pathlib import Path

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    arguments = command(run, dataset, tmp_path, steps=5, checkpoints=[0, 5])
    with monkeypatch.context() as patched:
        patched.setattr(Path, "hardlink_to", full)
        patched.setattr(train_command.shutil, "copyfile", full)
        with pytest.raises(FileError, match="free some space"):
            train_command.train(**arguments)
    monkeypatch.setattr(Trainer, "advance", lambda self: pytest.fail("trained again"))
    train_command.train(**arguments)
    assert (tmp_path / "run" / "checkpoints" / "step=5.safetensors").exists()


def test_a_checkpoint_broken_in_the_state_is_not_published_and_not_resumed_from(run, dataset, tmp_path):
    from bumpscope.commands.train import train as train_command

    arguments = command(run, dataset, tmp_path, steps=5, checkpoints=[0, 5])
    train_command(**arguments)
    good = (tmp_path / "run" / "checkpoints" / "step=5.safetensors").read_bytes()
    broken = next((tmp_path / "state").glob("*/step=5.safetensors"))
    broken.unlink()  # rather than written into: results and state share their bytes on disk
    broken.write_bytes(good[:-1])
    with pytest.raises(FileError, match="delete it and run the workflow again"):
        train_command(**arguments)
    assert (tmp_path / "run" / "checkpoints" / "step=5.safetensors").read_bytes() == good
    train_command(**arguments)
    assert (tmp_path / "run" / "checkpoints" / "step=5.safetensors").read_bytes() == good


def test_a_run_on_permuted_labels_is_trained_on_them(run, dataset, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(assignment, "Trainer", lambda seed, data, *_: seen.append(data.labels) or stop())

    def stop():
        raise KeyboardInterrupt

    for labels in ("own", "permuted"):
        with pytest.raises(KeyboardInterrupt):
            train_command.train(**command(run, dataset, tmp_path, labels=labels))
    assert not torch.equal(*seen)


def test_other_settings_are_another_state(run, dataset, tmp_path, caplog):
    from bumpscope.commands.train import train as train_command

    with caplog.at_level(logging.INFO):
        train_command(**command(run, dataset, tmp_path, steps=5, checkpoints=[5]))
        train_command(**command(run, dataset, tmp_path, steps=5, checkpoints=[5], learning_rate=1e-3))
    assert "resumed" not in caplog.text
    assert len([path for path in (tmp_path / "state").iterdir() if path.is_dir()]) == 2


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP])
def test_where_there_are_no_locks_none_is_made_up_that_a_kill_would_leave(tmp_path, monkeypatch, caplog, number):
    def refuse(*_):
        raise OSError(number, "not here")

    monkeypatch.setattr("fcntl.flock", refuse)
    for _ in range(2):  # nothing is left that the second would wait for
        assert assignment.hold(tmp_path / "state", "small-seed0") is None
    assert f"small-seed0: {tmp_path / 'state'} cannot be locked; make sure that no other workflow" in caplog.text

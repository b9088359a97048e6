"""Jobs that train several runs: each run is trained once, by one process, and its own job publishes it."""

import json
import logging
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest
import torch

from bumpscope.commands import train as train_module
from bumpscope.commands.dataset import dataset as draw
from bumpscope.commands.interface import CommandError
from bumpscope.commands.jobs import runs_in_a_job
from bumpscope.commands.train import train as train_command
from bumpscope.config.loading import validate
from bumpscope.config.section import canonical_json
from bumpscope.config.steps import Train, step_settings
from bumpscope.denoise.assignment import Assignment, companions, hold
from bumpscope.denoise.trainer import Trainer, TrainingError
from interrupted_runs import checksums

CPU = torch.device("cpu")
PLAIN = {
    "seeds": [0, 1, 2],
    "datasets": {"small": {"image_size": 8, "sigma": 1.0, "margin": 2.0}},
    "model": {"channel_multipliers": [1, 1, 1], "attention_resolutions": [1], "embedding_width": 8},
    "training": {"steps": 6, "batch_size": 4, "warmup_steps": 2, "log_every": 2, "checkpoints": [0, 6]},
    "probe": {"checkpoints": [0]},
}


@pytest.fixture
def plan(tmp_path):
    """Three planned runs of one dataset, the arguments of their jobs, and the list of them."""
    runs = list(validate(PLAIN).runs())
    dataset = tmp_path / "small.parquet"
    draw(canonical_json(step_settings(runs[0], "dataset")), dataset)
    entries = [
        {"settings": step_settings(run, "train"), "dataset": str(dataset), "state": str(tmp_path / "state" / run.id)}
        for run in runs
    ]
    (tmp_path / "planned.json").write_text(json.dumps(entries), encoding="utf-8")
    return entries


def job(tmp_path, entry, together="3", **more):
    """The arguments of the job of a planned run."""
    return {
        "settings": canonical_json(entry["settings"]),
        "dataset": entry["dataset"],
        "output": tmp_path / "runs" / entry["settings"]["run"],
        "state": tmp_path / "state" / entry["settings"]["run"],
        "device": "cpu",
        "runs_per_job": together,
        "planned": tmp_path / "planned.json",
    } | more


def results(folder):
    found = checksums(folder)
    assert len(found) == 3
    return found


def test_one_job_trains_all_planned_runs_and_their_own_jobs_publish_the_same_bytes(plan, tmp_path, monkeypatch, caplog):
    for entry in plan:
        train_command(**job(tmp_path / "alone", entry, planned=None))
    with caplog.at_level(logging.INFO):
        train_command(**job(tmp_path, plan[1]))
    assert "small-seed1, small-seed0, small-seed2: training on cpu" in caplog.text
    # Its own is published by it, the others by their own jobs.
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["small-seed1"]
    # Nor is a device waited for.
    monkeypatch.setattr(train_module, "hold_device", lambda *_: pytest.fail("trained again"))
    for entry in (plan[0], plan[2]):
        train_command(**job(tmp_path, entry))
    for entry in plan:
        name = f"runs/{entry['settings']['run']}"
        assert results(tmp_path / name) == results(tmp_path / "alone" / name)


@pytest.mark.parametrize(("together", "trained"), [("auto", 1), ("auto:2", 1), ("1", 1), ("2", 2)])
def test_no_more_are_trained_than_asked_for_and_on_a_cpu_one(plan, tmp_path, together, trained):
    train_command(**job(tmp_path, plan[0], together))
    assert len(list((tmp_path / "state").glob("*/*/state.safetensors"))) == trained


@pytest.mark.parametrize(("together", "number"), [("auto", 8), ("auto:3", 3), ("auto:20", 8), ("20", 20)])
def test_on_a_gpu_a_job_takes_its_share_of_what_is_planned(together, number):
    assert runs_in_a_job(together, on_gpu=True) == number


@pytest.mark.parametrize("together", ["0", "many", "-1", "auto:", "auto:0", "automatic"])
def test_another_number_of_runs_is_told(plan, tmp_path, together):
    with pytest.raises(CommandError, match=r"--runs-per-job: holds .*; allowed: auto or a number from 1"):
        train_command(**job(tmp_path, plan[0], together))


def found(plan, tmp_path, most=8, alike=True):
    first = plan[0]
    with ExitStack() as held:
        own = Assignment(Train.model_validate(first["settings"]), tmp_path / "small.parquet", tmp_path, CPU)
        return [one.settings.run for one in companions(own, tmp_path / "planned.json", most, held, alike)]


def test_runs_that_another_process_trains_or_that_have_another_shape_are_left_alone(plan, tmp_path):
    assert found(plan, tmp_path) == ["small-seed1", "small-seed2"]
    assert found(plan, tmp_path, most=1) == ["small-seed1"]
    assert found(plan, tmp_path, most=0) == []
    held = hold(tmp_path / "state" / "small-seed1", "small-seed1")
    assert found(plan, tmp_path) == ["small-seed2"]
    held.release()
    plan[1]["settings"]["training"]["batch_size"] = 8
    (tmp_path / "planned.json").write_text(json.dumps(plan), encoding="utf-8")
    assert found(plan, tmp_path) == ["small-seed2"]
    # A job whose own run is trained elsewhere takes runs of any one shape.
    assert found(plan, tmp_path, alike=False) == ["small-seed1"]
    plan[2]["dataset"] = str(tmp_path / "not there yet.parquet")
    (tmp_path / "planned.json").write_text(json.dumps(plan), encoding="utf-8")
    assert found(plan, tmp_path) == []


def test_without_a_list_there_are_no_others(plan, tmp_path):
    (tmp_path / "planned.json").unlink()
    assert found(plan, tmp_path) == []


def test_locks_of_others_are_given_back(plan, tmp_path):
    found(plan, tmp_path)
    hold(tmp_path / "state" / "small-seed1", "small-seed1", wait=False).release()


def test_a_job_whose_run_is_trained_elsewhere_trains_others_meanwhile(plan, tmp_path, monkeypatch):
    """The other process ends as soon as this one has trained what was left."""
    held = hold(tmp_path / "state" / "small-seed0", "small-seed0")
    from bumpscope.commands import train as module

    trained = module.train_together

    def then_release(courses):
        courses = list(courses)
        trained(courses)
        held.release()

    monkeypatch.setattr(module, "train_together", then_release)
    train_command(**job(tmp_path, plan[0]))
    assert len(results(tmp_path / "runs/small-seed0")) == 3
    assert len(list((tmp_path / "state").glob("*/*/state.safetensors"))) == 3


@pytest.fixture
def at_third_step(monkeypatch):
    """Makes something happen before the third step of the run with a seed."""

    def of(seed, happens):
        advance = Trainer.advance

        def disturbed(self):
            if self.seed == seed and self.step == 2:
                happens(self)
            advance(self)

        monkeypatch.setattr(Trainer, "advance", disturbed)

    return of


@pytest.fixture
def diverging(at_third_step):
    return lambda seed: at_third_step(seed, lambda one: one.weights_flat.data.fill_(float("nan")))


@pytest.fixture
def breaking(at_third_step):
    """With an error of a kind that nobody expects."""

    def broken(_):
        raise ValueError("two\nlines")

    return lambda seed: at_third_step(seed, broken)


def test_another_run_that_diverges_is_named_and_fails_its_own_job_alone(plan, tmp_path, diverging, caplog):
    diverging(2)
    with caplog.at_level(logging.WARNING):
        train_command(**job(tmp_path, plan[0]))
    assert "small-seed2: failed, and the others went on: the loss or the weights are not finite" in caplog.text
    assert len(results(tmp_path / "runs/small-seed0")) == 3
    # No other job takes it along again.
    assert found(plan, tmp_path) == []
    train_command(**job(tmp_path, plan[1]))
    with pytest.raises(TrainingError, match="between steps 3 and 4"):
        train_command(**job(tmp_path, plan[2]))


def test_a_jobs_own_run_that_diverges_fails_it_after_the_others_are_trained(plan, tmp_path, diverging):
    diverging(0)
    with pytest.raises(TrainingError, match="between steps 3 and 4"):
        train_command(**job(tmp_path, plan[0]))
    assert not (tmp_path / "runs").exists()
    assert not list((tmp_path / "state/small-seed0").glob("*/step=6.safetensors"))
    for seed in (1, 2):
        assert list((tmp_path / f"state/small-seed{seed}").glob("*/step=6.safetensors"))


def test_another_run_whose_steps_raise_an_error_does_not_fail_the_job(plan, tmp_path, breaking, caplog):
    breaking(2)
    train_command(**job(tmp_path, plan[0]))
    assert "small-seed0, small-seed1, small-seed2: failed (two)" in caplog.messages
    assert len(results(tmp_path / "runs/small-seed0")) == 3
    with pytest.raises(ValueError, match="two"):
        train_command(**job(tmp_path, plan[2]))
    assert found(plan, tmp_path) == ["small-seed1"]  # nor is it taken along again


def test_a_run_that_fails_while_another_process_trains_the_jobs_own_is_not_tried_again(
    plan, tmp_path, breaking, caplog
):
    breaking(1)
    own = Assignment(Train.model_validate(plan[0]["settings"]), tmp_path / "small.parquet", tmp_path, CPU)
    other = Assignment(Train.model_validate(plan[1]["settings"]), tmp_path / "small.parquet", tmp_path / "other", CPU)
    assert train_module._train([other], own) is None
    assert "small-seed1: failed (two)" in caplog.messages and other.failure.exists()


@pytest.fixture
def fits(monkeypatch):
    """A device whose memory holds this many runs at a time; the numbers of runs that it was asked to hold."""
    from bumpscope.denoise.together import Steps

    advance, asked = Steps.advance, []

    def limited(most):
        def full(self, trainers):
            asked.append(len(trainers))
            if len(trainers) > most and trainers[0].step == 2:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return advance(self, trainers)

        monkeypatch.setattr(Steps, "advance", full)
        return asked

    return limited


def test_where_memory_does_not_hold_all_runs_fewer_are_trained_at_a_time(plan, tmp_path, fits, caplog):
    for entry in plan:
        train_command(**job(tmp_path / "alone", entry, planned=None))
    asked = fits(1)
    train_command(**job(tmp_path, plan[0]))
    assert "3 runs do not fit the GPU's memory together; going on with 1" in caplog.messages
    assert asked == [3, 3, 3, 1, 1, 1, 1, 1, 1]
    for entry in plan[1:]:
        train_command(**job(tmp_path, entry))
    for entry in plan:
        name = f"runs/{entry['settings']['run']}"
        assert results(tmp_path / name) == results(tmp_path / "alone" / name)


def test_a_run_that_does_not_fit_alone_fails_its_job(plan, tmp_path, fits):
    fits(0)
    with pytest.raises(torch.OutOfMemoryError):
        train_command(**job(tmp_path, plan[0]))
    assert not (tmp_path / "runs").exists()


def test_the_room_for_runs_is_told_by_a_first_step_that_leaves_no_trace(plan, tmp_path, monkeypatch):
    from bumpscope.denoise import assignment

    tried = []
    monkeypatch.setattr(assignment, "fitting", lambda place, trial: tried.append((place, trial().trainer.step)) or 2)
    state = tmp_path / "state" / "small-seed0"
    own = Assignment(Train.model_validate(plan[0]["settings"]), tmp_path / "small.parquet", state, CPU)
    assert own.fitting(8) == 8 and not tried  # the memory of a machine is not asked
    assert own.machine["gpu"] == ""  # told before there is a GPU that torch does not have
    own.device = torch.device("cuda:0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assignment, "Trainer", lambda *given: Trainer(*given[:-1], CPU))
        patch.setattr(assignment.TrainingData, "to", lambda self, _: self)
        assert [own.fitting(most) for most in (1, 2, 8)] == [1, 2, 2]
    assert tried == 2 * [(own.device, 1)]
    assert not state.exists()


def test_no_more_are_trained_at_a_time_than_fit(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(Assignment, "fitting", lambda self, most: min(most, 2))
    train_command(**job(tmp_path, plan[0]))
    assert len(list((tmp_path / "state").glob("*/*/state.safetensors"))) == 2


def test_a_job_killed_for_real_resumes_each_of_its_runs(plan, tmp_path):
    for entry in plan:
        entry["settings"]["training"] |= {"steps": 30, "log_every": 5, "checkpoints": [0, 5, 30]}
    (tmp_path / "planned.json").write_text(json.dumps(plan), encoding="utf-8")

    def start():
        options = [f"--{name.replace('_', '-')}={value}" for name, value in job(tmp_path, plan[0]).items()]
        words = [sys.executable, "-m", "bumpscope", "train", *options]
        return subprocess.Popen(words, stderr=subprocess.PIPE, text=True)

    process = start()
    while process.poll() is None and len(list(tmp_path.glob("state/*/*/state.safetensors"))) < 3:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
    told = start().communicate()[1]
    for entry in plan:
        assert f"{entry['settings']['run']}: resumed at step" in told
        train_command(**job(tmp_path, entry))
        train_command(**job(tmp_path / "alone", entry, planned=None))
        name = f"runs/{entry['settings']['run']}"
        assert checksums(tmp_path / name) == checksums(tmp_path / "alone" / name)
        assert len(checksums(tmp_path / name)) == 4

"""Several trainings on one device: each is what it is alone, whether its steps are recorded or not."""

import logging

import pytest
import torch

from bumpscope.denoise import loop
from bumpscope.denoise.loop import Course, finished, train, train_together
from bumpscope.denoise.recorder import WARM_UP, CudaRecorder, cause
from bumpscope.denoise.together import Steps
from bumpscope.denoise.trainer import TrainingError, adamw
from bumpscope.store.checkpoints import load_tensors
from bumpscope.store.files import FileError
from recorded_steps import CpuRecorder
from small_trainings import TRAINING, trainer


def static(reference="none", seed=5):
    """A trainer that keeps its learning rate in memory, as on a GPU."""
    one = trainer(reference, seed=seed)
    one.optimizer = adamw(one.weights_flat, one.training, rate_in_memory=True)
    return one


def memory(trainers):
    """What steps change; moments are there after the first step."""

    def found():
        tensors = []
        for one in trainers:
            tensors += [one.weights_flat, one.weights_flat.grad, one.average_flat, one._loss_sum]
            for moments in one.optimizer.state.values():
                tensors += list(moments.values())
        return tensors

    return found


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(other[name], tensor), name


@pytest.fixture
def recorded(monkeypatch):
    """Trainings are taken to their end with steps recorded on the CPU."""
    recorders = []

    def start(trainers):
        recorder = CpuRecorder(memory(trainers))
        monkeypatch.setattr(Steps, "on", classmethod(lambda cls, _: cls(recorder)))
        recorders.append(recorder)
        return recorder

    return start


@pytest.mark.parametrize("reference", ["none", "factorised", "gated", "equal_resolution", "own_resolution"])
def test_recorded_steps_give_the_bits_of_steps_taken_one_by_one(recorded, tmp_path, reference):
    plain, other = static(reference), static(reference)
    while plain.step < TRAINING.steps:
        plain.advance()
    recorder = recorded([other])
    train(other, tmp_path, {})
    assert_same(plain.state(), other.state())
    assert other.log == plain.log
    # The first step, and those before a recording, were run; the gate's stage is too short to be recorded.
    assert recorder.recordings == 1 and recorder.runs < TRAINING.steps


def test_runs_beside_others_give_the_bits_of_runs_alone(recorded, tmp_path):
    alone = [static(seed=seed) for seed in (5, 6, 7)]
    for one in alone:
        while one.step < TRAINING.steps:
            one.advance()
    beside = [static(seed=seed) for seed in (5, 6, 7)]
    recorded(beside)
    ended = []
    train_together(
        [Course(one, tmp_path / str(k), {}) for k, one in enumerate(beside)], lambda course: ended.append(course)
    )
    assert len(ended) == 3 and all(course.error is None for course in ended)
    for one, other in zip(alone, beside, strict=True):
        assert_same(one.state(), other.state())


@pytest.mark.parametrize("record", [False, True])
def test_each_run_beside_others_resumes_by_itself(recorded, tmp_path, record):
    whole = [static(seed=seed) for seed in (5, 6)]
    train_together([Course(one, tmp_path / f"whole{k}", {}) for k, one in enumerate(whole)])
    # One is at step 3, the other has not begun.
    cut = static(seed=5)
    while cut.step < 3:
        cut.advance()
    loop.save_tensors(tmp_path / "0" / "state.safetensors", cut.state(), {})
    resumed, told = [static(seed=seed) for seed in (5, 6)], []
    if record:
        recorded(resumed)
    train_together([Course(one, tmp_path / str(k), {}, told.append) for k, one in enumerate(resumed)])
    assert told[0] == "resumed at step 3 of 8"
    for one, other in zip(whole, resumed, strict=True):
        assert_same(one.state(), other.state())
    for k in (0, 1):
        assert_same(
            load_tensors(tmp_path / f"whole{k}/state.safetensors")[0],
            load_tensors(tmp_path / f"{k}/state.safetensors")[0],
        )


@pytest.mark.parametrize("record", [False, True])
def test_a_run_that_diverges_ends_alone(recorded, tmp_path, record):
    alone = static(seed=6)
    while alone.step < TRAINING.steps:
        alone.advance()
    poisoned, other = static(seed=5), static(seed=6)
    poisoned.data.images[:] = float("nan")
    if record:
        recorded([poisoned, other])
    courses = [Course(one, tmp_path / str(k), {}) for k, one in enumerate((poisoned, other))]
    train_together(courses)
    assert isinstance(courses[0].error, TrainingError) and "between steps 1 and 3" in str(courses[0].error)
    assert str(courses[0].error).endswith("no state was saved before")
    assert courses[1].error is None
    assert_same(alone.state(), other.state())


def test_a_run_whose_state_cannot_be_written_ends_alone(tmp_path):
    (tmp_path / "0").write_text("a file where the folder should be")
    courses = [Course(static(seed=5 + k), tmp_path / str(k), {}) for k in (0, 1)]
    train_together(courses)
    assert isinstance(courses[0].error, FileError)
    assert courses[1].error is None and courses[1].trainer.step == TRAINING.steps


def test_steps_that_cannot_be_recorded_are_taken_one_by_one_and_that_is_told_once(tmp_path, monkeypatch, caplog):
    plain, other = static(), static()
    while plain.step < TRAINING.steps:
        plain.advance()

    class Refusing(CpuRecorder):
        def record(self, calls):
            raise RuntimeError("operation not permitted when stream is capturing\nmore")

    recorder = Refusing(memory([other]))
    monkeypatch.setattr(Steps, "on", classmethod(lambda cls, _: cls(recorder)))
    with caplog.at_level(logging.WARNING):
        train(other, tmp_path, {})
    assert caplog.messages == [
        "steps cannot be recorded as a CUDA graph, so each is launched anew: operation not permitted when stream is "
        "capturing"
    ]
    assert_same(plain.state(), other.state())


def refusing(error):
    """A recorder that meets an error while it records, and as torch does another as the recording ends."""

    class Refusing(CpuRecorder):
        def record(self, calls):
            try:
                raise error
            finally:
                raise RuntimeError("operation failed due to a previous error during capture")

    return Refusing


def test_runs_that_do_not_fit_the_memory_together_are_told_to_who_put_them_together(monkeypatch, caplog):
    several = [static(seed=5), static(seed=6)]
    full = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    steps = Steps(refusing(full)(memory(several)))
    for _ in range(WARM_UP + 1):
        steps.advance(several)
    with pytest.raises(RuntimeError) as caught:
        steps.advance(several)
    assert cause(caught.value) is full and not caplog.messages
    # One alone may still fit without the recording's memory of its own.
    one = static(seed=5)
    steps = Steps(refusing(full)(memory([one])))
    for _ in range(WARM_UP + 2):
        assert steps.advance([one]) == [None]
    assert len(caplog.messages) == 1 and caplog.messages[0].endswith("CUDA out of memory. Tried to allocate 2.00 GiB")


def test_a_run_that_ends_earlier_makes_the_others_recorded_anew():
    one, other = static(seed=5), static(seed=6)
    recorder = CpuRecorder(memory([one, other]))
    steps = Steps(recorder)
    for _ in range(WARM_UP + 3):
        assert steps.advance([one, other]) == [None, None]
    assert (recorder.recordings, recorder.runs) == (1, WARM_UP + 1)  # and one as the first step
    assert recorder.waits == 0
    steps.advance([other])
    assert (recorder.recordings, recorder.runs) == (1, WARM_UP + 2)
    assert recorder.waits == 1  # before the memory of what was recorded is given back
    plain = static(seed=6)
    while plain.step < other.step:
        plain.advance()
    assert_same(plain.state(), other.state())


@pytest.mark.slow
def test_runs_of_one_shape_are_compiled_once():
    seen = []

    def note(graph, _):
        seen.append(graph)
        return graph

    torch._dynamo.reset()
    for seed in range(3):
        one = static(seed=seed)
        one.network.compile(dynamic=False, backend=note)
        one.advance()
        one.advance()
    torch._dynamo.reset()
    assert len(seen) == 1


def test_losses_of_a_finished_training_are_read_from_its_state(tmp_path):
    one = trainer()
    assert finished(tmp_path, {}, one.training) is None
    train(one, tmp_path, {})
    assert finished(tmp_path, {}, one.training) == one.log
    assert finished(tmp_path, {"run": "another"}, one.training) is None
    assert finished(tmp_path, {}, one.training.model_copy(update={"steps": 9})) is None


def test_on_a_cpu_nothing_is_recorded_and_on_a_gpu_everything():
    assert Steps.on(torch.device("cpu"))._recorder is None
    assert isinstance(Steps.on(torch.device("cuda:1"))._recorder, CudaRecorder)

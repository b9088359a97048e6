"""What is asked of CUDA to record calls and repeat them, without a GPU."""

import pytest
import torch

from bumpscope.denoise.recorder import CudaRecorder, cause


class FakeCuda:
    """Notes what is asked of CUDA, in order."""

    def __init__(self):
        self.notes = []

    def stream(self, name):
        fake = self

        class Stream:
            def __init__(self, *_):
                self.name = name or f"stream{len({n for n in fake.notes if n.startswith('new')})}"
                fake.notes.append(f"new {self.name}")

            def wait_stream(self, other):
                fake.notes.append(f"{self.name} waits for {other.name}")

        return Stream

    def context(self, text):
        fake = self

        class Context:
            def __enter__(self):
                fake.notes.append(f"begin {text}")

            def __exit__(self, *_):
                fake.notes.append(f"end {text}")

        return Context()


@pytest.fixture
def fake(monkeypatch):
    fake = FakeCuda()
    current = fake.stream("current")()
    monkeypatch.setattr(torch.cuda, "Stream", fake.stream(""))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: current)
    monkeypatch.setattr(torch.cuda, "set_stream", lambda one: fake.notes.append(f"{one.name} is in force"))
    monkeypatch.setattr(torch.cuda, "stream", lambda one: fake.context(one.name))
    monkeypatch.setattr(torch.cuda, "device", lambda place: fake.context(str(place)))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda place: fake.notes.append(f"wait for {place}"))
    monkeypatch.setattr(torch.cuda, "graph", lambda _: fake.context("recording"))
    monkeypatch.setattr(
        torch.cuda, "CUDAGraph", lambda: type("Graph", (), {"replay": lambda _: fake.notes.append("replay")})()
    )
    return fake


def test_calls_of_a_cuda_graph_lie_on_streams_that_start_from_the_recording_and_join_it(fake):
    recorder = CudaRecorder(torch.device("cuda:1"))
    calls = [lambda k=k: fake.notes.append(f"call {k}") for k in (0, 1)]
    fake.notes.clear()
    recorder.record(calls)()
    made = [note for note in fake.notes if not note.startswith("new")]
    names = [note.removeprefix("new ") for note in fake.notes if note.startswith("new")]
    assert made == [
        *("begin cuda:1", "begin recording"),
        *(f"{names[0]} waits for current", f"begin {names[0]}", "call 0", f"end {names[0]}"),
        *(f"{names[1]} waits for current", f"begin {names[1]}", "call 1", f"end {names[1]}"),
        *(f"current waits for {names[0]}", f"current waits for {names[1]}"),
        *("end recording", "current is in force", "end cuda:1", "replay"),
    ]
    # The same streams again.
    fake.notes.clear()
    recorder.run(calls)
    assert not [note for note in fake.notes if note.startswith("new")]


def test_a_call_that_fails_leaves_no_stream_of_the_recording_behind(fake):
    recorder = CudaRecorder(torch.device("cuda:1"))

    def fail():
        raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError, match="not permitted"):
        recorder.record([lambda: None, fail, lambda: None])
    first, second, third = [note.removeprefix("new ") for note in fake.notes if note.startswith("new stream")]
    # The third had not begun, so that waiting for it would be an error of its own.
    assert [note for note in fake.notes if note.startswith("current waits")] == [
        f"current waits for {first}", f"current waits for {second}"
    ]  # fmt: skip
    assert not [note for note in fake.notes if note.startswith(third)]
    assert fake.notes[-2:] == ["current is in force", "end cuda:1"]


def test_waiting_is_for_the_device_that_is_recorded_on(fake):
    CudaRecorder(torch.device("cuda:1")).wait()
    assert fake.notes[-1] == "wait for cuda:1"


def test_the_cause_of_an_error_is_the_first_of_its_chain():
    first = KeyError("first")
    try:
        try:
            raise first
        finally:
            raise RuntimeError("second")
    except RuntimeError as error:
        assert cause(error) is first
    assert cause(first) is first

"""Devices: the right one, set up to repeat, and each GPU held by one process at a time."""

import multiprocessing
import os
import signal
import tempfile

import pytest
import torch

from bumpscope import devices
from bumpscope.devices import DeviceError, device


@pytest.fixture(autouse=True)
def untouched(monkeypatch, tmp_path):
    """What a device sets up for its whole process is put back, and locks lie in a folder of the test's own."""
    deterministic, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    tf32 = [(backend, backend.allow_tf32) for backend in (torch.backends.cuda.matmul, torch.backends.cudnn)]
    for backend, _ in tf32:
        backend.allow_tf32 = True
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    yield
    torch.use_deterministic_algorithms(deterministic)
    torch.set_num_threads(threads)
    for backend, allowed in tf32:
        backend.allow_tf32 = allowed


@pytest.fixture
def gpus(monkeypatch):
    """A machine that seems to have two GPUs; nothing is computed on them."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize(("name", "granted"), [("cpu", 1), ("auto", 1), ("auto", 0)])
def test_without_a_gpu_the_cpu_is_used_with_one_thread_and_repeatably(no_gpu, name, granted):
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(False)
    with device(name, granted) as place:
        assert place == torch.device("cpu")
        assert torch.get_num_threads() == 1
        assert torch.are_deterministic_algorithms_enabled()


def test_a_gpu_that_is_asked_for_and_missing_is_told_in_one_line(no_gpu):
    with pytest.raises(DeviceError, match="device: holds cuda, but torch sees no GPU here") as caught, device("cuda"):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["tpu", "", "CPU", "cuda:1"])
def test_another_name_is_told(name):
    with pytest.raises(DeviceError, match="allowed: auto, cpu or cuda"), device(name):
        pass


@pytest.mark.parametrize(
    ("name", "granted", "kind"), [("cpu", 1, "cpu"), ("auto", 0, "cpu"), ("auto", 1, "cuda"), ("cuda", 0, "cuda")]
)
def test_with_gpus_the_name_and_then_the_grant_decide(gpus, name, granted, kind):
    with device(name, granted) as place:
        assert place.type == kind


def test_on_a_gpu_products_keep_their_precision_and_order(gpus):
    with device("auto"):
        assert not torch.backends.cuda.matmul.allow_tf32
        assert not torch.backends.cudnn.allow_tf32
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_jobs_side_by_side_get_a_gpu_each_and_the_next_waits(gpus, monkeypatch):
    waits = []
    with device("cuda") as first:
        second = device("cuda")
        assert {first.index, second.__enter__().index} == {0, 1}

        def wait(_):
            waits.append(True)
            if len(waits) == 3:
                second.__exit__(None, None, None)

        monkeypatch.setattr(devices.time, "sleep", wait)
        with device("cuda") as third:
            assert third.index == 1 - first.index
    assert len(waits) == 3


def test_a_job_that_fails_gives_its_gpu_back(gpus):
    for _ in range(3):
        with pytest.raises(KeyError), device("cuda") as place:
            assert place.index == 0
            raise KeyError


def test_a_killed_job_gives_its_gpu_back(gpus, monkeypatch):
    here, there = multiprocessing.Pipe()

    def hold():
        with device("cuda") as place:
            there.send(place.index)
            signal.pause()

    process = multiprocessing.get_context("fork").Process(target=hold)
    process.start()
    assert here.recv() == 0
    with device("cuda") as other:
        assert other.index == 1
    process.kill()
    process.join()
    with device("cuda") as place:
        assert place.index == 0


def test_under_slurm_the_one_gpu_of_a_job_is_taken_without_asking(gpus, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with device("cuda") as first, device("cuda") as second:
        assert first == second == torch.device("cuda:0")


def test_inside_one_allocation_of_two_gpus_each_is_handed_out_once(gpus, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with device("cuda") as first, device("cuda") as second:
        assert {first, second} == {torch.device("cuda:0"), torch.device("cuda:1")}


def test_processes_that_see_different_gpus_do_not_wait_for_each_other(gpus, monkeypatch):
    with device("cuda") as first:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
        with device("cuda") as second:
            assert (first.index, second.index) == (0, 0)

"""Devices: the right one, set up to repeat, and each GPU held by one process at a time."""

import json
import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

from bumpscope.denoise import devices
from bumpscope.denoise.devices import DeviceError, device, fitting, out_of_memory


@pytest.fixture(autouse=True)
def untouched(monkeypatch, tmp_path):
    """What a device sets up for its whole process is put back, and locks lie in a folder of the test's own."""
    deterministic, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    filled = torch.utils.deterministic.fill_uninitialized_memory
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
    torch.utils.deterministic.fill_uninitialized_memory = filled
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
        assert not torch.utils.deterministic.fill_uninitialized_memory


def test_a_gpu_that_is_asked_for_and_missing_is_told_in_one_line(no_gpu):
    with pytest.raises(DeviceError, match="device: holds cuda, but torch sees no GPU here") as caught, device("cuda"):
        pass
    assert "\n" not in str(caught.value)


def test_a_gpu_that_is_asked_for_and_that_slurm_did_not_assign_is_told_with_its_cure(no_gpu, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "NoDevFiles")
    with (
        pytest.raises(DeviceError, match=r"SLURM assigned this job no GPU; ask for one \(resources: gpu=1\)"),
        device("cuda"),
    ):
        pass


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


def test_a_gpu_that_two_processes_see_under_different_numbers_is_one_gpu(gpus, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")
    with device("cuda") as first, device("cuda") as second:
        assert (first.index, second.index) == (0, 1)
        # Physical GPU 3 is the second of those two, and the first of these.
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
        with device("cuda") as other:
            assert other.index == 1


def test_jobs_of_slurm_on_one_machine_do_not_wait_for_each_other(gpus, monkeypatch):
    # Each job may be shown its own GPUs as 0 and 1.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    found = []
    for job in ("7", "8"):
        monkeypatch.setenv("SLURM_JOB_ID", job)
        place = device("cuda")
        found.append((place, place.__enter__().index))
    for place, index in found:
        place.__exit__(None, None, None)
        assert index == 0


def test_waiting_for_a_gpu_is_told_once(gpus, monkeypatch, caplog):
    waits = []
    with caplog.at_level(logging.INFO), device("cuda"):
        second = device("cuda")
        second.__enter__()

        def wait(_):
            waits.append(True)
            if len(waits) == 3:
                second.__exit__(None, None, None)

        monkeypatch.setattr(devices.time, "sleep", wait)
        with device("cuda"):
            pass
    assert caplog.messages == ["device: all 2 GPUs are held by other jobs; waiting for one"]


def test_a_folder_where_no_lock_can_be_made_is_told_in_one_line(gpus, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    with (
        pytest.raises(DeviceError, match=r"0\.lock: cannot be locked .* set TMPDIR to a folder") as caught,
        device("cuda"),
    ):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cuda", "environment", "level", "told"),
    [
        (None, {}, "INFO", "device: the CPU, since torch sees no GPU (a build of torch for the CPU only)"),
        ("12.8", {}, "INFO", "device: the CPU, since torch sees no GPU (torch for CUDA 12.8)"),
        (
            None,
            {"SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "1"},
            "WARNING",
            "device: the CPU, though SLURM assigned GPU 1: a build of torch for the CPU only sees none; "
            "docs/installation.md says how to get another build",
        ),
        (
            None,
            {"SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "NoDevFiles"},
            "INFO",
            "device: the CPU, since SLURM assigned this job no GPU",
        ),
        (
            "12.8",
            {"CUDA_VISIBLE_DEVICES": "NoDevFiles"},
            "INFO",
            "device: the CPU, since torch sees no GPU (torch for CUDA 12.8)",
        ),
    ],
)
def test_falling_back_to_the_cpu_is_told_in_one_line(no_gpu, monkeypatch, caplog, cuda, environment, level, told):
    monkeypatch.setattr(torch.version, "cuda", cuda)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with caplog.at_level(logging.INFO), device("auto"):
        pass
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [(level, told)]


def test_no_gpu_granted_is_told_and_the_cpu_on_request_is_not(gpus, caplog):
    with caplog.at_level(logging.INFO), device("auto", 0), device("cpu"):
        pass
    assert caplog.messages == ["device: the CPU, since this job was granted no GPU (resources: gpu=0)"]


@pytest.fixture
def memory(gpus, monkeypatch):
    """A GPU with 1000 bytes, of which 100 are taken by others; what is reserved by this process, and its peak."""
    held = {"now": 0, "peak": 0}
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: held.update(now=held["kept"]))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: held["now"])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: held.update(peak=held["now"]))
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda _: held["peak"])
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (900 - held["now"], 1000))
    held["kept"] = 0
    return held


@pytest.mark.parametrize(("needed", "room"), [(10, 76), (100, 7), (382, 2), (383, 1), (900, 1)])
def test_as_many_are_planned_as_fit_most_of_the_free_memory(memory, needed, room):
    memory.update(now=60, kept=0)  # left over from before, and given back first

    def trial():
        memory.update(now=memory["now"] + needed, peak=memory["now"] + needed)

    assert fitting(torch.device("cuda:0"), trial) == room
    assert memory["now"] == 0


def test_what_libraries_keep_is_not_free(memory):
    def trial():
        memory.update(now=200, peak=200, kept=100)

    assert fitting(torch.device("cuda:0"), trial) == int(0.85 * 800 / 200)


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("operation not permitted when stream is capturing"), False),
        (MemoryError(), False),
    ],
)
def test_an_error_of_full_memory_is_told_from_others(error, full):
    assert out_of_memory(error) is full


# A job that believes that there are as many GPUs as it is told; it notes which it had, from when to when.
HOLDER = """
import json, logging, os, sys, time
from pathlib import Path
import torch
from bumpscope.denoise.devices import device
logging.basicConfig(level=logging.INFO)
torch.cuda.is_available, torch.cuda.device_count = lambda: True, lambda: int(sys.argv[1])
with device("auto") as place:
    note = {"device": str(place), "process": os.getpid(), "since": time.time()}
    Path(sys.argv[2]).with_suffix(".held").write_text(json.dumps(note))
    time.sleep(float(sys.argv[3]))
    note["until"] = time.time()
Path(sys.argv[2]).write_text(json.dumps(note))
"""
RULES = """
rule all:
    default_target: True
    input: expand("job{number}.json", number=range(4))
rule hold:
    output: "job{number}.json"
    resources: gpu=1
    shell: "{sys.executable} holder.py 2 {output} 1"
"""


def outside(folder: Path) -> dict[str, str]:
    """The environment of a process with no GPU of its own assigned, whose locks lie in ``folder``."""
    package = str(Path(devices.__file__).parent.parent)
    return os.environ | {"TMPDIR": str(folder), "PYTHONPATH": package}


@pytest.mark.slow
def test_two_jobs_of_snakemake_at_a_time_have_a_gpu_each(tmp_path):
    (tmp_path / "holder.py").write_text(HOLDER, encoding="utf-8")
    (tmp_path / "Snakefile").write_text("import sys\n" + RULES, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "8", "--resources", "gpu=2"],
        cwd=tmp_path, env=outside(tmp_path), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    notes = [json.loads(path.read_text()) for path in tmp_path.glob("job*.json")]
    assert len(notes) == 4
    assert {note["device"] for note in notes} == {"cuda:0", "cuda:1"}
    beside = [
        (one, other)
        for one in notes
        for other in notes
        if one["process"] < other["process"] and one["since"] < other["until"] and other["since"] < one["until"]
    ]
    assert beside, "no two jobs ran side by side"
    for one, other in beside:
        assert one["device"] != other["device"]


def test_users_of_one_machine_do_not_share_a_gpu(gpus, tmp_path):
    if os.geteuid():
        pytest.skip("needs root, to be other users")
    # As other users see it; pytest makes folders for its own user alone.
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o1777)
    try:
        with patch.object(tempfile, "tempdir", str(folder)):
            held = [_held_by(user) for user in (12_001, 12_002)]
            assert sorted(index for index, _ in held) == [0, 1]
            for _, release in held:
                release()
            # The first user's files are left, and any other may lock them.
            with device("cuda") as place:
                assert place.index == 0
    finally:
        shutil.rmtree(folder)


def _held_by(user: int) -> tuple[int, Callable[[], None]]:
    """The index of the GPU that a process of a user holds until it is released."""
    here, there = multiprocessing.Pipe()

    def hold():
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
        with device("cuda") as place:
            there.send(place.index)
            there.recv()

    process = multiprocessing.get_context("fork").Process(target=hold)
    process.start()
    assert here.poll(30), "no GPU was handed out"
    index = here.recv()

    def release():
        here.send(None)
        process.join()

    return index, release


def test_kill_9_frees_a_gpu_for_a_process_that_waits(tmp_path):
    (tmp_path / "holder.py").write_text(HOLDER, encoding="utf-8")

    def start(number: int, seconds: float) -> subprocess.Popen:
        arguments = [sys.executable, "holder.py", "1", f"job{number}.json", str(seconds)]
        with (tmp_path / f"job{number}.log").open("wb") as told:
            return subprocess.Popen(arguments, cwd=tmp_path, env=outside(tmp_path), stderr=told)

    def wait_until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.05)

    processes = [start(0, 600)]
    try:
        wait_until((tmp_path / "job0.held").exists)
        processes.append(start(1, 0))
        wait_until(lambda: "waiting for one" in (tmp_path / "job1.log").read_text())
        processes[0].kill()
        assert processes[1].wait(30) == 0
        assert json.loads((tmp_path / "job1.json").read_text())["device"] == "cuda:0"
    finally:
        for process in processes:
            process.kill()
            process.wait()

"""What a run was trained on and with is recorded, once, and nothing that differs between two runs on one machine."""

import getpass
import json
import platform
import socket
from pathlib import Path

import numpy as np
import pytest
import torch

from bumpscope.commands.runs import runs as list_runs
from bumpscope.config.loading import validate
from bumpscope.config.section import canonical_json
from bumpscope.config.steps import step_settings
from bumpscope.judge.controls import MACHINE
from bumpscope.store import machine
from bumpscope.store.checkpoints import save_tensors
from bumpscope.store.tables import read_table

CPU = torch.device("cpu")


def test_versions_and_hardware_are_told_the_same_each_time():
    told = machine.described(CPU)
    assert told == machine.described(CPU)
    assert told["torch"] == torch.__version__ and told["numpy"] == np.__version__
    assert told["python"] == platform.python_version() and told["threads"] == str(torch.get_num_threads())
    assert told["gpu"] == told["cuda"] == "" and told["device"] == f"cpu ({told['processor']})"
    assert told["processor"] and told["instructions"] and platform.system() in told["system"]


def test_no_host_or_user_is_told():
    text = json.dumps(machine.described(CPU)).lower()
    for name in (socket.gethostname(), getpass.getuser(), str(Path.home())):
        assert len(name) < 5 or name.lower() not in text


def test_on_a_gpu_it_is_named_with_its_driver(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda place: "A GPU")
    driver = tmp_path / "version"
    driver.write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\nGCC version: 12\n"
    )
    monkeypatch.setattr(machine, "DRIVER", driver)
    told = machine.described(torch.device("cuda:0"))
    assert told["gpu"] == "A GPU" and told["device"] == "cuda (A GPU)" and told["cuda"].endswith("driver 580.65.06")
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n")
    assert machine.described(torch.device("cuda:0"))["cuda"].endswith("driver 550.54.15")
    driver.unlink()
    assert machine.described(torch.device("cuda:0"))["cuda"].endswith("driver unknown")


def test_a_system_that_does_not_tell_its_processor_has_one_nevertheless(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "PROCESSORS", tmp_path / "none")
    assert machine.processor() in (platform.processor(), platform.machine())
    (tmp_path / "two").write_text("model name\t: B\nflags: x\nmodel name : A\nmodel name : B\n")
    monkeypatch.setattr(machine, "PROCESSORS", tmp_path / "two")
    assert machine.processor() == "A, B"


def listed(folder, metadata):
    """The row of table ``runs`` of a run whose checkpoint has this metadata beside its own."""
    (run,) = validate({"seeds": [0], "datasets": {"a": {"margin": 2.0}}}).runs()
    own = {"run": "a-seed0", "config": canonical_json(step_settings(run, "train")), "parameters": "7", "settings": ""}
    save_tensors(folder / run.path / "checkpoints" / "step=5.safetensors", {"ema.w": torch.zeros(1)}, own | metadata)
    list_runs(runs='{"a": [0]}', folder=folder, output=folder / "runs.parquet")
    return read_table("runs", folder / "runs.parquet").iloc[0]


def test_the_table_of_runs_shows_it(tmp_path):
    told = machine.described(CPU) | {"version": "1.2", "code": "abc"}
    row = listed(tmp_path, told)
    assert row["device"] == "cpu" and row["threads"] == torch.get_num_threads()
    assert {name: row[name] for name in MACHINE if told[name] and name not in ("device", "threads")} == {
        name: value for name, value in told.items() if value and name not in ("device", "threads")
    }


@pytest.mark.parametrize("metadata", [{}, {"device": "cuda (A GPU)", "torch": "2.0", "python": "3.11"}])
def test_a_checkpoint_of_an_earlier_version_leaves_gaps(tmp_path, metadata):
    row = listed(tmp_path, metadata)
    assert row[[name for name in MACHINE if name not in metadata]].isna().all()
    assert row["device"] == "cuda" if metadata else True

"""What the SLURM tests stand on, and what of the SLURM profile can be seen without a cluster."""

import os
import re
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml

import debian
import slurm_cluster
from debian import Unavailable
from slurm_cluster import Cluster, Record
from slurm_runs import most_at_once
from workflow import ROOT, copy_project

PROFILE = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text(encoding="utf-8"))
RULES = {
    name: text
    for path in ROOT.glob("workflow/rules/*.smk")
    for name, text in re.findall(r"^rule (\w+):(.*?)(?=^rule |\Z)", path.read_text(encoding="utf-8"), re.M | re.S)
}


def record(started: int, ended: int, gpus: int = 1, submitted: int = 0) -> Record:
    moments = [datetime(2026, 1, 1) + timedelta(seconds=second) for second in (submitted, started, ended)]
    return Record(1, "rule_train", "COMPLETED", 240, 3000, gpus, *moments)


@pytest.mark.parametrize(
    ("records", "most"),
    [
        ([], 0),
        ([record(0, 10), record(10, 20)], 1),
        ([record(0, 10), record(9, 20)], 2),
        ([record(0, 10), record(2, 8), record(4, 6), record(12, 14)], 3),
        ([record(0, 10, 2), record(5, 9, 0), record(6, 7, 1)], 3),
    ],
)
def test_the_most_gpus_at_once_are_counted(records: list[Record], most: int) -> None:
    assert most_at_once(records, "started") == most


def test_jobs_that_wait_count_from_their_submission() -> None:
    assert most_at_once([record(0, 10), record(10, 20)], "submitted") == 2


def test_a_record_of_the_scheduler_is_read() -> None:
    line = (
        "JobId=12 UserId=root(0) GroupId=root(0) Name=bumpscope_1 JobState=TIMEOUT Partition=all TimeLimit=240 "
        "StartTime=2026-11-24T11:37:18 EndTime=2026-11-24T11:37:45 NodeList=localhost NodeCnt=1 ProcCnt=1 WorkDir=/x "
        "ReservationName= Tres=cpu=1,mem=5.50G,node=1,billing=1 Account= QOS= WcKey= Cluster=unknown "
        "SubmitTime=2026-11-24T11:37:16 EligibleTime=2026-11-24T11:37:16 DerivedExitCode=0:0 ExitCode=0:0 "
    )
    read = slurm_cluster._record(line, {12: ("gres:gpu:2", "rule_train_wildcards_plane_0")})
    assert (read.job, read.name, read.state) == (12, "rule_train_wildcards_plane_0", "TIMEOUT")
    assert (read.minutes, read.megabytes, read.gpus) == (240, 5632, 2)
    assert (read.started - read.submitted, read.ended - read.started) == (timedelta(seconds=2), timedelta(seconds=27))


def test_without_root_no_cluster_is_started(monkeypatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Unavailable, match="needs root"), Cluster():
        pass


def test_a_cluster_that_is_set_up_already_is_left_alone(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(slurm_cluster, "ETC", tmp_path)
    theirs = tmp_path / "slurm.conf"
    theirs.write_text("ClusterName=theirs")
    with pytest.raises(Unavailable, match=r"slurm\.conf belongs to a cluster that is set up here already"), Cluster():
        pass
    assert theirs.read_text() == "ClusterName=theirs"


def test_where_slurm_cannot_be_installed_that_is_told_in_one_line(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(slurm_cluster, "ETC", tmp_path)
    monkeypatch.setattr(slurm_cluster, "FOLDER", tmp_path / "cluster")
    monkeypatch.setattr(debian, "LOCK", tmp_path / "apt.lock")
    monkeypatch.setattr(slurm_cluster, "_installed", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name, **_: None)
    with pytest.raises(Unavailable, match="no apt-get"), Cluster():
        pass
    fails = tmp_path / "apt-get"
    fails.write_text("#!/bin/sh\necho 'Reading lists' >&2\necho 'E: Unable to fetch some archives' >&2\nexit 100\n")
    fails.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(shutil, "which", lambda name, **_: str(fails))
    with pytest.raises(Unavailable, match=r"apt-get update failed \(E: Unable to fetch some archives\)") as caught:
        Cluster().__enter__()
    assert "\n" not in str(caught.value)


def test_a_machine_on_which_it_does_not_start_is_told_in_one_line_and_left_clean(monkeypatch, tmp_path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise subprocess.CalledProcessError(1, "mknod")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (tmp_path / "etc").mkdir()
    monkeypatch.setattr(slurm_cluster, "ETC", tmp_path / "etc")
    monkeypatch.setattr(slurm_cluster, "FOLDER", tmp_path / "cluster")
    monkeypatch.setattr(slurm_cluster, "_installed", lambda: True)
    monkeypatch.setattr(slurm_cluster, "_kill_steps", lambda: None)
    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(Unavailable, match=r"does not start here \(Command 'mknod' returned .*") as caught, Cluster():
        pass
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cluster").exists() and not list((tmp_path / "etc").iterdir())


def test_every_rule_that_uses_no_gpu_shares_submissions_and_no_other_does() -> None:
    grouped = [entry.split("=")[0] for entry in PROFILE["groups"]]
    assert len(grouped) == len(set(grouped))
    submitted = {name for name, text in RULES.items() if "gpu=1" not in text and "localrule: True" not in text}
    assert {"dataset", "figure", "phases"} < submitted
    assert set(grouped) == submitted


def test_the_slurm_profile_repeats_what_a_local_run_relies_on() -> None:
    default = yaml.safe_load((ROOT / "profiles/default/config.yaml").read_text(encoding="utf-8"))
    for key in ("rerun-incomplete", "nolock", "keep-going", "show-failed-logs"):
        assert PROFILE[key] == default[key]


def workflow_with(tmp_path: Path, *arguments: str, **programs: str) -> str:
    """What the workflow says under the SLURM profile where only these programs and the shell's own are installed."""
    project, folder = copy_project(tmp_path / "project"), tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "sh", "env", "which"):
        found = shutil.which(name)
        if found:
            (folder / name).symlink_to(found)
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm", *arguments,
         "--configfile", "workflow/presets/tiny.yaml"],
        cwd=project, env=os.environ | {"PATH": str(folder)}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode != 0
    assert not (project / "results/config.json").exists(), "it had begun"
    return done.stdout + done.stderr


def test_where_there_is_no_sbatch_that_is_told_before_any_job(tmp_path) -> None:
    told = workflow_with(tmp_path)
    assert "executor: slurm, but there is no sbatch here; run this where jobs are submitted" in told
    assert "Error in rule" not in told and "Error in group" not in told


@pytest.mark.slow
def test_asking_sacct_where_there_is_no_accounting_is_told_instead_of_waiting_for_ever(tmp_path) -> None:
    told = workflow_with(
        tmp_path, "--slurm-status-command", "sacct",
        sbatch="exit 1", squeue="exit 0", sinfo="exit 0", scontrol="exit 1",
        sacct="echo Slurm accounting storage is disabled >&2; exit 1",
    )  # fmt: skip
    assert "keeps no accounting (Slurm accounting storage is disabled)" in told
    assert "set it to squeue" in told

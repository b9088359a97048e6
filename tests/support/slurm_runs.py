"""The workflow on a real SLURM, undisturbed and disturbed, and what the scheduler saw of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psutil

from slurm_cluster import Cluster, Record, wait_for

# Small in all but steps, so that a training lasts for seconds after its first state.
PRESET = """\
device: cpu
seeds: [0]
datasets:
  plane: {image_size: 8, sigma: 1.0, margin: 2.0, dx: 1.0, dy: 1.0}
  coarse: {image_size: 8, sigma: 1.0, margin: 2.0, dx: 2.0, dy: 2.0}
model: {channel_multipliers: [1, 1, 1], attention_resolutions: [1], embedding_width: 8}
training: {steps: 300, batch_size: 16, warmup_steps: 10, log_every: 10, checkpoints: [0, 20, 300]}
probe: {checkpoints: [0, 300], samples: 32, sampling_steps: 6, layers: [down3], timesteps: [100],
        effect_timesteps: [300], effect_samples: 32}
"""
RUNS = {"plane-seed0": "plane_0", "coarse-seed0": "coarse_0"}  # run -> how SLURM names it
STEPS, FIRST_STATE = 300, 20
# On a machine that does much else. Undisturbed these take half a minute and three minutes.
SECONDS_FOR_A_STEP, SECONDS_FOR_A_WORKFLOW = 900, 2700


class Submitted:
    """A workflow that runs on the cluster, in ``project``, with its results in the folder ``output`` there."""

    def __init__(self, project: Path, output: str, *arguments: str):
        self.results = project / output
        self._told = project / f"{output}.txt"
        (project / "cluster.yaml").write_text(PRESET, encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm", *arguments]
        command += ["--configfile", "cluster.yaml", "--config", f"output={output}"]
        # Every 40 s, as on a real cluster, would be most of a test's time.
        command += ["--slurm-init-seconds-before-status-checks", "5"]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        with self._told.open("ab") as told:
            self.process = subprocess.Popen(command, cwd=project, stdout=told, stderr=told, env=environment)

    def told(self) -> str:
        """What Snakemake has written to the terminal so far."""
        return self._told.read_text(encoding="utf-8")

    def end(self) -> None:
        """Wait until it has ended well."""
        with self.killed_if_this_fails():
            wait_for(lambda: self.process.poll() is not None, "the workflow's end", SECONDS_FOR_A_WORKFLOW)
        assert self.process.returncode == 0, self.told()

    def kill(self) -> None:
        """Kill -9 Snakemake itself, if it still runs; not its jobs."""
        self.process.kill()
        self.process.wait()

    @contextmanager
    def killed_if_this_fails(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.kill()
            raise

    def log(self, run: str) -> Path:
        return self.results / f"logs/train/{run}.log"

    def hang(self, runs: Iterable[str], count: int = 1) -> list[str]:
        """Stop the trainings of the first ``count`` of these runs that have saved a state to resume from.

        A process that is stopped but not ended is what a training that hangs looks like from outside; what becomes of
        it next is then up to the scheduler, however fast this machine is.
        """
        stopped: list[str] = []

        def look() -> bool:
            for run in set(runs) - set(stopped):
                if any(self.results.glob(f".state/{run}/*/state.safetensors")):
                    self._training(run).send_signal(signal.SIGSTOP)
                    assert not list(self.results.glob(f".state/{run}/*/step={STEPS}.safetensors")), "stopped too late"
                    stopped.append(run)
            return len(stopped) >= count

        wait_for(look, f"a state of {count} of {', '.join(runs)}", SECONDS_FOR_A_STEP)
        return stopped

    def _training(self, run: str) -> psutil.Process:
        log = str(self.log(run).relative_to(self.results.parent))
        for process in psutil.process_iter(["cmdline"]):
            if log in (process.info["cmdline"] or []):
                return process
        raise AssertionError(f"{run} is not being trained")


def job_of(cluster: Cluster, run: str) -> int:
    """The number of the job that trains a run now."""
    found = [number for number, name in cluster.running().items() if name == training_name(run)]
    assert len(found) == 1, cluster.running()
    return found[0]


def training_name(run: str) -> str:
    return f"rule_train_wildcards_{RUNS[run]}"


def hit_limit_and_cancel(cluster: Cluster, project: Path, output: str) -> tuple[Submitted, str, str]:
    """A workflow that goes on, in which one training hangs until its time limit and the other was cancelled.

    Returns:
        the workflow, and the names of both runs in that order.
    """
    workflow = Submitted(project, output)
    with workflow.killed_if_this_fails():
        late, cancelled = workflow.hang(RUNS, 2)
        cluster.let_time_run_out(job_of(cluster, late))
        cluster.cancel(job_of(cluster, cancelled))
    return workflow, late, cancelled


def lose_the_node_and_the_workflow(
    cluster: Cluster, project: Path, output: str
) -> tuple[Submitted, dict[str, list[int]]]:
    """A workflow that was killed and given again while the trainings that its node had lost went on.

    Returns:
        the workflow, and the steps at which the lost trainings had resumed by then.
    """
    workflow = Submitted(project, output)
    with workflow.killed_if_this_fails():
        workflow.hang(RUNS, 2)
        cluster.crash_node()
        # A job that is younger than 20 s when its node comes back counts as still being started, for minutes.
        time.sleep(21)
        cluster.start_node()
        wait_for(lambda: all(resumed(workflow, run) for run in RUNS), "trainings that resume", SECONDS_FOR_A_STEP)
        # Its jobs live on: nobody was left to cancel them.
        workflow.kill()
        # Read now: the next attempts, which find the trainings finished, begin new logs.
        steps = {run: resumed(workflow, run) for run in RUNS}
        return Submitted(project, output), steps


def resumed(workflow: Submitted, run: str) -> list[int]:
    """The steps at which the last attempt at a training, or one that SLURM queued again, says that it resumed."""
    text = workflow.log(run).read_text(encoding="utf-8") if workflow.log(run).exists() else ""
    return [int(step) for step in re.findall(rf"{run}: resumed at step (\d+) of {STEPS}", text)]


def most_at_once(records: Iterable[Record], since: str) -> int:
    """The most GPUs that jobs held at the same time, from what the scheduler wrote.

    Args:
        since: from when a job counts: ``started``, or ``submitted`` to count what waits too.
    """
    changes: list[tuple[datetime, int]] = []
    for record in records:
        changes += [(getattr(record, since), record.gpus), (record.ended, -record.gpus)]
    held = most = 0
    # At the same second what ends comes first.
    for _, change in sorted(changes):
        held += change
        most = max(most, held)
    return most

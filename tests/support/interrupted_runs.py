"""Whole workflows that are killed and started again, and what can be seen of their results in between."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from whole_files import Seen, look
from workflow import command, jobs, planned

RESULTS = ("*.parquet", "*.safetensors")
# A workflow that was asked to end has this long for it, on a machine that does much else.
SECONDS_TO_END = 120
# The report adds up how long the jobs took.
OF_TIMES = re.compile(r"<dt>Minutes of all jobs[^<]*</dt><dd>[^<]*</dd>")


def checksums(folder: Path, *patterns: str) -> dict[str, str]:
    """SHA-256 of files under a folder, those of tables and checkpoints where no pattern is given."""
    paths = sorted({path for pattern in patterns or RESULTS for path in folder.rglob(pattern)})
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def everything(folder: Path) -> dict[str, str]:
    """SHA-256 of tables, checkpoints, figures and configuration, and of the report without the times of jobs."""
    found = checksums(folder, *RESULTS, "*.pdf", "*.png", "*.csv", "config.json")
    page, times = OF_TIMES.subn("", (folder / "report.html").read_text(encoding="utf-8"))
    assert times == 1
    return found | {"report.html": hashlib.sha256(page.encode()).hexdigest()}


class Run:
    """A workflow with the tiny preset that runs in a process group of its own, with its jobs."""

    def __init__(self, project: Path, output: str):
        self.folder = project / output
        self._told = project / f"{output}.txt"
        self.started = time.monotonic()
        with self._told.open("wb") as told:
            self.process = subprocess.Popen(
                command("--config", f"output={output}"),
                cwd=project,
                stdout=told,
                stderr=told,
                start_new_session=True,
                # What runs in the background of a shell ignores SIGINT, and so would all that it starts.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def told(self) -> str:
        """What Snakemake and its jobs have written to the terminal so far."""
        return self._told.read_text(encoding="utf-8")

    def planned(self) -> dict[str, int]:
        """How many jobs of each rule it set out to do; empty before it said so."""
        text = self.told()
        return jobs(text) if re.search(r"^total +\d+$", text, flags=re.MULTILINE) else {}

    def finished(self) -> Counter[str]:
        """How many jobs of each rule it has done."""
        return Counter(re.findall(r"^\[\d+ of \d+, .*?\] (\w+): ", self.told(), flags=re.MULTILINE))

    def running(self) -> list[str]:
        """Logs of the jobs that run now, which name them: `train/plane-seed0`."""
        found = set()
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if "-m" in words and "bumpscope" in words and "--log" in words:
                log = Path(words[words.index("--log") + 1])
                if log.parts[0] == self.folder.name:
                    found.add(Path(*log.parts[2:]).with_suffix("").as_posix())
        return sorted(found)

    def kill(self, number: signal.Signals) -> float:
        """Send a signal to the process group, wait until all of it is gone; returns how long that took in seconds."""
        sent = time.monotonic()
        os.killpg(self.process.pid, number)
        try:
            self.process.wait(SECONDS_TO_END)
            while _members(self.process.pid):
                assert time.monotonic() - sent < SECONDS_TO_END, "a job outlives its workflow"
                time.sleep(0.1)
        except BaseException:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise
        return time.monotonic() - sent

    def end(self) -> None:
        """Wait until it has ended well."""
        self.process.wait()
        assert self.process.returncode == 0, self.told()


def _members(group: int) -> list[int]:
    """Processes of a group that are not over."""
    found = []
    for process in psutil.process_iter(["pid", "status"]):
        try:
            if os.getpgid(process.info["pid"]) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process.info["pid"])
        except ProcessLookupError:
            continue
    return found


def kill_and_restart(project: Path, output: str, moments: list[float]) -> int:
    """Start the workflow, kill -9 all of it at each of these moments (seconds), then let it end; returns how often
    it was really cut off."""
    cut = 0
    for moment in moments:
        run = Run(project, output)
        time.sleep(moment)
        if run.process.poll() is None:
            cut += 1
            run.kill(signal.SIGKILL)
        run.process.wait()
    Run(project, output).end()
    return cut


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
# The first part of the names of logs, of jobs in the order in which a run comes to them.
STAGES = {
    "dataset": ("dataset",),
    "training": ("train",),
    "probing": ("generate", "effects"),
    "analysis": ("behaviour", "geometry", "topology", "phases"),
    "aggregation": ("metrics", "coupling", "leaderboard", "claims"),
    "figures": ("figures",),
    "report": ("report",),
}
KILLS = 20


@dataclass
class Kill:
    """One kill of a workflow, and what was seen then.

    Attributes:
        signal: what is sent to Snakemake and its jobs.
        stage: the workflow is killed once a job of this stage runs; empty where any will do.
        jobs: once it has done this many jobs since it was started.
        delay: seconds to wait after that.
        output: the output folder; several kills of one folder follow each other.
        moment: seconds after this start of the workflow when it was killed.
        share: jobs of the whole workflow that were done by then, 0 to 1.
        running: logs of the jobs that ran.
        seconds_to_end: from the signal until no process of the group was left.
        seen: what lay in the output folder then.
        left: jobs that the next start plans.
        again: those of them that had been finished already.
    """

    signal: signal.Signals
    stage: str
    jobs: int
    delay: float
    output: str = ""
    moment: float = 0.0
    share: float = 0.0
    running: list[str] = field(default_factory=list)
    seconds_to_end: float = 0.0
    seen: Seen = field(default_factory=lambda: Seen([], [], [], 0))
    left: int = 0
    again: int = 0


def twenty_kills(seed: int) -> list[list[Kill]]:
    """Kills at random moments, the signals in turn.

    First one kill of a fresh run in each of its stages, then runs that are killed again and again on their way, each
    time when they have done a few jobs more, or none; each inner list starts with a new output folder. Time alone would
    not do: on a machine that does much else, all kills come before anything has begun.
    """
    draw, signals = random.Random(seed), itertools.cycle(SIGNALS)
    fresh = [[Kill(next(signals), stage, 0, draw.uniform(0.0, 1.0))] for stage in STAGES]
    chain = [Kill(next(signals), "", draw.randint(0, 5), draw.uniform(0.0, 6.0)) for _ in range(KILLS - len(fresh))]
    return [*fresh, chain]


def play(project: Path, name: str, kills: list[Kill], total: int) -> Iterator[tuple[Run, list[Kill]]]:
    """Kill the workflow as planned, each time it has been started again, then let it end.

    A run that has ended before the next kill is done with, and the kills that are left go on with a new one, sooner.

    Args:
        name: begins the names of output folders.
        total: jobs of an undisturbed run.

    Returns:
        each run that has ended, and the kills on its way.
    """
    waiting, folders = list(kills), itertools.count(1)
    while waiting:
        output, to_do, made = f"{name}-{next(folders)}", total, []
        while waiting:
            kill, run = waiting[0], Run(project, output)
            if not _reached(run, kill):
                kill.jobs, kill.delay = 0, 0.7 * kill.delay
                break
            _make(run, kill, to_do, total)
            to_do = kill.left
            made.append(waiting.pop(0))
        run = Run(project, output)
        run.end()
        yield run, made


def _reached(run: Run, kill: Kill) -> bool:
    """Wait for the moment of a kill; whether the workflow still runs then."""
    since = None
    while run.process.poll() is None:
        if since is None and _comes_to(run, kill):
            since = time.monotonic()
        if since is not None and time.monotonic() - since >= kill.delay:
            return True
        time.sleep(0.05)
    assert run.process.returncode == 0, run.told()
    return False


def _comes_to(run: Run, kill: Kill) -> bool:
    """Whether a workflow has come to where a kill is meant to be."""
    if kill.stage:
        return any(log.split("/")[0] in STAGES[kill.stage] for log in run.running())
    return bool(run.planned()) and sum(run.finished().values()) >= kill.jobs


def _make(run: Run, kill: Kill, to_do: int, total: int) -> None:
    """Kill a workflow that set out to do ``to_do`` of ``total`` jobs, and look at what it left."""
    kill.output, kill.running = run.folder.name, run.running()
    kill.moment = time.monotonic() - run.started
    kill.seconds_to_end = run.kill(kill.signal)
    left = to_do - sum(run.finished().values())
    kill.share = 1 - left / total
    kill.seen = look(run.folder)
    kill.left = sum(planned(run.folder.parent, "--config", f"output={kill.output}").values())
    kill.again = kill.left - left

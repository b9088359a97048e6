"""Whole workflows that are killed and started again, and what can be seen of their results in between."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import psutil
from PIL import Image

from bumpscope.checkpoints import load_tensors
from bumpscope.files import FileError
from bumpscope.schemas import IMAGE, TABLES, VECTOR
from bumpscope.tables import read_block, read_table
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
        return Counter(re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)$", self.told(), flags=re.MULTILINE))

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


@dataclass(frozen=True)
class Seen:
    """What lies in an output folder after a kill.

    Attributes:
        files: those under a final name, states to resume from among them.
        broken: those of them that are not whole, each with what is wrong.
        leftovers: half-written files under temporary names.
        leftover_bytes: their size.
    """

    files: list[str]
    broken: list[str]
    leftovers: list[str]
    leftover_bytes: int


def look(folder: Path) -> Seen:
    """Read every file of an output folder, and tell which are not whole."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".log"]
    temporary = [path for path in paths if path.name.endswith(".part")]
    final = [path for path in paths if path not in temporary and path.name not in (".lock", "lock", "finished")]
    broken = [told for path in final if (told := _fault(path, folder))]
    names = [[path.relative_to(folder).as_posix() for path in group] for group in (final, temporary)]
    return Seen(names[0], broken, names[1], sum(path.stat().st_size for path in temporary))


def table_at(place: str) -> str:
    """The name of the table that lies at a place under the output folder."""
    for name, table in TABLES.items():
        if re.fullmatch(re.sub(r"\\{\w+\\}", ".+", re.escape(table.path)), place):
            return name
    raise KeyError(place)


def _fault(path: Path, folder: Path) -> str | None:
    """What is wrong with a file, or None where it is whole."""
    try:
        _read(path, path.relative_to(folder).as_posix())
    except (FileError, OSError, ValueError, KeyError, SyntaxError) as error:
        return f"{path.relative_to(folder).as_posix()}: {error or type(error).__name__}"
    return None


def _read(path: Path, place: str) -> None:
    """Read all of a file; an error where it is not whole."""
    if path.suffix == ".parquet":
        name = table_at(place)
        read_table(name, path)
        for column in TABLES[name].columns:
            if column.kind in (IMAGE, VECTOR):
                # Vectors of layers differ in length; all pages are read before that is found.
                try:
                    read_block(name, path, column.name)
                except FileError as error:
                    if "select one layer" not in str(error):
                        raise
    elif path.suffix == ".safetensors":
        load_tensors(path)
    elif path.suffix == ".png":
        with Image.open(path) as image:
            image.load()
    elif path.suffix == ".json":
        json.loads(path.read_text(encoding="utf-8"))
    elif path.suffix in (".csv", ".tsv"):
        text = path.read_text(encoding="utf-8")
        pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
        if not text.endswith("\n"):
            raise ValueError("ends in the middle of a line")
    else:
        ends = {".pdf": b"%%EOF", ".html": b"</html>"}
        if path.suffix not in ends:
            raise ValueError("is of a kind that nobody expects there")
        if not path.read_bytes().rstrip().endswith(ends[path.suffix]):
            raise ValueError("has no end")


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
FRESH, CHAINS, LINKS = 8, 2, 6


@dataclass
class Kill:
    """One kill of a workflow, and what was seen then.

    Attributes:
        output: the output folder; several kills of one folder follow each other.
        asked, moment: seconds after this start of the workflow when it was to be killed, and when it was.
        share: jobs of the whole workflow that were done by then, 0 to 1.
        running: logs of the jobs that ran.
        sent: whether it still ran then.
        seconds_to_end: from the signal until no process of the group was left.
        left: jobs that the next start plans.
        again: those of them that had been finished already.
    """

    output: str
    signal: signal.Signals
    asked: float
    moment: float = 0.0
    share: float = 0.0
    running: list[str] = field(default_factory=list)
    seconds_to_end: float = 0.0
    sent: bool = False
    seen: Seen | None = None
    left: int = 0
    again: int = 0


def twenty_kills(seed: int, seconds: float) -> dict[str, list[Kill]]:
    """Kills at random moments of runs that take ``seconds`` undisturbed: some of fresh runs, one in each stretch of the
    time, and others of two runs that are killed again and again; the signals take turns."""
    draw = random.Random(seed)
    moments = [(f"fresh-{k + 1}", (k + draw.random()) / FRESH * 0.97 * seconds) for k in range(FRESH)]
    for chain in range(CHAINS):
        moments += [(f"chain-{chain + 1}", draw.uniform(0.05, 0.35) * seconds) for _ in range(LINKS)]
    plan: dict[str, list[Kill]] = {}
    for number, (output, moment) in enumerate(moments):
        plan.setdefault(output, []).append(Kill(output, SIGNALS[number % len(SIGNALS)], moment))
    return plan


def play(project: Path, kills: list[Kill], total: int) -> Run:
    """Kill the workflow of one output folder as planned, each time it has been started again; then let it end.

    Args:
        total: jobs of an undisturbed run.
    """
    output, to_do = kills[0].output, total
    for kill in kills:
        run = Run(project, output)
        while run.process.poll() is None and time.monotonic() - run.started < kill.asked:
            time.sleep(0.05)
        kill.running = run.running()
        kill.moment = time.monotonic() - run.started
        kill.sent = run.process.poll() is None
        if kill.sent:
            kill.seconds_to_end = run.kill(kill.signal)
        finished = sum(run.finished().values())
        kill.share = 1 - (to_do - finished) / total
        kill.seen = look(run.folder) if run.folder.exists() else Seen([], [], [], 0)
        kill.left = sum(planned(project, "--config", f"output={output}").values())
        kill.again, to_do = kill.left - (to_do - finished), kill.left
    run = Run(project, output)
    run.end()
    return run

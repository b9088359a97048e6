"""A real SLURM of one node with two fake GPUs, on loopback, for tests.

    python tests/support/slurm_cluster.py start | stop    # as root, on Debian or Ubuntu; start may install SLURM

No systemd, no cgroups, no accounting database: `sacct` answers with an error, as on many a small cluster, and the
scheduler's own record of finished jobs is read instead. It never touches a SLURM that it did not set up.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

import debian
from bumpscope.store.files import first_line
from debian import Unavailable

NAME = "bumpscope-tests"
PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
SECONDS_TO_INSTALL = 180
SECONDS_FOR_ANOTHER_SESSION = 600
# One place a machine: SLURM's clients, once the environment is stripped, look in /etc/slurm alone.
FOLDER = Path("/var/lib/bumpscope-slurm")
ETC = Path("/etc/slurm")
CONFIGURATION = ("slurm.conf", "gres.conf")
# More CPUs than a small machine has, so that GPUs are what limits.
CPUS, GPUS, MEGABYTES = 16, 2, 24_000


@dataclass(frozen=True)
class Record:
    """What the scheduler wrote about one attempt at a job when it ended."""

    job: int
    name: str  # rule_R_wildcards_W of one job, rule_G of a group G
    state: str  # COMPLETED, CANCELLED, TIMEOUT, NODE_FAIL, FAILED…
    minutes: int  # its time limit
    megabytes: int
    gpus: int
    submitted: datetime
    started: datetime
    ended: datetime


def obstacle() -> str | None:
    """Why a cluster cannot be started on this machine, or None where nothing is known to be in the way."""
    if os.geteuid() != 0:
        return "starting one needs root"
    theirs = [name for name in CONFIGURATION if _exists(ETC / name) and not _ours(ETC / name)]
    if theirs:
        return f"{ETC / theirs[0]} belongs to a cluster that is set up here already"
    if not _installed() and shutil.which("apt-get") is None:
        return "it is not installed and there is no apt-get to install it with"
    return None


def _exists(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _ours(path: Path) -> bool:
    return path.is_symlink() and path.readlink() == FOLDER / path.name


def _installed() -> bool:
    return all(_program(name) for name in ("slurmctld", "slurmd", "sbatch", "munged"))


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin")


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Wait until ``condition`` holds; fails with ``what`` was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.1)


class Cluster:
    """The cluster while it runs; a context manager that starts and stops it."""

    def __init__(self) -> None:
        self._session = FileLock(FOLDER.with_suffix(".lock"))
        self._finished = FOLDER / "finished.txt"

    def __enter__(self) -> Cluster:
        reason = obstacle()
        if reason:
            raise Unavailable(reason)
        try:
            self._session.acquire(timeout=SECONDS_FOR_ANOTHER_SESSION)
        except Timeout:
            raise Unavailable("another test session has been using it for too long") from None
        try:
            if not _installed():
                debian.install(PACKAGES, SECONDS_TO_INSTALL, _installed)
            self._stop()  # what a killed session left
            self._start()
        except BaseException as error:
            last = _last_line(FOLDER / "slurmctld.log")
            self._stop()
            self._session.release()
            if isinstance(error, subprocess.CalledProcessError | AssertionError | OSError):
                raise Unavailable(f"it does not start here ({first_line(error)}; slurmctld said: {last})") from None
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._session.release()

    def _start(self) -> None:
        for name in ("state", "spool", "devices", "munge"):
            (FOLDER / name).mkdir(parents=True, exist_ok=True, mode=0o755)
        for number in range(GPUS):
            # SLURM accepts only a character device for a GPU; this is one more name of /dev/null.
            subprocess.run(["mknod", FOLDER / f"devices/gpu{number}", "c", "1", "3"], check=True)
        (FOLDER / "gres.conf").write_text(f"Name=gpu File={FOLDER}/devices/gpu[0-{GPUS - 1}]\n", encoding="utf-8")
        (FOLDER / "slurm.conf").write_text(_slurm_conf(), encoding="utf-8")
        for name in CONFIGURATION:
            (ETC / name).symlink_to(FOLDER / name)
        key = FOLDER / "munge/key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        munge = {"key-file": key, "socket": FOLDER / "munge/socket", "seed-file": FOLDER / "munge/seed"}
        munge |= {"pid-file": FOLDER / "munge/munged.pid", "log-file": FOLDER / "munge/munged.log"}
        _run("munged", *(f"--{option}={path}" for option, path in munge.items()))
        _run("slurmctld")
        self.start_node()

    def start_node(self) -> None:
        """Start slurmd and wait until the scheduler would give it work."""
        _run("slurmd", "-N", "localhost")
        wait_for(lambda: re.fullmatch("idle|mixed|allocated", ask("sinfo", "-h", "-o", "%T")), "an idle node")

    def _stop(self) -> None:
        if _ours(ETC / "slurm.conf"):
            with suppress(OSError, subprocess.TimeoutExpired):  # no scheduler left to ask
                subprocess.run([_program("scancel") or "scancel", "--user=root"], capture_output=True, timeout=10)
        for name in ("slurmd.pid", "slurmctld.pid", "munge/munged.pid"):
            _end(FOLDER / name)
        _kill_steps()
        for name in CONFIGURATION:
            if _ours(ETC / name):
                (ETC / name).unlink()
        shutil.rmtree(FOLDER, ignore_errors=True)

    def crash_node(self) -> None:
        """Kill -9 everything on the node at once, as a power cut would: slurmd and all jobs."""
        os.kill(int((FOLDER / "slurmd.pid").read_text()), signal.SIGKILL)
        _kill_steps()

    def records(self) -> list[Record]:
        """The scheduler's own record of every attempt at a job that has ended, in the order of their ends."""
        text = self._finished.read_text(encoding="utf-8") if self._finished.exists() else ""
        # What a job is for and the GPUs that it asked for are told by squeue alone.
        rows = ask("squeue", "--states=all", "--noheader", "--Format=JobID:20,tres-per-job:40,comment:200").splitlines()
        asked = {int(row[:20]): (row[20:60].strip(), row[60:].strip()) for row in rows}
        return [_record(line, asked) for line in text.splitlines()]

    def running(self) -> dict[int, str]:
        """Numbers and names of jobs that run now."""
        rows = ask("squeue", "--states=running", "--noheader", "--format=%i|%k").splitlines()
        return {int(number): name for number, _, name in (row.partition("|") for row in rows)}

    def cancel(self, job: int) -> None:
        """Cancel a job, as its owner would."""
        subprocess.run([_program("scancel") or "scancel", str(job)], check=True, timeout=30)

    def let_time_run_out(self, job: int) -> None:
        """Let a running job reach its time limit in five seconds; the scheduler looks every half minute."""
        change = [_program("scontrol") or "scontrol", "update", f"jobid={job}", "EndTime=now+5"]
        subprocess.run(change, check=True, timeout=30)


def _slurm_conf() -> str:
    return f"""\
ClusterName={NAME}
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A job that is queued again after its node failed waits for its credential to expire: 2 minutes unless told otherwise.
AuthInfo=socket={FOLDER}/munge/socket,cred_expire=20
CryptoType=crypto/munge
StateSaveLocation={FOLDER}/state
SlurmdSpoolDir={FOLDER}/spool
SlurmctldPidFile={FOLDER}/slurmctld.pid
SlurmdPidFile={FOLDER}/slurmd.pid
SlurmctldLogFile={FOLDER}/slurmctld.log
SlurmdLogFile={FOLDER}/slurmd.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
# Without it a node that advertises more CPUs than it has is drained.
SlurmdParameters=config_overrides
ReturnToService=2
SchedulerParameters=batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
# Seconds that ended jobs stay in squeue.
MinJobAge=3600
# Seconds between a job's SIGTERM and its SIGKILL.
KillWait=2
GresTypes=gpu
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc={FOLDER}/finished.txt
NodeName=localhost NodeAddr=127.0.0.1 CPUs={CPUS} RealMemory={MEGABYTES} Gres=gpu:{GPUS} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES DefMemPerCPU=100 MaxTime=INFINITE State=UP
"""


def _record(line: str, asked: dict[int, tuple[str, str]]) -> Record:
    # Name=value pairs; the name of a job may hold anything, but not what follows it.
    pairs = dict(re.findall(r"(\w+)=(\S*)", line))
    tres = dict(part.split("=") for part in pairs["Tres"].split(",") if "=" in part)
    memory = re.fullmatch(r"([\d.]+)([MGT])", tres.get("mem", "0M"))
    assert memory, line
    gpus, name = asked[int(pairs["JobId"])]
    return Record(
        job=int(pairs["JobId"]),
        name=name,
        state=pairs["JobState"],
        minutes=int(pairs["TimeLimit"]),
        megabytes=round(float(memory[1]) * {"M": 1, "G": 1024, "T": 1024**2}[memory[2]]),
        gpus=int(gpus.rpartition(":")[2]) if "gpu" in gpus else 0,
        submitted=datetime.fromisoformat(pairs["SubmitTime"]),
        started=datetime.fromisoformat(pairs["StartTime"]),
        ended=datetime.fromisoformat(pairs["EndTime"]),
    )


def ask(program: str, *arguments: str) -> str:
    """What a client of the cluster answers; empty where it fails."""
    done = subprocess.run([_program(program) or program, *arguments], capture_output=True, text=True, timeout=30)
    return done.stdout.strip()


def _run(daemon: str, *arguments: str) -> None:
    # Its streams must not keep the test session's pipes open.
    program = _program(daemon) or daemon
    with (FOLDER / f"{daemon}.err").open("ab") as errors:
        done = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, timeout=60)
    if done.returncode:
        raise Unavailable(f"{daemon} does not start ({_last_line(FOLDER / f'{daemon}.err')})")


def _last_line(path: Path) -> str:
    text = path.read_text(errors="replace").strip() if path.exists() else ""
    return (text or "nothing").splitlines()[-1]


def _kill_steps() -> None:
    """Kill -9 the processes of this cluster's jobs, and those that watch over them."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it ended meanwhile
            # Only this cluster has steps on this machine: another's configuration is never touched.
            if process.name().startswith("slurmstepd") or process.environ().get("SLURM_CLUSTER_NAME") == NAME:
                process.kill()


def _end(pid_file: Path) -> None:
    """End the process that a pid file names, if it is one of this cluster's daemons still."""
    try:
        process = psutil.Process(int(pid_file.read_text()))
        if process.name() != pid_file.stem:
            return
        process.terminate()
        process.wait(5)
    except psutil.TimeoutExpired:
        process.kill()
    except (OSError, ValueError, psutil.NoSuchProcess):
        return
    finally:
        pid_file.unlink(missing_ok=True)


def main() -> None:
    cluster = Cluster()
    try:
        if sys.argv[1:] == ["start"]:
            cluster.__enter__()
            print(ask("sinfo", "--noheader", "--Node", "--format=%N %t %c CPUs %m MB %G"))
        elif sys.argv[1:] == ["stop"]:
            cluster.__exit__()
        else:
            sys.exit("Usage: python tests/support/slurm_cluster.py start | stop")
    except Unavailable as error:
        sys.exit(f"SLURM: {error}")


if __name__ == "__main__":
    main()

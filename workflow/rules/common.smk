# What all rules share: the configuration, checked before anything starts, and where things lie.
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(workflow.basedir)
SOURCE = ROOT / "src"
sys.path.insert(0, str(SOURCE))
from snakemake.exceptions import WorkflowError

try:
    from filelock import FileLock, Timeout

    from bumpscope.config.loading import ConfigError, from_command_line, load
    from bumpscope.config.plan import describe, has_nvidia_driver, notes, nvidia_cards
    from bumpscope.config.section import canonical_json
    from bumpscope.config.steps import Arms, step_settings
    from bumpscope.config.variants import readings
    from bumpscope.store.files import (
        FileError,
        atomic_path,
        knows_no_locks,
        normal_path,
        unwritable,
    )
    from bumpscope.store.lineage import Lineage, all_targets, figures, grid
    from bumpscope.store.provenance import declared
except ModuleNotFoundError as error:
    raise WorkflowError(
        f"Snakemake runs in a Python without {error.name} ({sys.executable}); run the one in .venv/bin that `make "
        "environment` makes, or install into it what requirements.lock or environment.yml lists"
    ) from None

# Snakemake would merge a preset's datasets into the default's, and those of --config into the preset's; here they
# replace them. So the package reads the files itself and lays each over those before, the command line's keys last.
SOURCES = [
    str(ROOT / "config.yaml"),
    *map(str, workflow.overwrite_configfiles),
    from_command_line(workflow.config_settings.config),
]
if sum(word in ("--configfile", "--configfiles") for word in sys.argv) > 1:
    raise WorkflowError(
        "--configfile: is given more than once, and Snakemake would drop all but the last; give all files to one: "
        "--configfile A B"
    )
try:
    CONFIG = load(*SOURCES)
except ConfigError as error:
    raise WorkflowError(
        "The configuration cannot be run:\n  " + "\n  ".join(error.faults)
    ) from None

# Worlds whose values the configuration cannot judge are tried before any job.
if workflow.is_main_process and CONFIG.other_worlds():
    from bumpscope.worlds.examine import examined as examined_worlds

    try:
        examined_worlds(CONFIG)
    except ConfigError as error:
        raise WorkflowError(
            "The configuration cannot be run:\n  " + "\n  ".join(error.faults)
        ) from None

# What denoisers from elsewhere compute, by dataset. They are tried before any job; since that imports torch, only where
# there are any, and not again in the jobs of a cluster.
COUNTED = {}
if workflow.is_main_process and CONFIG.unknown_denoisers():
    from bumpscope.denoise.examine import examined

    try:
        COUNTED = examined(CONFIG)
    except ConfigError as error:
        raise WorkflowError(
            "The configuration cannot be run:\n  " + "\n  ".join(error.faults)
        ) from None

OUT = normal_path(CONFIG.output)
in_the_way = next(
    path for path in (Path(OUT), *Path(OUT).absolute().parents) if path.exists()
)
if not in_the_way.is_dir():
    raise WorkflowError(
        f"output: holds {OUT}, but {in_the_way} is not a folder; name another: --config output=DIR"
    )
LINEAGE = Lineage(CONFIG)
RUNS, VARIANTS = LINEAGE.runs, LINEAGE.variants
RUN = f"{OUT}/runs/{{dataset}}/seed={{seed}}"
IMAGE = ROOT / "bumpscope.sif"
# The trainings and the probes of this workflow, of which a job may take several along.
PLANNED, PLANNED_PROBES = f"{OUT}/.state/planned.json", f"{OUT}/.state/probes.json"
PROBES = ("generate", "effects", "interventions")
FIGURES = figures()


def before(name, folder):
    """A search path with ``folder`` put first."""
    return os.pathsep.join(filter(None, [str(folder), os.getenv(name)]))


os.environ.update(
    # Jobs run the Python that runs Snakemake, also where its environment was not activated, and find the package of
    # this very checkout, whatever is installed.
    PATH=before("PATH", Path(sys.executable).parent),
    PYTHONPATH=before("PYTHONPATH", SOURCE),
    BUMPSCOPE_DEVICE=CONFIG.device,
    BUMPSCOPE_PLANNED=PLANNED,
    BUMPSCOPE_PLANNED_PROBES=PLANNED_PROBES,
    # Not a parameter of its rule: it holds paths, and a folder that moves makes nothing stale.
    BUMPSCOPE_SOURCES=json.dumps(SOURCES),
    # A step ends when the process that started it is gone, so that it cannot write over the results of the next one.
    BUMPSCOPE_WORKFLOW_PID=str(os.getpid()),
    # A module of the working folder must not stand in for one of a library (a cuda.py for torch's).
    PYTHONSAFEPATH="1",
    # One thread a process: repeatable results, and runs side by side use the cores better.
    OMP_NUM_THREADS="1",
    OPENBLAS_NUM_THREADS="1",
    MKL_NUM_THREADS="1",
    NUMBA_NUM_THREADS="1",
)
if workflow.is_main_process:
    os.environ.update(BUMPSCOPE_RUNS_PER_JOB=str(CONFIG.runs_per_job))
else:  # jobs of a cluster have it from the workflow that submitted them
    os.environ.setdefault("BUMPSCOPE_RUNS_PER_JOB", str(CONFIG.runs_per_job))
if any(run.training.compile for run in RUNS.values()):
    # Kept beside the results, so that a machine compiles a network once. Torch makes the folder in any case.
    os.environ.setdefault(
        "TORCHINDUCTOR_CACHE_DIR", str(Path(OUT, ".compiled").absolute())
    )


wildcard_constraints:
    dataset="[A-Za-z][A-Za-z0-9_-]*",
    seed="[0-9]+",
    figure="|".join(FIGURES),


def run_of(wildcards):
    """The run that a job's wildcards name."""
    return RUNS[f"runs/{wildcards.dataset}/seed={wildcards.seed}"]


def varied_run(wildcards):
    """The run that a job's wildcards name, with the probe of their variant."""
    return VARIANTS[wildcards.variant][run_of(wildcards).path]


def state_of(wildcards):
    """Where a killed training of a run resumes from."""
    return f"{OUT}/.state/{run_of(wildcards).id}"


def settings_for(step):
    """An input function for `params`: just the keys that a step depends on, so that only they make it stale."""
    return lambda wildcards: canonical_json(step_settings(run_of(wildcards), step))


# Results that are there and are made again.
MADE_AGAIN = set()


def as_inputs(files):
    """Files for a job to read. Times, which a copy or another clock changes, tell nothing: the package tells which
    results are stale, by what they say of themselves."""
    return [file if file in MADE_AGAIN else ancient(file) for file in files]


def read(*files):
    """An input function for files, in which wildcards may stand."""
    return lambda wildcards: as_inputs(file.format(**wildcards) for file in files)


def checkpoints_of(wildcards, steps):
    folder = f"{OUT}/{run_of(wildcards).path}/checkpoints"
    return as_inputs(f"{folder}/step={step}.safetensors" for step in steps)


def output_folder(wildcards):
    return OUT


def grown(amount):
    """A resource that grows with each attempt at a job."""
    return lambda wildcards, attempt: amount * attempt


# How often a job that failed is tried again. Only the workflow itself does: inside a job of a cluster runs a Snakemake
# of its own, twice over, and each would try that often again where the memory and the time are those that failed.
RETRIES = 2 if workflow.is_main_process else 0


def hold_output_folder():
    """Keep other workflows out of the output folder while this one runs.

    The operating system releases this lock however the process ends. Snakemake's own lock is switched off in the
    profiles, since it outlives a kill and has to be removed by hand.
    """
    global output_lock
    output_lock = FileLock(Path(OUT, ".lock"), fallback_to_soft=False)
    try:
        Path(OUT).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=OUT):
            pass
        output_lock.acquire(blocking=False)
    except Timeout:
        raise WorkflowError(
            f"{OUT}: another workflow is running in this folder; wait for it, or name another: --config output=DIR"
        ) from None
    except (NotImplementedError, OSError) as error:
        if not knows_no_locks(error):
            raise WorkflowError(str(unwritable(OUT, error))) from None
        print(
            f"{OUT}: cannot be locked; make sure that no other workflow uses it",
            file=sys.stderr,
        )


def check_cluster():
    """Stop at once where jobs could not be submitted, or where their ends would never be noticed."""
    if workflow.executor_plugin.name != "slurm":
        return
    if shutil.which("sbatch") is None:
        raise WorkflowError(
            "executor: slurm, but there is no sbatch here; run this where jobs are submitted (a login node), or leave "
            "out --workflow-profile to use this machine"
        )
    if workflow.executor_settings.status_command == "sacct":
        asked = subprocess.run(["sacct", "--noheader"], capture_output=True, text=True)
        if asked.returncode:
            raise WorkflowError(
                "slurm-status-command: sacct, but this cluster keeps no accounting "
                f"({asked.stderr.strip()}), so that no job would ever be seen to end; set it to squeue"
            )


def check_image():
    """Stop before any job where jobs are to run in an image that was not built."""
    methods = workflow.deployment_settings.deployment_method
    if any(method.name == "APPTAINER" for method in methods) and not IMAGE.exists():
        raise WorkflowError(
            f"--sdm apptainer: {IMAGE.name} is missing; build it in the project's folder: apptainer build {IMAGE.name} "
            "container/apptainer.def"
        )


def gpus_at_a_time():
    """How many GPUs jobs may use at a time, as far as can be told without loading torch."""
    granted = dict(workflow.global_resources.unwrapped_items()).get("gpu")
    if workflow.executor_plugin.name == "slurm":
        return granted or 1
    shown = [*filter(None, os.getenv("CUDA_VISIBLE_DEVICES", "").split(","))]
    found = min(filter(None, (granted, len(nvidia_cards()), len(shown))), default=1)
    return min(found, workflow.cores or found)


def note_what_is_planned():
    """List the trainings and probes that will run, of which a job can do several, and divide them among the GPUs."""
    trainings, probes = {}, []
    for job in workflow.dag.needrun_jobs():
        if job.rule.name in TRAININGS:
            trainings[state_of(job.wildcards)] = {
                "settings": step_settings(run_of(job.wildcards), "train"),
                "dataset": str(job.input[0]),
                "state": state_of(job.wildcards),
            }
        elif job.rule.name in PROBES:
            probes.append(job)
    planned = [
        {
            "command": job.rule.name,
            "settings": step_settings(run_of(job.wildcards), job.rule.name),
            "checkpoints": f"{OUT}/{run_of(job.wildcards).path}/checkpoints",
            "state": f"{state_of(job.wildcards)}/{job.rule.name}",
            "after": (
                state_of(job.wildcards)
                if state_of(job.wildcards) in trainings
                else None
            ),
        }
        for job in probes
    ]
    if CONFIG.runs_per_job == "auto" and (gpus := gpus_at_a_time()) > 1:
        # Divided among the GPUs, so that the first job does not take them all.
        runs = {*trainings, *map(state_of, (job.wildcards for job in probes))}
        most = max(1, math.ceil(len(runs) / gpus))
        os.environ.update(BUMPSCOPE_RUNS_PER_JOB=f"auto:{most}")
    try:
        for path, entries in (
            (PLANNED, [*trainings.values()]),
            (PLANNED_PROBES, planned),
        ):
            with atomic_path(path) as temporary:
                temporary.write_text(canonical_json(entries), encoding="utf-8")
    except FileError as error:
        raise WorkflowError(str(error)) from None


# dataset -> one of its runs, which all share its lattice.
RUN_OF_DATASET = {run.dataset: run for run in RUNS.values()}


def lattice_settings(wildcards):
    """Just what a dataset depends on."""
    return canonical_json(step_settings(RUN_OF_DATASET[wildcards.dataset], "dataset"))


def forget_finished_states():
    """Remove what finished trainings would have resumed from, and tables that are results now."""
    for marker in Path(OUT, ".state").glob("*/*/finished"):
        # The marker goes last, so that a state which was removed in part, when this was killed, is found again.
        for path in marker.parent.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path != marker:
                path.unlink(missing_ok=True)
        shutil.rmtree(marker.parent, ignore_errors=True)
        run = marker.parent.parent
        if not any(path.is_dir() for path in run.iterdir()):
            shutil.rmtree(run, ignore_errors=True)
    for path in (PLANNED, PLANNED_PROBES):
        Path(path).unlink(missing_ok=True)


GRID = grid(CONFIG)


def files_of(*tables):
    """All files of tables."""
    return as_inputs(f"{OUT}/{path}" for path in LINEAGE.files(*tables))


def tables_read_by(command):
    """An input function for all files of the tables that a command reads in the output folder."""
    return lambda wildcards: files_of(*declared(f"commands.{command}", "READS"))


def of_figure(constant):
    """An input function for what the module of a figure declares, such as its CAPTION."""
    return lambda wildcards: declared(f"show.figures.{wildcards.figure}", constant)


def tables_of_figure(wildcards):
    """What a figure reads. Most read no tables of single runs, and each input counts: with a thousand runs, all tables
    for all figures were two thirds of what Snakemake looked at."""
    # Nothing can be read without the list of runs.
    return files_of(*dict.fromkeys(["runs", *of_figure("READS")(wildcards)]))


def in_words(name):
    return name.replace("_", " ").capitalize()


def shown_in_report(path, kind):
    """A file of a figure, marked for `snakemake --report`: by topic, then by figure, with what kind of file it is."""
    return report(
        path,
        caption="../report/figure.rst",
        category=of_figure("TOPIC"),
        subcategory=lambda wildcards: in_words(wildcards.figure),
        labels={"figure": "{figure}", "file": kind},
    )


def told_files(log):
    """The paths of Snakemake's own logs, of which there may be several, as text."""
    return log if isinstance(log, str) else ", ".join(log)


def told_errors(log):
    """The errors of all failed jobs, a line each, from the logs that Snakemake copied into its own."""
    told = {}
    for path in [log] if isinstance(log, str) else log:
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            if " ERROR error: " in line:
                told[line.partition(" ERROR error: ")[2]] = None
    return "\n".join(["", *(f"error: {line}" for line in told)])


def on_gpus():
    """Whether jobs run on GPUs, as far as can be told without loading torch."""
    granted = dict(workflow.global_resources.unwrapped_items()).get("gpu")
    wanted = CONFIG.device == "cuda" or has_nvidia_driver() or granted
    return CONFIG.device != "cpu" and granted != 0 and bool(wanted)


def banner():
    """What is configured, what it costs and where its progress is told."""
    noted = "".join(f"{line}\n" for line in notes(CONFIG))
    return (
        f"bumpscope: {len(RUNS)} runs of {len(GRID)} datasets; device {CONFIG.device}\n{noted}"
        f"{describe(CONFIG, on_gpus(), COUNTED, nvidia_cards())}\n"
        f"Logs are under {OUT}/logs/, results under {OUT}/."
    )

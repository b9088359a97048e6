# What all rules share: the configuration, checked before anything starts, and where things lie.
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(workflow.basedir)
SOURCE = ROOT / "src"
sys.path.insert(0, str(SOURCE))
from filelock import FileLock, Timeout
from snakemake.exceptions import WorkflowError

from bumpscope.commands.configuration import in_force
from bumpscope.config.loading import ConfigError, from_command_line, load
from bumpscope.config.plan import describe, notes
from bumpscope.config.section import canonical_json, fingerprint
from bumpscope.config.steps import step_settings
from bumpscope.config.variants import readings, variants
from bumpscope.store.files import FileError, atomic_path, knows_no_locks, unwritable
from bumpscope.store.provenance import code_fingerprint, declared, module_path
from bumpscope.store.schemas import OF_IMAGES, TABLES

# Snakemake would merge a preset's datasets into the default's, and those of --config into the preset's; here they
# replace them. So the package reads the files itself and lays each over those before, the command line's keys last.
SOURCES = [
    str(ROOT / "config.yaml"),
    *map(str, workflow.overwrite_configfiles),
    from_command_line(workflow.config_settings.config),
]
try:
    CONFIG = load(*SOURCES)
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

CONFIGURATION = hashlib.sha256(in_force(CONFIG).encode()).hexdigest()
OUT = CONFIG.output.rstrip("/")
in_the_way = next(
    path for path in (Path(OUT), *Path(OUT).absolute().parents) if path.exists()
)
if not in_the_way.is_dir():
    raise WorkflowError(
        f"output: holds {OUT}, but {in_the_way} is not a folder; name another: --config output=DIR"
    )
RUNS = {run.path: run for run in CONFIG.runs()}
# Other ways to probe runs: variant -> path -> the run with its probe changed.
VARIANTS = {
    name: {run.path: run for run in runs} for name, runs in variants(CONFIG).items()
}
RUN = f"{OUT}/runs/{{dataset}}/seed={{seed}}"
# The trainings of this workflow, of which a job may take several along.
PLANNED = f"{OUT}/.state/planned.json"
FIGURES = sorted(
    path.stem
    for path in module_path("show.figures").parent.glob("*.py")
    if path.stem != "__init__"
)


def before(name, folder):
    """A search path with ``folder`` put first."""
    return os.pathsep.join(filter(None, [str(folder), os.getenv(name)]))


os.environ.update(
    # Jobs run the Python that runs Snakemake, also where its environment was not activated, and find the package of
    # this very checkout, whatever is installed.
    PATH=before("PATH", Path(sys.executable).parent),
    PYTHONPATH=before("PYTHONPATH", SOURCE),
    BUMPSCOPE_DEVICE=CONFIG.device,
    BUMPSCOPE_RUNS_PER_JOB=str(CONFIG.runs_per_job),
    BUMPSCOPE_PLANNED=PLANNED,
    # Not a parameter of its rule: it holds paths, and a folder that moves makes nothing stale.
    BUMPSCOPE_SOURCES=json.dumps(SOURCES),
    # A step ends when the process that started it is gone, so that it cannot write over the results of the next one.
    BUMPSCOPE_WORKFLOW_PID=str(os.getpid()),
    # One thread a process: repeatable results, and runs side by side use the cores better.
    OMP_NUM_THREADS="1",
    OPENBLAS_NUM_THREADS="1",
    MKL_NUM_THREADS="1",
    NUMBA_NUM_THREADS="1",
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


def code_of(command):
    """Stands for all the code that a command uses, so that an edit makes just its results stale."""
    return code_fingerprint(f"commands.{command}")


def code_with_network(command, run=run_of):
    """As :func:`code_of`, for commands that also run the denoiser that a job's run names."""
    return lambda wildcards: fingerprint(
        code_of(command), code_fingerprint(run(wildcards).denoiser.path)
    )


def checkpoints_of(wildcards, steps):
    return [
        f"{OUT}/{run_of(wildcards).path}/checkpoints/step={step}.safetensors"
        for step in steps
    ]


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


def note_planned_trainings():
    """List the trainings that will run, so that a job can train several of them."""
    planned = [
        {
            "settings": step_settings(run_of(job.wildcards), "train"),
            "dataset": job.input.dataset,
            "state": state_of(job.wildcards),
        }
        for job in workflow.dag.needrun_jobs()
        if job.rule.name in TRAININGS
    ]
    try:
        with atomic_path(PLANNED) as temporary:
            temporary.write_text(canonical_json(planned), encoding="utf-8")
    except FileError as error:
        raise WorkflowError(str(error)) from None


# dataset -> one of its runs, which all share its lattice.
RUN_OF_DATASET = {run.dataset: run for run in RUNS.values()}


def lattice_settings(wildcards):
    """Just what a dataset depends on."""
    return canonical_json(step_settings(RUN_OF_DATASET[wildcards.dataset], "dataset"))


def forget_finished_states():
    """Remove what finished trainings would have resumed from; their checkpoints are results now."""
    for marker in Path(OUT, ".state").glob("*/*/finished"):
        # The marker goes last, so that a state which was removed in part, when this was killed, is found again.
        for path in marker.parent.iterdir():
            if path != marker:
                path.unlink(missing_ok=True)
        shutil.rmtree(marker.parent, ignore_errors=True)
        run = marker.parent.parent
        if not any(path.is_dir() for path in run.iterdir()):
            shutil.rmtree(run, ignore_errors=True)
    Path(PLANNED).unlink(missing_ok=True)


# dataset -> seeds: short enough for a command line, also with thousands of runs.
GRID = {}
for run in RUNS.values():
    GRID.setdefault(run.dataset, []).append(run.seed)


def files_of(table):
    """All files of a table: one, or one for each run, dataset or variant of the probe."""
    pattern = TABLES[table].path
    probes = VARIANTS if "{variant}" in pattern else {"": RUNS}

    def is_made(run):
        if table == "interventions":
            return bool(run.probe.interventions)
        return table not in OF_IMAGES or bool(run.probe.checkpoints)

    paths = [
        pattern.format(variant=variant, path=path, dataset=run.dataset)
        for variant, runs in probes.items()
        for path, run in runs.items()
        if is_made(run)
    ]
    return [f"{OUT}/{path}" for path in dict.fromkeys(paths)]


def tables_read_by(command):
    """All files of the tables that a command reads in the output folder."""
    return [
        path
        for table in declared(f"commands.{command}", "READS")
        for path in files_of(table)
    ]


# Made by `snakemake sensitivity` alone.
OF_SENSITIVITY = ("sensitivity", "places", "varied_behaviour", "varied_geometry")


def everything():
    """All results that are kept: tables and figures.

    Not activations and checkpoints, which take most of the room: they may be deleted, and come again where something
    needs them.
    """
    left_out = (*OF_SENSITIVITY, "latents")
    wanted = [f"{OUT}/config.json"]
    for table in TABLES:
        if table not in left_out:
            wanted += files_of(table)
    wanted += [
        f"{OUT}/figures/{figure}.{kind}"
        for figure in FIGURES
        for kind in ("pdf", "png", "csv")
    ]
    return wanted


def of_figure(constant):
    """An input function for what the module of a figure declares, such as its CAPTION."""
    return lambda wildcards: declared(f"show.figures.{wildcards.figure}", constant)


def tables_of_figure(wildcards):
    """What a figure reads. Most read no tables of single runs, and each input counts: with a thousand runs, all tables
    for all figures were two thirds of what Snakemake looked at."""
    # Nothing can be read without the list of runs.
    tables = dict.fromkeys(["runs", *of_figure("READS")(wildcards)])
    return [path for table in tables for path in files_of(table)]


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


def banner():
    """What is configured, what it costs and where its progress is told."""
    noted = "".join(f"{line}\n" for line in notes(CONFIG))
    return (
        f"bumpscope: {len(RUNS)} runs of {len(GRID)} datasets; device {CONFIG.device}\n{noted}"
        f"{describe(CONFIG, COUNTED)}\n"
        f"Logs are under {OUT}/logs/, results under {OUT}/."
    )

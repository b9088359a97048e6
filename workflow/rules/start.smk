# What is looked at before jobs are planned and started: which results are stale, and whether the disk has room.
import contextlib
import time

from bumpscope.config.disk import planned_bytes, shortage
from bumpscope.config.readings import CONFIGURED
from bumpscope.store.lineage import OF_SENSITIVITY
from bumpscope.store.verification import examine, to_make_again, told


def check_room():
    """Stop before any job where the disk cannot hold what the plan says."""
    if not CONFIG.check_disk:
        return
    there = 0
    for job in LINEAGE.jobs():
        for path in () if job.step in OF_SENSITIVITY else job.outputs:
            with contextlib.suppress(OSError):
                there += os.stat(f"{OUT}/{path}").st_size
    planned, free = planned_bytes(RUNS.values()).total(), shutil.disk_usage(OUT).free
    if line := shortage(planned, there, free):
        raise WorkflowError(f"{OUT}: {line}")


def forget_times_ahead():
    """Set the times of results that a clock ahead of this one wrote to now: Snakemake fails a job whose inputs are newer
    than its outputs."""
    now = time.time()
    for job in LINEAGE.jobs():
        for path in job.outputs:
            with contextlib.suppress(OSError):
                if os.stat(f"{OUT}/{path}").st_mtime > now:
                    os.utime(f"{OUT}/{path}")


def files_named(names, jobs):
    """The files, relative to the output folder, that rules or files on the command line stand for."""
    kept = all_targets(jobs)
    of_rules = {"all": kept, "figures": {path for path in kept if "figures/" in path}}
    for job in jobs:
        of_rules.setdefault(job.step, set()).update(job.outputs)
    return {
        path
        for name in names
        for path in of_rules.get(name, [os.path.normpath(name).removeprefix(f"{OUT}/")])
    }


def check_layers_of_sensitivity():
    """Stop where a denoiser lacks a layer at which `snakemake sensitivity` judges phases."""
    for run in VARIANTS[CONFIGURED].values():
        layers = COUNTED[run.dataset].layers if run.dataset in COUNTED else ()
        lacking = [layer for layer in run.probe.layers if layer not in layers]
        if layers and lacking:
            raise WorkflowError(
                f"sensitivity.layers: {', '.join(lacking)} is not in {run.denoiser.kind}; allowed: from "
                f"{', '.join(layers)}"
            )


def make_stale_results_again():
    """Name the results of other settings or code, and have Snakemake make them again, which is all that it has to know.

    Its own memory is of this folder on this machine alone.
    """
    settings = workflow.dag_settings
    varied = any(
        "sensitivity" in name for name in (*settings.targets, *settings.forcerun)
    )
    if varied:
        check_layers_of_sensitivity()
    if not Path(OUT).is_dir():
        return
    jobs = list(LINEAGE.jobs())
    if not varied:
        # With a thousand runs these are half of all files, and nothing reads them.
        jobs = [job for job in jobs if job.step not in OF_SENSITIVITY]
    findings = examine(OUT, jobs)
    targets = files_named(settings.targets or ["all"], jobs)
    again = to_make_again(jobs, findings, targets, files_named(settings.forcerun, jobs))
    lines = told(finding for finding in findings if finding.path in again)
    if lines:
        print(
            f"Made again, since settings or code have changed (bumpscope verify {OUT}):",
            file=sys.stderr,
        )
        print("\n".join(f"  {line}" for line in lines), file=sys.stderr)
    settings.rerun_triggers = frozenset()
    MADE_AGAIN.update(f"{OUT}/{path}" for path in again)
    settings.forcerun = {*settings.forcerun, *MADE_AGAIN}


def before_jobs_are_planned(act):
    """Call ``act`` once Snakemake knows its targets, before it looks which jobs have to run; it has no hook for that."""
    plan = workflow._prepare_dag

    def acted_and_planned(*arguments, **options):
        act()
        return plan(*arguments, **options)

    workflow._prepare_dag = acted_and_planned

# What the terminal shows: a line for each finished job with the time left, and errors whole. Snakemake's own log, whose
# path it tells at the end, keeps everything.
import logging
import textwrap
import time

from snakemake.logging import DefaultFormatter
from snakemake_interface_logger_plugins.common import LogEvent

from bumpscope.config.plan import run_seconds

UNSEEN_EVENTS = {
    LogEvent.WORKFLOW_STARTED,
    LogEvent.JOB_STARTED,
    LogEvent.GROUP_INFO,
    LogEvent.PROGRESS,
    LogEvent.RESOURCES_INFO,
}
UNSEEN_LINES = (
    "Select jobs to execute",
    "Building DAG of jobs",
    "Using shell",
    "host:",
    "Conda environments: ignored",
    "Singularity containers: ignored",
)
LONGEST_REASON = 160
# Of jobs that are not of a run, and until there is something to go by: that jobs take as long as planned.
SECONDS_OF_A_JOB, SECONDS_OF_DOUBT = 4.0, 60.0


class Progress:
    """Which jobs have run, and how long the others will take."""

    def __init__(self):
        self.planned = {}  # job -> seconds
        self.running = {}  # job -> rule, what it does and since when
        self.done = {}
        self.began, self.side_by_side = time.monotonic(), 1

    def plan(self):
        """Note the jobs that will run; only then is their number known."""
        self.began = time.monotonic()
        settings = workflow.resource_settings
        self.side_by_side = settings.nodes or settings.cores or 1
        for job in workflow.dag.needrun_jobs():
            planned = SECONDS_OF_A_JOB
            if {"dataset", "seed"} <= set(job.wildcards.keys()):
                # Of trainings there may be several rules.
                step = "train" if job.rule.name in TRAININGS else job.rule.name
                planned = run_seconds(run_of(job.wildcards)).get(step, planned)
            self.planned[workflow.dag.jobid(job)] = max(planned, 1.0)

    def finished(self, job, told):
        """A line on a job that has finished."""
        now = time.monotonic()
        name, what, since = self.running.pop(job, ("job", told, now))
        self.done[job] = self.planned.get(job, SECONDS_OF_A_JOB)
        total = max(len(self.planned), len(self.done))
        return f"[{len(self.done)} of {total}, {self.left(now)}] {name}: {what}, {in_time(now - since)}"

    def left(self, now):
        """The time left, from the plan and from how long what is done has taken."""
        begun = {
            job: min(self.planned.get(job, 0.0), now - since)
            for job, (_, _, since) in self.running.items()
        }
        done = sum(self.done.values()) + sum(begun.values())
        rest = max(sum(self.planned.values()) - done, 0.0)
        pace = (now - self.began + SECONDS_OF_DOUBT) / (
            done + SECONDS_OF_DOUBT * min(self.side_by_side, len(self.planned) or 1)
        )
        return f"about {in_time(rest * pace)} left" if rest else "nothing left"


def in_time(seconds):
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


class FewerLines(logging.Filter):
    def filter(self, record):
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO and not workflow.dryrun:
            what = (record.rule_msg or record.rule_name).partition(" (log: ")[0]
            PROGRESS.running[record.jobid] = (record.rule_name, what, time.monotonic())
            return False
        if event in UNSEEN_EVENTS:
            return False
        return not str(record.msg).startswith(UNSEEN_LINES)


class ShorterLines(DefaultFormatter):
    def format_job_info(self, msg):
        # The reason names each file of which there may be thousands.
        reason = textwrap.shorten(msg["reason"] or "", LONGEST_REASON, placeholder=" …")
        return super().format_job_info(msg | {"reason": reason})

    def format_job_finished(self, msg):
        return PROGRESS.finished(msg["job_id"], msg["msg"])


PROGRESS = Progress()
if workflow.is_main_process and not workflow.output_settings.verbose:
    for handler in logging.getLogger("snakemake.logging").handlers:
        if handler.name == "DefaultStreamHandler":
            handler.addFilter(FewerLines())
            handler.setFormatter(
                ShorterLines(
                    handler.formatter.quiet, handler.formatter.show_failed_logs
                )
            )


# A figure that cannot be drawn costs neither the others nor the report; its files say why, and the workflow fails.
def tell_figures_not_drawn():
    from bumpscope.show.failures import why_not_drawn

    tables = {figure: Path(OUT, f"figures/{figure}.csv") for figure in FIGURES}
    reasons = {
        figure: why_not_drawn(table)
        for figure, table in tables.items()
        if table.exists()
    }
    if failed := {figure: reason for figure, reason in reasons.items() if reason}:
        lines = (
            f"{figure} could not be drawn ({reason}); {OUT}/logs/figures/{figure}.log has more"
            for figure, reason in failed.items()
        )
        raise WorkflowError("\n".join(lines))

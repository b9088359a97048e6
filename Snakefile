# The experiment of arXiv 2402.03305 from bumps to figures. Rules are thin: each calls one command of the package
# in src/, which knows nothing of Snakemake and can be run alone (python -m bumpscope --help).


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"


# Of all rules below, with --sdm apptainer alone. Relative, since Snakemake refuses spaces in the path.
container: os.path.relpath(IMAGE)


include: "workflow/rules/start.smk"
include: "workflow/rules/terminal.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/probes.smk"
include: "workflow/rules/analysis.smk"
include: "workflow/rules/aggregation.smk"
include: "workflow/rules/sensitivity.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/explorer.smk"


# All results that are wanted for themselves, each by name: what was deleted, since it was broken, would not be made again
# where what came of it is still there.
rule all:
    default_target: True
    input:
        [f"{OUT}/{path}" for path in all_targets(LINEAGE.jobs())],
    localrule: True
    message:
        "All tables, checkpoints and figures are there"


# Only the figures, and what they still need.
rule figures:
    input:
        expand(
            f"{OUT}/figures/{{figure}}.{{kind}}",
            figure=FIGURES,
            kind=["pdf", "png", "csv"],
        ),
        f"{OUT}/figures/manifold.gif",
    localrule: True


if workflow.is_main_process:
    print(banner(), file=sys.stderr)
    before_jobs_are_planned(make_stale_results_again)


onstart:
    check_cluster()
    check_image()
    hold_output_folder()
    check_room()
    forget_times_ahead()
    note_what_is_planned()
    PROGRESS.plan()


onsuccess:
    forget_finished_states()
    if Path(OUT, "report.html").exists():
        print(f"Done. The report is {OUT}/report.html", file=sys.stderr)
    tell_figures_not_drawn()


onerror:
    print(told_errors(log), file=sys.stderr)
    print(
        f"Stopped. Each error above names the log to open (under {OUT}/logs/); the whole story is in {told_files(log)}.",
        file=sys.stderr,
    )

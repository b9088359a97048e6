import ast


def caption(figure):
    """The caption a figure's module gives, read without importing it."""
    tree = ast.parse(module_path(f"figures.{figure}").read_text(encoding="utf-8"))
    values = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return ast.literal_eval(values["CAPTION"])


# One figure, as vector and as pixels, with its data beside it.
rule figure:
    input:
        runs=OUT + "/runs.parquet",
        metrics=OUT + "/metrics.parquet",
        claims=OUT + "/claims.parquet",
        coupling=OUT + "/coupling.parquet",
        embedding=of_all_runs("embedding.parquet"),
    output:
        pdf=OUT + "/figures/{figure}.pdf",
        png=report(
            OUT + "/figures/{figure}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        csv=OUT + "/figures/{figure}.csv",
    log:
        OUT + "/logs/figures/{figure}.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(30),
    params:
        folder=output_folder,
        caption=lambda wildcards: caption(wildcards.figure),
        code=lambda wildcards: code_fingerprint(f"figures.{wildcards.figure}")
        + code_of("figure"),
    message:
        "Drawing {wildcards.figure}"
    shell:
        "python -m bumpscope --log {log:q} figure {wildcards.figure} --folder {params.folder:q} --pdf {output.pdf:q} --png {output.png:q}"
        " --csv {output.csv:q}"


# One page with the claims, the figures and how they were made.
rule report:
    input:
        claims=OUT + "/claims.parquet",
        metrics=OUT + "/metrics.parquet",
        figures=expand(OUT + "/figures/{figure}.png", figure=FIGURES),
    output:
        OUT + "/report.html",
    log:
        OUT + "/logs/report.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(30),
    params:
        folder=output_folder,
        settings=canonical_json(
            CONFIG.model_dump(
                mode="json", exclude={"output", "device"}, exclude_none=True
            )
        ),
        code=code_of("report"),
    message:
        "Writing {output}"
    shell:
        "python -m bumpscope --log {log:q} report --settings {params.settings:q} --folder {params.folder:q} --output {output:q}"

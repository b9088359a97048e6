# One figure, as vector and as pixels, with its data beside it.
rule figure:
    input:
        runs=f"{OUT}/runs.parquet",
        metrics=f"{OUT}/metrics.parquet",
        claims=f"{OUT}/claims.parquet",
        coupling=f"{OUT}/coupling.parquet",
        embedding=of_all_runs("embedding.parquet"),
    output:
        pdf=f"{OUT}/figures/{{figure}}.pdf",
        png=report(
            f"{OUT}/figures/{{figure}}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        csv=f"{OUT}/figures/{{figure}}.csv",
    log:
        f"{OUT}/logs/figures/{{figure}}.log",
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
        claims=f"{OUT}/claims.parquet",
        metrics=f"{OUT}/metrics.parquet",
        figures=expand(f"{OUT}/figures/{{figure}}.png", figure=FIGURES),
    output:
        f"{OUT}/report.html",
    log:
        f"{OUT}/logs/report.log",
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

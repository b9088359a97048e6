# One figure, as vector and as pixels, with its data beside it.
rule figure:
    input:
        runs=f"{OUT}/runs.parquet",
        metrics=f"{OUT}/metrics.parquet",
        coupling=f"{OUT}/coupling.parquet",
        onsets=f"{OUT}/onsets.parquet",
        factorisation=f"{OUT}/factorisation.parquet",
        tables=tables_of_figure,
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


# The configuration in force, with every default written out.
rule configuration:
    output:
        f"{OUT}/config.json",
    log:
        f"{OUT}/logs/configuration.log",
    localrule: True
    conda:
        "../../environment.yml"
    threads: 1
    params:
        # What `snakemake sensitivity` tries is no part of what the report shows.
        text=CONFIG.model_dump_json(
            indent=2, exclude={"output", "device", "sensitivity"}, exclude_none=True
        ),
    message:
        "Writing {output}"
    run:
        Path(output[0]).write_text(params.text, encoding="utf-8")


# One page with the claims, the figures and how they were made.
rule report:
    input:
        runs=f"{OUT}/runs.parquet",
        claims=f"{OUT}/claims.parquet",
        coupling=f"{OUT}/coupling.parquet",
        metrics=f"{OUT}/metrics.parquet",
        figures=expand(
            f"{OUT}/figures/{{figure}}.{{kind}}", figure=FIGURES, kind=["png", "csv"]
        ),
        config=f"{OUT}/config.json",
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
        code=[
            code_of("report"),
            *(code_fingerprint(f"figures.{name}") for name in FIGURES),
        ],
    message:
        "Writing {output}"
    shell:
        "python -m bumpscope --log {log:q} report --settings {input.config:q} --folder {params.folder:q} --output {output:q}"

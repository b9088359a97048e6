# One figure, as vector and as pixels, with its data beside it.
rule figure:
    input:
        tables=tables_of_figure,
    output:
        png=shown_in_report(f"{OUT}/figures/{{figure}}.png", "picture"),
        pdf=shown_in_report(f"{OUT}/figures/{{figure}}.pdf", "vector, for papers"),
        csv=shown_in_report(f"{OUT}/figures/{{figure}}.csv", "data"),
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
        caption=of_figure("CAPTION"),
    message:
        "Drawing {wildcards.figure}"
    shell:
        "python -m bumpscope --log {log:q} figure {wildcards.figure} --folder {params.folder:q} --pdf {output.pdf:q} --png {output.png:q}"
        " --csv {output.csv:q} --spare-others"


# The manifold of one run forming over training, as a GIF.
rule animation:
    input:
        tables=tables_read_by("animation"),
    output:
        gif=report(
            f"{OUT}/figures/manifold.gif",
            caption="../report/figure.rst",
            category=declared("show.animation", "TOPIC"),
            subcategory="Manifold",
            labels={"figure": "manifold", "file": "animation"},
        ),
    log:
        f"{OUT}/logs/animation.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(30),
    params:
        folder=output_folder,
        caption=declared("show.animation", "CAPTION"),
    message:
        "Animating the manifold"
    shell:
        "python -m bumpscope --log {log:q} animation --folder {params.folder:q} --gif {output.gif:q}"


# The claims once more, for spreadsheets and for Snakemake's own report.
rule claims_as_csv:
    input:
        claims=read(f"{OUT}/claims.parquet"),
    output:
        csv=report(
            f"{OUT}/claims.csv",
            caption="../report/claims.rst",
            category="Claims",
            subcategory="Verdicts",
            labels={"name": "claims", "file": "data"},
        ),
    log:
        f"{OUT}/logs/claims_as_csv.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(1000),
        runtime=grown(30),
    params:
        folder=output_folder,
    message:
        "Writing {output}"
    shell:
        "python -m bumpscope --log {log:q} export claims --folder {params.folder:q} --csv {output.csv:q}"


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
    message:
        "Writing {output}"
    shell:
        "python -m bumpscope --log {log:q} configuration --output {output:q}"


# One page with the claims, the figures and how they were made.
rule report:
    input:
        tables=tables_read_by("report"),
        figures=read(
            *(
                f"{OUT}/figures/{figure}.{kind}"
                for figure in FIGURES
                for kind in ("png", "csv")
            )
        ),
        config=read(f"{OUT}/config.json"),
    output:
        report(
            f"{OUT}/report.html",
            caption="../report/report.rst",
            category="Claims",
            subcategory="Report",
            labels={"name": "report", "file": "page"},
        ),
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
    message:
        "Writing {output}"
    shell:
        "python -m bumpscope --log {log:q} report --settings {input.config:q} --folder {params.folder:q} --output {output:q}"

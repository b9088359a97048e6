# The page on which a reader moves through training, in one file.
rule explorer:
    input:
        tables=tables_read_by("explorer"),
    output:
        report(
            f"{OUT}/explorer.html",
            caption="../report/explorer.rst",
            category="Representation",
            subcategory="Explorer",
            labels={"name": "explorer", "file": "page"},
        ),
    log:
        f"{OUT}/logs/explorer.log",
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
        "python -m bumpscope --log {log:q} explorer --folder {params.folder:q} --output {output:q}"

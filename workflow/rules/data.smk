def lattice_settings(wildcards):
    """Settings of a dataset are those of any of its runs: they share the lattice."""
    run = next(run for run in RUNS.values() if run.dataset == wildcards.dataset)
    return canonical_json(step_settings(run, "dataset"))


# The lattice of a dataset: its centres, how often each is drawn, and the images.
rule dataset:
    output:
        OUT + "/datasets/{dataset}.parquet",
    log:
        OUT + "/logs/dataset/{dataset}.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(1000),
        runtime=grown(10),
    params:
        settings=lattice_settings,
        code=code_of("dataset"),
    message:
        "Drawing the lattice of {wildcards.dataset}"
    shell:
        "python -m bumpscope --log {log:q} dataset --settings {params.settings:q} --output {output:q}"

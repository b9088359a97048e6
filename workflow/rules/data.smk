# The lattice of a dataset: its centres, how often each is drawn, and the images.
rule dataset:
    output:
        f"{OUT}/datasets/{{dataset}}.parquet",
    log:
        f"{OUT}/logs/dataset/{{dataset}}.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(1000),
        runtime=grown(10),
    params:
        settings=lattice_settings,
    message:
        "Drawing the lattice of {wildcards.dataset}"
    shell:
        "python -m bumpscope --log {log:q} dataset --settings {params.settings:q} --output {output:q}"

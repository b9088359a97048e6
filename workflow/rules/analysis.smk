# Where the bumps of each generated image are, and whether they meet the request.
rule behaviour:
    input:
        samples=read(f"{RUN}/samples.parquet"),
    output:
        f"{RUN}/behaviour.parquet",
    log:
        f"{OUT}/logs/behaviour/{{dataset}}-seed{{seed}}.log",
    benchmark:
        f"{OUT}/benchmarks/behaviour/{{dataset}}-seed{{seed}}.tsv"
    priority: 2
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(60),
    params:
        settings=settings_for("behaviour"),
    message:
        "Finding bumps in the images of {wildcards.dataset} with seed {wildcards.seed} (log: {log})"
    shell:
        "python -m bumpscope --log {log:q} behaviour --settings {params.settings:q} --samples {input.samples:q} --output {output:q}"


# PCA, dimension, order and decodability of the activations, with controls; and their pictures.
rule geometry:
    input:
        latents=read(f"{RUN}/latents.parquet"),
        samples=read(f"{RUN}/samples.parquet"),
        behaviour=read(f"{RUN}/behaviour.parquet"),
    output:
        geometry=f"{RUN}/geometry.parquet",
        embedding=f"{RUN}/embedding.parquet",
        umaps=f"{RUN}/umaps.parquet",
    log:
        f"{OUT}/logs/geometry/{{dataset}}-seed{{seed}}.log",
    benchmark:
        f"{OUT}/benchmarks/geometry/{{dataset}}-seed{{seed}}.tsv"
    priority: 2
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(60),
    params:
        settings=settings_for("geometry"),
    message:
        "Measuring the activations of {wildcards.dataset} with seed {wildcards.seed} (log: {log})"
    shell:
        "python -m bumpscope --log {log:q} geometry --settings {params.settings:q} --latents {input.latents:q}"
        " --samples {input.samples:q} --behaviour {input.behaviour:q} --output {output.geometry:q} --embedding {output.embedding:q}"
        " --umaps {output.umaps:q}"


# Persistent homology of the activations.
rule topology:
    input:
        latents=read(f"{RUN}/latents.parquet"),
        samples=read(f"{RUN}/samples.parquet"),
    output:
        f"{RUN}/topology.parquet",
    log:
        f"{OUT}/logs/topology/{{dataset}}-seed{{seed}}.log",
    benchmark:
        f"{OUT}/benchmarks/topology/{{dataset}}-seed{{seed}}.tsv"
    priority: 2
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(60),
    params:
        settings=settings_for("topology"),
    message:
        "Computing persistent homology of {wildcards.dataset} with seed {wildcards.seed} (log: {log})"
    shell:
        "python -m bumpscope --log {log:q} topology --settings {params.settings:q} --latents {input.latents:q}"
        " --samples {input.samples:q} --output {output:q}"


# The latent phase and the behaviour phase of each checkpoint.
rule phases:
    input:
        geometry=read(f"{RUN}/geometry.parquet"),
        behaviour=read(f"{RUN}/behaviour.parquet"),
        topology=read(f"{RUN}/topology.parquet"),
    output:
        f"{RUN}/phases.parquet",
    log:
        f"{OUT}/logs/phases/{{dataset}}-seed{{seed}}.log",
    priority: 2
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(1000),
        runtime=grown(10),
    params:
        settings=settings_for("phases"),
    message:
        "Judging the phases of {wildcards.dataset} with seed {wildcards.seed} (log: {log})"
    shell:
        "python -m bumpscope --log {log:q} phases --settings {params.settings:q} --geometry {input.geometry:q}"
        " --behaviour {input.behaviour:q} --topology {input.topology:q} --output {output:q}"

# Probes, and the analysis after them, come before further trainings: a run is seen to its end as soon as it is trained, and
# few jobs stand ready at a time. Snakemake looks at every input of every ready job whenever it chooses one, which in a grid
# of forty runs took a third of a core.
# A job on a GPU also makes other planned probes, those of its run first, which then are found in their states.


# Images generated at each probed checkpoint, and activations on the way.
rule generate:
    input:
        checkpoints=lambda wildcards: checkpoints_of(
            wildcards, run_of(wildcards).probe.checkpoints
        ),
    output:
        samples=f"{RUN}/samples.parquet",
        latents=f"{RUN}/latents.parquet",
    log:
        f"{OUT}/logs/generate/{{dataset}}-seed{{seed}}.log",
    benchmark:
        f"{OUT}/benchmarks/generate/{{dataset}}-seed{{seed}}.tsv"
    priority: 1
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=grown(3000),
        runtime=grown(120),
    params:
        settings=settings_for("generate"),
        folder=lambda wildcards: f"{OUT}/{run_of(wildcards).path}/checkpoints",
        state=lambda wildcards: f"{state_of(wildcards)}/generate",
    message:
        "Generating from the checkpoints of {wildcards.dataset} with seed {wildcards.seed} (log: {log})"
    shell:
        "python -m bumpscope --log {log:q} generate --settings {params.settings:q} --checkpoints {params.folder:q}"
        " --samples {output.samples:q} --latents {output.latents:q} --gpus {resources.gpu} --state {params.state:q}"


# How much of each label the denoiser uses, against exact Bayes denoisers, at every checkpoint.
rule effects:
    input:
        checkpoints=lambda wildcards: checkpoints_of(
            wildcards, run_of(wildcards).training.checkpoints
        ),
    output:
        effects=f"{RUN}/effects.parquet",
        frequency=f"{RUN}/frequency.parquet",
    log:
        f"{OUT}/logs/effects/{{dataset}}-seed{{seed}}.log",
    benchmark:
        f"{OUT}/benchmarks/effects/{{dataset}}-seed{{seed}}.tsv"
    priority: 1
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=grown(3000),
        runtime=grown(60),
    params:
        settings=settings_for("effects"),
        folder=lambda wildcards: f"{OUT}/{run_of(wildcards).path}/checkpoints",
        state=lambda wildcards: f"{state_of(wildcards)}/effects",
    message:
        "Measuring label effects in {wildcards.dataset} with seed {wildcards.seed} (log: {log})"
    shell:
        "python -m bumpscope --log {log:q} effects --settings {params.settings:q} --checkpoints {params.folder:q}"
        " --output {output.effects:q} --frequency {output.frequency:q} --gpus {resources.gpu} --state {params.state:q}"


# What is drawn while labels are swapped between blocks, or taken out of a layer.
rule interventions:
    input:
        checkpoints=lambda wildcards: checkpoints_of(
            wildcards, run_of(wildcards).probe.interventions
        ),
    output:
        f"{RUN}/interventions.parquet",
    log:
        f"{OUT}/logs/interventions/{{dataset}}-seed{{seed}}.log",
    benchmark:
        f"{OUT}/benchmarks/interventions/{{dataset}}-seed{{seed}}.tsv"
    priority: 1
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=grown(3000),
        runtime=grown(60),
    params:
        settings=settings_for("interventions"),
        folder=lambda wildcards: f"{OUT}/{run_of(wildcards).path}/checkpoints",
        state=lambda wildcards: f"{state_of(wildcards)}/interventions",
    message:
        "Interfering with {wildcards.dataset}, seed {wildcards.seed}, while it draws (log: {log})"
    shell:
        "python -m bumpscope --log {log:q} interventions --settings {params.settings:q} --checkpoints {params.folder:q}"
        " --output {output:q} --gpus {resources.gpu} --state {params.state:q}"

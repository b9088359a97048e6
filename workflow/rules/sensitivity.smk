# What the verdicts hang on: `snakemake sensitivity` probes the kept checkpoints of the balanced planes in other ways and
# judges the claims again. No part of `all`.
VARIED = f"{OUT}/sensitivity/{{variant}}/runs/{{dataset}}/seed={{seed}}"


# A variant of the probe at each probed checkpoint of a run, measured at once.
rule vary:
    input:
        checkpoints=lambda wildcards: checkpoints_of(
            wildcards, varied_run(wildcards).probe.checkpoints
        ),
    output:
        behaviour=f"{VARIED}/behaviour.parquet",
        geometry=f"{VARIED}/geometry.parquet",
    log:
        f"{OUT}/logs/vary/{{variant}}-{{dataset}}-seed{{seed}}.log",
    # Not beside those of the experiment's own jobs, whose times the report adds up.
    benchmark:
        f"{OUT}/sensitivity/benchmarks/{{variant}}-{{dataset}}-seed{{seed}}.tsv"
    wildcard_constraints:
        variant="|".join(VARIANTS),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=grown(3000),
        runtime=grown(240),
    params:
        settings=lambda wildcards: canonical_json(
            step_settings(varied_run(wildcards), "vary")
        ),
        folder=lambda wildcards: f"{OUT}/{run_of(wildcards).path}/checkpoints",
    message:
        "Probing {wildcards.dataset} with seed {wildcards.seed} again, {wildcards.variant} (log: {log})"
    shell:
        "python -m bumpscope --log {log:q} vary --settings {params.settings:q} --checkpoints {params.folder:q}"
        " --behaviour {output.behaviour:q} --geometry {output.geometry:q} --gpus {resources.gpu}"


# The verdicts with one choice changed at a time. Runs where Snakemake does, so that its table is seen there.
rule sensitivity:
    input:
        tables=tables_read_by("sensitivity"),
    output:
        sensitivity=f"{OUT}/sensitivity.parquet",
        places=f"{OUT}/places.parquet",
        text=f"{OUT}/sensitivity.txt",
    log:
        f"{OUT}/logs/sensitivity.log",
    localrule: True
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(30),
    params:
        folder=output_folder,
        readings=canonical_json(readings(CONFIG).model_dump(mode="json")),
    message:
        "Judging the claims with one choice changed at a time"
    shell:
        "python -m bumpscope --log {log:q} sensitivity --readings {params.readings:q} --folder {params.folder:q}"
        " --output {output.sensitivity:q} --places {output.places:q} --text {output.text:q}"

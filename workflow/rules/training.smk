# Snakemake wants outputs that are known without looking at wildcards, but a dataset may override the steps at which
# weights are kept. So there is a training rule for each set of steps: `train`, and `train_1`, … where sets differ.
CHECKPOINT_SETS = {}
for run in RUNS.values():
    CHECKPOINT_SETS.setdefault(tuple(run.training.checkpoints), []).append(run.dataset)
TRAININGS = [
    "train" if number == 0 else f"train_{number}"
    for number in range(len(CHECKPOINT_SETS))
]

for number, (steps, datasets) in enumerate(CHECKPOINT_SETS.items()):

    # Training of one run; a job may take other runs along, whose jobs then have nothing left to train. What a killed
    # training resumes from lies outside the declared outputs, which Snakemake deletes before a job; it is kept until a
    # whole workflow has ended well.
    rule:
        name:
            TRAININGS[number]
        input:
            dataset=read(f"{OUT}/datasets/{{dataset}}.parquet"),
        output:
            losses=f"{RUN}/losses.parquet",
            checkpoints=expand(
                f"{RUN}/checkpoints/step={{step}}.safetensors",
                step=steps,
                allow_missing=True,
            ),
        log:
            f"{OUT}/logs/train/{{dataset}}-seed{{seed}}.log",
        benchmark:
            f"{OUT}/benchmarks/train/{{dataset}}-seed{{seed}}.tsv"
        wildcard_constraints:
            dataset="|".join(sorted(set(datasets))),
        retries: RETRIES
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            gpu=1,
            mem_mb=grown(3000),
            runtime=grown(240),
        params:
            settings=settings_for("train"),
            folder=lambda wildcards: f"{OUT}/{run_of(wildcards).path}",
            state=state_of,
        message:
            "Training {wildcards.dataset} with seed {wildcards.seed} (log: {log})"
        shell:
            "python -m bumpscope --log {log:q} train --settings {params.settings:q} --dataset {input.dataset:q}"
            " --output {params.folder:q} --state {params.state:q} --gpus {resources.gpu}"

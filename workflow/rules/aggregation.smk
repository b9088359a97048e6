# The grid: a row for each run.
rule runs:
    input:
        checkpoints=read(
            *(
                f"{OUT}/{path}/checkpoints/step={run.training.checkpoints[-1]}.safetensors"
                for path, run in RUNS.items()
            )
        ),
    output:
        f"{OUT}/runs.parquet",
    log:
        f"{OUT}/logs/runs.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(1000),
        runtime=grown(30),
    params:
        folder=output_folder,
        runs=json.dumps(GRID, separators=(",", ":")),
    message:
        "Listing the runs"
    shell:
        "python -m bumpscope --log {log:q} runs --runs {params.runs:q} --folder {params.folder:q}"
        " --output {output:q}"


# Every number of every checkpoint of every run, one a row.
rule metrics:
    input:
        tables=tables_read_by("metrics"),
    output:
        f"{OUT}/metrics.parquet",
    log:
        f"{OUT}/logs/metrics.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(60),
    params:
        folder=output_folder,
        tolerance=CONFIG.analysis.tolerance,
        tolerances=canonical_json(CONFIG.analysis.tolerances),
        faint=CONFIG.analysis.faint,
    message:
        "Collecting the numbers of all runs"
    shell:
        "python -m bumpscope --log {log:q} metrics --folder {params.folder:q} --tolerance {params.tolerance}"
        " --tolerances {params.tolerances:q} --faint {params.faint} --output {output:q}"


# Imbalanced datasets against their nulls: are x and y learnt together?
rule coupling:
    input:
        tables=tables_read_by("coupling"),
    output:
        coupling=f"{OUT}/coupling.parquet",
        onsets=f"{OUT}/onsets.parquet",
        factorisation=f"{OUT}/factorisation.parquet",
    log:
        f"{OUT}/logs/coupling.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(30),
    params:
        folder=output_folder,
    message:
        "Measuring coupling"
    shell:
        "python -m bumpscope --log {log:q} coupling --folder {params.folder:q} --output {output.coupling:q}"
        " --onsets {output.onsets:q} --factorisation {output.factorisation:q}"


# What the denoisers of the factorisation benchmark are told and compute.
rule arms:
    output:
        f"{OUT}/arms.parquet",
    log:
        f"{OUT}/logs/arms.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(30),
    params:
        settings=canonical_json(Arms.of_runs(RUNS.values()).plain),
    message:
        "Counting what denoisers compute"
    shell:
        "python -m bumpscope --log {log:q} arms --settings {params.settings:q} --output {output:q}"


# How many combinations each arm of the factorisation benchmark must be shown.
rule leaderboard:
    input:
        tables=tables_read_by("leaderboard"),
    output:
        leaderboard=f"{OUT}/leaderboard.parquet",
        combinations=f"{OUT}/combinations.parquet",
    log:
        f"{OUT}/logs/leaderboard.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(30),
    params:
        folder=output_folder,
    message:
        "Ranking denoisers by the combinations that they must be shown"
    shell:
        "python -m bumpscope --log {log:q} leaderboard --folder {params.folder:q}"
        " --output {output.leaderboard:q} --combinations {output.combinations:q}"


# The claims, with verdicts and intervals, and the numbers behind them.
rule claims:
    input:
        tables=tables_read_by("claims"),
    output:
        claims=f"{OUT}/claims.parquet",
        evidence=f"{OUT}/evidence.parquet",
    log:
        f"{OUT}/logs/claims.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(30),
    params:
        folder=output_folder,
    message:
        "Judging the claims"
    shell:
        "python -m bumpscope --log {log:q} claims --folder {params.folder:q} --output {output.claims:q}"
        " --evidence {output.evidence:q}"

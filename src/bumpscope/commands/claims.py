"""Judge the claims: statistic, interval over seeds and verdict for each."""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from bumpscope.claims import claims_table, evidence_table, judge
from bumpscope.commands.interface import execute
from bumpscope.results import Results
from bumpscope.tables import provenance, read_table, write_table


def claims(
    folder: Annotated[Path, typer.Option(help="output folder of the experiment")],
    output: Annotated[Path, typer.Option(help="table to write")],
    evidence: Annotated[Path, typer.Option(help="table of the numbers behind the verdicts to write")],
) -> None:
    """Judge the claims: statistic, interval over seeds and verdict for each."""
    results = Results(folder)
    metrics, coupling = folder / "metrics.parquet", folder / "coupling.parquet"
    phases = []
    for run in results.runs.to_dict("records"):
        verdicts = results.table(run["run"], "phases")
        phases.append(verdicts.assign(run=run["run"], dataset=run["dataset"], seed=run["seed"]))
    judged = judge(
        read_table("metrics", metrics),
        results.runs,
        pd.concat(phases, ignore_index=True),
        read_table("coupling", coupling),
    )
    write_table("claims", output, claims_table(judged), provenance({}, metrics, coupling))
    write_table("evidence", evidence, evidence_table(judged), provenance({}, metrics, coupling))


if __name__ == "__main__":
    execute(claims)

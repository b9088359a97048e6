"""Judge the claims: statistic, interval over seeds and verdict for each."""

from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import execute
from bumpscope.judge.claims import QUANTITIES, claims_table, evidence_table, judge
from bumpscope.store.results import Results
from bumpscope.store.tables import provenance, read_table, write_table

READS = ("runs", "metrics", "coupling", "phases")
WRITES = ("claims", "evidence")


def claims(
    folder: Annotated[Path, typer.Option(help="output folder of the experiment")],
    output: Annotated[Path, typer.Option(help="table to write")],
    evidence: Annotated[Path | None, typer.Option(help="table of the numbers behind the verdicts to write")] = None,
) -> None:
    """Judge the claims: statistic, interval over seeds and verdict for each."""
    results = Results(folder)
    metrics, coupling = folder / "metrics.parquet", folder / "coupling.parquet"
    metadata = provenance({}, metrics, coupling)
    judged = judge(
        results.table("metrics", quantity=QUANTITIES),
        results.runs,
        results.phases,
        read_table("coupling", coupling),
    )
    write_table("claims", output, claims_table(judged), metadata)
    if evidence is not None:
        write_table("evidence", evidence, evidence_table(judged), metadata)


if __name__ == "__main__":
    execute(claims)

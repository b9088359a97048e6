"""Judge the claims: statistic, interval over seeds and verdict for each."""

from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import execute
from bumpscope.judge.claims import claims_table, evidence_table, judge, read
from bumpscope.store.results import Results
from bumpscope.store.tables import provenance, write_table

READS = ("runs", "metrics", "phases", "coupling", "leaderboard", "interventions")
WRITES = ("claims", "evidence")


def claims(
    folder: Annotated[Path, typer.Option(help="output folder of the experiment")],
    output: Annotated[Path, typer.Option(help="table to write")],
    evidence: Annotated[Path | None, typer.Option(help="table of the checks behind the verdicts to write")] = None,
) -> None:
    """Judge the claims: statistic, interval over seeds and verdict for each."""
    results = Results(folder)
    metadata = provenance({}, *results.files(*READS), code=results.code("commands.claims"))
    judged = judge(read(results))
    write_table("claims", output, claims_table(judged), metadata)
    if evidence is not None:
        write_table("evidence", evidence, evidence_table(judged), metadata)


if __name__ == "__main__":
    execute(claims)

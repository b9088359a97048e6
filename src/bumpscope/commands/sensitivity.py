"""Judge the claims again with one choice changed at a time, and say which verdicts change."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from pydantic import ValidationError

from bumpscope.commands.interface import CommandError, execute, log
from bumpscope.config.readings import CONFIGURED, Readings
from bumpscope.config.run import run_path
from bumpscope.judge.claims import read
from bumpscope.judge.coupling import QUANTITIES, coupling
from bumpscope.judge.sensitivity import Experiment, Probing, places_text, verdicts_text
from bumpscope.judge.sensitivity import places as places_of
from bumpscope.store.files import atomic_path
from bumpscope.store.manifest import described
from bumpscope.store.results import Results
from bumpscope.store.run import Run
from bumpscope.store.tables import provenance, read_table, write_table

READS = (
    "runs", "metrics", "coupling", "leaderboard", "claims", "phases", "topology", "interventions", "varied_behaviour",
    "varied_geometry",
)  # fmt: skip
VARIED = ("varied_behaviour", "varied_geometry")
WRITES = ("sensitivity", "places")


def sensitivity(
    readings: Annotated[str, typer.Option(help="what to read, as JSON (see: src/bumpscope/config/readings.py)")],
    folder: Annotated[Path, typer.Option(help="output folder of the experiment")],
    output: Annotated[Path, typer.Option(help="table of verdicts to write")],
    places: Annotated[Path, typer.Option(help="table of layers and timesteps to write")],
    text: Annotated[Path, typer.Option(help="what is printed, to write")],
) -> None:
    """Judge the claims again with one choice changed at a time, and say which verdicts change."""
    try:
        wanted = Readings.model_validate_json(readings)
    except ValidationError as error:
        raise CommandError(f"--readings: {error.errors()[0]['msg']}") from None
    if not wanted.runs:
        raise CommandError("there is no balanced dataset on a plane (dx = dy, no skew), so nothing to read")
    results = Results(folder)
    data = read(results)
    experiment = Experiment(
        metrics=data.table("metrics"),
        runs=results.runs,
        phases=data.table("phases"),
        coupling=results.coupling,
        coupling_otherwise=coupling(_of_other_weights(results), results.runs),
        claims=results.claims,
        interventions=data.table("interventions"),
        leaderboard=data.table("leaderboard"),
    )
    rows = []
    for number, reading in enumerate(wanted.readings, start=1):
        rows.append(experiment.judge(reading, _probings(results, wanted, reading.variant)))
        log.debug("reading %d of %d judged (%s: %s)", number, len(wanted.readings), reading.factor, reading.level)
    verdicts = pd.concat(rows, ignore_index=True)
    chosen = wanted.readings[0]
    configured = [
        places_of(probing, chosen.tolerance, chosen.tolerances) for probing in _probings(results, wanted, CONFIGURED)
    ]
    everywhere = pd.concat(configured, ignore_index=True)
    varied = [
        run.path(table, of)
        for variant in dict.fromkeys(reading.variant for reading in wanted.readings)
        for run, of in _runs(results, wanted, variant)
        for table in VARIED
    ]
    told = f"{verdicts_text(verdicts)}\n\n{places_text(everywhere)}\n"
    inputs = [*results.files(*(name for name in READS if name not in VARIED)), *dict.fromkeys(varied)]
    metadata = provenance(wanted.model_dump(mode="json"), *inputs, code=results.code("commands.sensitivity"))
    write_table("places", places, everywhere, metadata)
    write_table("sensitivity", output, verdicts, metadata)
    with described(metadata, text), atomic_path(text) as temporary:
        temporary.write_text(told, encoding="utf-8")
    print(f"\n{told}", flush=True)


def _of_other_weights(results: Results) -> pd.DataFrame:
    """What the coupling index is computed from, with the label effects of the weights that no verdict is read from."""
    found = results.table("metrics", quantity=QUANTITIES, weights=["raw", "ema", None])
    judged = found["run"].map(results.runs.set_index("run")["weights"])
    own = found["weights"] == judged
    measured_otherwise = found["quantity"] == "effect"
    kept = found[own & ~measured_otherwise]
    other = found[~own & measured_otherwise]
    return pd.concat([kept, other.assign(weights=judged[other.index])], ignore_index=True)


def _runs(results: Results, wanted: Readings, variant: str) -> Iterator[tuple[Run, str]]:
    """The runs to read, each with the variant whose tables it has: ``configured`` where this one changes nothing."""
    for dataset, seeds in wanted.runs.items():
        for seed in seeds:
            path = run_path(dataset, seed)
            if path not in set(results.runs["path"]):
                raise CommandError(f"{path}: is no run of this experiment; give the readings of its own configuration")
            yield results[dataset, seed], variant if dataset in wanted.variants[variant] else CONFIGURED


def _probings(results: Results, wanted: Readings, variant: str) -> Iterator[Probing]:
    """What a variant found, run by run; read again for each reading, so that memory holds one run's at a time."""
    for run, of in _runs(results, wanted, variant):
        behaviour, geometry = (read_table(table, run.path(table, of), run=run.name) for table in VARIED)
        # Only where nothing is changed are the clouds those that the topology was measured on.
        topology = run.table("topology") if of == CONFIGURED else None
        yield Probing(run.info, behaviour, geometry, topology)


if __name__ == "__main__":
    execute(sensitivity)

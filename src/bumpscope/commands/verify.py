"""Tell which files of an output folder were made with other settings or code than those in force, or are broken."""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from bumpscope.commands.interface import CommandError, execute
from bumpscope.config.experiment import Config
from bumpscope.config.loading import load
from bumpscope.store.files import FileError
from bumpscope.store.lineage import OF_SENSITIVITY, Lineage
from bumpscope.store.manifest import verify as check_checksum
from bumpscope.store.verification import BROKEN, MISSING, RIGHT, Finding, examine, told, unasked

READS = ()
WRITES = ()


def verify(
    folder: Annotated[Path, typer.Argument(help="output folder of an experiment")],
    config: Annotated[
        list[Path] | None,
        typer.Option(help="configuration file in force, then presets; default: config.json of the folder"),
    ] = None,
    checksums: Annotated[bool, typer.Option(help="also read each file whole and compare it with its checksum")] = False,
) -> None:
    """Tell which files of an output folder were made with other settings or code than those in force, or are broken.

    Exit status 1 where there is any, or a table or checkpoint that the configuration does not ask for.
    """
    if not folder.is_dir():
        raise CommandError(f"{folder}: is not a folder; name the output folder of an experiment")
    jobs = list(Lineage(_in_force(folder, config)).jobs())
    if not config:  # config.json does not hold what they were asked for
        jobs = [job for job in jobs if job.step not in OF_SENSITIVITY]
    found = examine(folder, jobs)
    if checksums:
        found = [_read_whole(folder, one) for one in found]
    extra = [one for one in unasked(folder, found) if config or not _is_of_sensitivity(one)]
    wrong = [one for one in [*found, *extra] if one.state not in (RIGHT, MISSING)]
    print(_table(found, extra))
    print("\n".join(["", *(told(wrong) or ["All files that are there are right."])]))
    if not config and any(folder.glob("sensitivity*")):
        print("Results of `snakemake sensitivity` are only looked at with --config.")
    if wrong:
        raise typer.Exit(1)


def _in_force(folder: Path, files: list[Path] | None) -> Config:
    if files:
        return load(*files)
    own = folder / "config.json"
    if not own.exists():
        raise CommandError(f"{own}: is missing; name the configuration in force with --config")
    return load(own)


def _is_of_sensitivity(finding: Finding) -> bool:
    return finding.path.startswith("sensitivity") or finding.path == "places.parquet"


def _read_whole(folder: Path, finding: Finding) -> Finding:
    if finding.state != RIGHT:
        return finding
    try:
        check_checksum(folder / finding.path)
    except (FileError, OSError):
        return Finding(finding.path, finding.job, BROKEN, "does not match its checksum")
    return finding


def _table(found: list[Finding], extra: list[Finding]) -> str:
    """How many files of each step are in which state."""
    rows = [{"step": one.job.step, "state": one.state} for one in found if one.job]
    rows += [{"step": "–", "state": one.state} for one in extra]
    frame = pd.DataFrame(rows)
    counts = pd.crosstab(frame["step"], frame["state"])
    order = [RIGHT, MISSING, *(state for state in counts.columns if state not in (RIGHT, MISSING))]
    counts = counts.reindex(index=frame["step"].unique(), columns=order, fill_value=0)
    return str(counts.rename_axis(index=None, columns=None).to_string())


if __name__ == "__main__":
    execute(verify)

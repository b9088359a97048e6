"""Whether the files of an output folder are those of the settings and the code in force, by what each says of itself.

Only headers of tables and checkpoints are read. Times of files and the memory of Snakemake play no part, so that a
folder may be moved, copied or synced.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from bumpscope.store.files import FileError
from bumpscope.store.lineage import Job, origins
from bumpscope.store.origin import Origin
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import metadata_of

RIGHT, MISSING = "right", "missing"
# What is wrong with a file that is there.
SETTINGS, CODE, INPUTS, SILENT, FOREIGN, BROKEN, UNASKED = (
    "other settings",
    "other code",
    "made from such files",
    "does not say what made it",
    "of another run or table",
    "broken",
    "not asked for",
)
SHOWN = 3  # differing keys
LONGEST = 40  # value that is shown


@dataclass(frozen=True)
class Finding:
    """What was found of one file.

    Attributes:
        path: relative to the output folder.
        job: what makes it; None for a file that the experiment does not ask for.
        state: ``right``, ``missing``, or what is wrong with it.
        detail: differing keys, or what a reader of the file says.
    """

    path: str
    job: Job | None
    state: str
    detail: str = ""

    @property
    def is_stale(self) -> bool:
        """Whether it has to be made again."""
        return self.job is not None and self.state not in (RIGHT, MISSING)


def examine(folder: str | Path, jobs: Iterable[Job]) -> list[Finding]:
    """Compare the files of an output folder with what jobs would make."""
    root, planned = Path(folder), list(jobs)
    expected = origins(planned)
    found: dict[str, Finding] = {}
    for job in planned:
        follows = any(found[path].is_stale for path in job.inputs)
        found |= {path: _examined(root, path, job, expected[path], follows) for path in job.outputs}
    return list(found.values())


def _examined(root: Path, path: str, job: Job, expected: Origin, follows: bool) -> Finding:
    file = root / path
    try:
        told = metadata_of(file)
    except FileError as error:
        if not file.exists():
            return Finding(path, job, MISSING)
        return Finding(path, job, BROKEN, str(error).removeprefix(f"{file}: ").partition("; ")[0])
    there = Origin.told(told)
    if not (there.settings and there.code):
        return Finding(path, job, SILENT)
    if (kept := told.get("table")) and kept != _table_at(path):
        return Finding(path, job, FOREIGN, f"table {kept}")
    if (run := told.get("run")) and run != job.subject.rpartition(", ")[2]:
        return Finding(path, job, FOREIGN, f"run {run}")
    if (step := told.get("step")) and file.suffix == ".safetensors" and file.stem != f"step={step}":
        return Finding(path, job, FOREIGN, f"step {step}")
    if there == expected:
        return Finding(path, job, RIGHT)
    if differing := _differing(told.get("config", ""), job.settings()):
        return Finding(path, job, SETTINGS, differing)
    return Finding(path, job, INPUTS if follows or there.settings != expected.settings else CODE)


def _table_at(path: str) -> str:
    folder, stem = path.partition("/")[0], Path(path).stem
    return {"datasets": "dataset", "sensitivity": f"varied_{stem}"}.get(folder, stem)


def _differing(told: str, settings: Mapping[str, Any]) -> str:
    """The keys in which a file's own settings differ from those in force, with both values."""
    try:
        there = dict(_flat(json.loads(told)))
    except (ValueError, AttributeError):
        return ""
    now = dict(_flat(json.loads(json.dumps(settings))))
    keys = [key for key in dict.fromkeys([*now, *there]) if there.get(key) != now.get(key)]
    each = [_change(key, json.dumps(there.get(key)), json.dumps(now.get(key))) for key in keys[:SHOWN]]
    return "; ".join([*each, *([f"{len(keys) - SHOWN} more keys"] if len(keys) > SHOWN else [])])


def _flat(value: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{above}{key}.")
        else:
            yield f"{above}{key}", inner


def _change(key: str, there: str, now: str) -> str:
    return f"{key} {there}, now {now}" if max(len(there), len(now)) <= LONGEST else key


def unasked(folder: str | Path, findings: Iterable[Finding]) -> list[Finding]:
    """The tables and checkpoints in an output folder that no job makes; no step reads them."""
    root, asked = Path(folder), {finding.path for finding in findings}
    patterns = {table.path.format(path="runs/*/*", dataset="*", variant="*") for table in TABLES.values()}
    found = {
        path.relative_to(root).as_posix()
        for pattern in (*patterns, "runs/*/*/checkpoints/step=*.safetensors")
        for path in root.glob(pattern)
    }
    return [Finding(path, None, UNASKED) for path in sorted(found - asked)]


def to_make_again(
    jobs: Sequence[Job], findings: Iterable[Finding], targets: Collection[str], forced: Collection[str] = ()
) -> set[str]:
    """The files that have to be made again for ``targets``: the stale ones, and what follows from files that are made.

    What follows from a file that is missing and needed is made again with it: on another machine the file may differ.

    Args:
        targets, forced: files that are asked for, and files to make again in any case, relative to the output folder.
    """
    maker = {path: job for job in jobs for path in job.outputs}
    needed, waiting = set[str](), [path for path in targets if path in maker]
    while waiting:
        path = waiting.pop()
        if path not in needed:
            needed.add(path)
            waiting += maker[path].inputs
    state = {finding.path: finding for finding in findings}
    stale = {path for path in needed if state[path].is_stale or path in forced}
    missing = {path for path in needed if state[path].state == MISSING}
    order = [job for job in jobs if not needed.isdisjoint(job.outputs)]
    runs: set[int] = {
        number
        for number, job in enumerate(order)
        if any(path in stale or (path in missing and path in targets) for path in job.outputs)
    }
    before = -1
    while len(runs) != before:
        before = len(runs)
        made = {path for number in runs for path in order[number].outputs}
        wanted = missing & set(chain.from_iterable(order[number].inputs for number in runs))
        for number, job in enumerate(order):
            if not made.isdisjoint(job.inputs) or not wanted.isdisjoint(job.outputs):
                runs.add(number)
                made.update(job.outputs)
    # Those that are missing are made anyway.
    return {path for number in runs for path in order[number].outputs if state[path].state != MISSING}


def told(findings: Iterable[Finding]) -> list[str]:
    """What is wrong, a line a kind: which files of how many runs, and why."""
    kinds: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        if finding.state not in (RIGHT, MISSING):
            step = finding.job.step if finding.job and finding.state != INPUTS else ""
            kinds.setdefault((finding.state, step, finding.detail), []).append(finding)
    return [_line(state, detail, found) for (state, _, detail), found in kinds.items()]


def _line(state: str, detail: str, found: Sequence[Finding]) -> str:
    names = list(dict.fromkeys(_kind(finding) for finding in found))
    more = f" and {len(names) - 6} other kinds" if len(names) > 6 else ""
    files = "file" if len(found) == 1 else "files"
    where = f": {found[0].path}" if len(found) == 1 else f" ({', '.join(names[:6])}{more})"
    return f"{len(found)} {files}{where}: {state}" + (f" ({detail})" if detail else "")


def _kind(finding: Finding) -> str:
    if finding.path.endswith(".safetensors"):
        return "checkpoints"
    if finding.path.startswith("figures/"):
        return "figures"
    return Path(finding.path).name if finding.job is None or finding.job.step != "dataset" else "datasets"

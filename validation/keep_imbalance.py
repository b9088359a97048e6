"""Keep what docs/imbalance.md is made of from a finished experiment: its tables, small, and its figures.

python validation/keep_imbalance.py results study
python validation/keep_imbalance.py elsewhere factorised
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from bumpscope.judge.coupling import effect_timestep
from bumpscope.judge.intervals import t_interval
from bumpscope.judge.onsets import curves, onset
from bumpscope.probe.frequency import ALL
from bumpscope.store.results import Results
from bumpscope.worlds.bumps import BINS
from truth_tables import RESULTS, ROOT, load, save

FIGURES = ("imbalance_curves", "coupling_index", "onset_map", "rare_common", "learning_and_geometry")
IMAGES = ROOT / "docs" / "images"
EXPERIMENTS = ("study", "factorised", "gated")
# One axis' label at a bin of its positions, apart by the bin of the other axis' positions.
PLACES = [(rare, other) for rare in BINS for other in (ALL, "common", "rare")]


def by_bin(metrics: pd.DataFrame) -> pd.DataFrame:
    """When the use of a label at positions of each frequency bin crosses one half, and where it ends."""
    t = effect_timestep(metrics)
    names = {}
    for own, other in PLACES:
        names[f"use_x/t={t}/ema/x={own},y={other}"] = ("x", own, other)
        names[f"use_y/t={t}/ema/x={other},y={own}"] = ("y", own, other)
    rows = []
    known = curves(metrics, list(names))
    for dataset in metrics["dataset"].drop_duplicates():
        for name, (axis, own, other) in names.items():
            of_seed = [curve for (place, _, metric), curve in known.items() if (place, metric) == (dataset, name)]
            crossings = [found for curve in of_seed if (found := onset(*curve)) is not None]
            times = [np.log(found.time) for found in crossings if found.timed]
            if crossings:
                tau = dict(zip(("tau", "tau_low", "tau_high"), np.exp(t_interval(times)), strict=True))
                use = dict(zip(("use", "use_low", "use_high"), t_interval([c[1][-1] for c in of_seed]), strict=True))
                row = {"dataset": dataset, "axis": axis, "bin": own, "other": other, "runs": len(crossings)}
                rows.append(row | {"timed": len(times)} | tau | use)
    return pd.DataFrame(rows)


def accuracy(metrics: pd.DataFrame) -> pd.DataFrame:
    """Share of correct images at the last checkpoint, at common, middle and rare x with y of any kind, and mirrored."""
    pattern = r"outcome/correct/seen/x=(\w+),y=(\w+)"
    rows = []
    for (dataset, name), part in metrics.groupby(["dataset", "metric"], sort=False):
        found = re.fullmatch(pattern, str(name))
        if found and ALL in found.groups():
            last = part[part["step"] == part["step"].max()]["value"].dropna()
            row = {"dataset": dataset, "bin_x": found[1], "bin_y": found[2]}
            rows.append(row | dict(zip(("correct", "low", "high"), t_interval(last), strict=True)))
    return pd.DataFrame(rows)


def keep(folder: Path, experiment: str, target: Path = RESULTS) -> None:
    """Put an experiment's tables beside those that are kept, in place of those of an earlier one of this name."""
    results = Results(folder)
    assert results.metrics is not None
    tables = {"runs": results.runs, "coupling": results.coupling, "onsets": results.onsets}
    tables |= {"factorisation": results.factorisation, "claims": results.claims}
    tables |= {"bins": by_bin(results.metrics), "accuracy": accuracy(results.metrics)}
    for name, table in tables.items():
        if table is None:
            raise SystemExit(f"{folder}: has no table {name}; finish the experiment first")
        kept = load(f"imbalance-{name}", target)
        before = [] if kept is None else [kept[0][kept[0]["experiment"] != experiment]]
        both = pd.concat([*before, table.assign(experiment=experiment)], ignore_index=True)
        save(f"imbalance-{name}", both, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="output folder of the experiment")
    parser.add_argument("experiment", choices=EXPERIMENTS)
    chosen = parser.parse_args()
    keep(chosen.folder, chosen.experiment)
    IMAGES.mkdir(exist_ok=True)
    for figure in FIGURES:
        source = chosen.folder / "figures" / f"{figure}.png"
        if source.exists():
            shutil.copyfile(source, IMAGES / f"{chosen.experiment}-{figure}.png")


if __name__ == "__main__":
    main()
